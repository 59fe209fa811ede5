"""What clients send: JSON and nothing else, of a bounded size, also when it comes in chunks."""

from __future__ import annotations

import json
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.core.handlers.wsgi import LimitedStream, WSGIRequest
from django.http import HttpRequest
from ninja.parser import Parser

from harvester.api.problems import LENGTH_REQUIRED, UNSUPPORTED_MEDIA_TYPE, ProblemError

MEDIA_TYPE = "application/json"


def prepare_body(request: HttpRequest) -> None:
    """Make ``request.body`` hold whatever was sent, or refuse it: 411, 415.

    The size is checked where the body is read (RequestDataTooBig), by the declared length and by what comes.
    """
    is_chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    if is_chunked and isinstance(request, WSGIRequest):
        _read_chunks(request)
    has_body = is_chunked or request.headers.get("Content-Length", "0") not in ("", "0")
    if has_body and request.content_type != MEDIA_TYPE:
        raise ProblemError(UNSUPPORTED_MEDIA_TYPE)


class StrictJson(Parser):
    """JSON as RFC 8259 has it: no NaN, no Infinity, UTF-8 only, and no key twice."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Raises ValueError or RecursionError, which ninja turns into an error 400."""
        return json.loads(request.body.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique)


def _read_chunks(request: WSGIRequest) -> None:
    """Django reads nothing where no length is declared; a server that marks the end of the input lets us read on."""
    if not request.environ.get("wsgi.input_terminated"):
        raise ProblemError(LENGTH_REQUIRED)
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    chunks = LimitedStream(request.environ["wsgi.input"], limit + 1)
    request._stream = cast("BinaryIO", chunks)  # noqa: SLF001 - Django offers no other way to say where the body is


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) != len(pairs):
        raise ValueError("a key stands twice")
    return held
