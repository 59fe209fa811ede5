"""Answers whoever asks for the page: who may read it, what is asked, and in which form the answer goes out."""

from __future__ import annotations

import logging
from http import HTTPStatus
from urllib.parse import parse_qs

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from observability.access import may_read
from observability.exposition import Page, render

logger = logging.getLogger(__name__)

_METHODS = ("GET", "HEAD")
_MOST_FIELDS = 1_000
_TEXT = "text/plain; charset=utf-8"
_FORBIDDEN = (
    "The metrics are not for everybody. Send the header “Authorization: Bearer …” with the value of "
    "OBSERVABILITY_TOKEN, or ask without a proxy in between from one of OBSERVABILITY_ALLOWED_NETWORKS.\n"
)
_CHALLENGE = 'Bearer realm="metrics"'
"""RFC 9110, 11.6.1: in a 403 too it says that credentials would help; RFC 6750, 3, wants a parameter with it."""


def answer(request: HttpRequest) -> HttpResponse:
    """The page, or why there is none. Never raises; under ASGI to be called in a thread, since it reads files."""
    try:
        return _answer(request)
    except Exception as error:
        logger.exception("The page of metrics could not be made (%s).", type(error).__name__)
        return _told(request, HTTPStatus.SERVICE_UNAVAILABLE, "The page of metrics could not be made: see the log.\n")


@csrf_exempt
@login_not_required
def metrics_view(request: HttpRequest) -> HttpResponse:
    """``answer`` for ``observability.urls``."""
    return answer(request)


def _answer(request: HttpRequest) -> HttpResponse:
    if not may_read(request):
        response = _told(request, HTTPStatus.FORBIDDEN, _FORBIDDEN)
        response["WWW-Authenticate"] = _CHALLENGE
        return response
    if request.method not in _METHODS:
        response = _told(request, HTTPStatus.METHOD_NOT_ALLOWED, f"Use {' or '.join(_METHODS)}.\n")
        response["Allow"] = ", ".join(_METHODS)
        return response
    try:
        names = _names(request)
    except ValueError:
        return _told(request, HTTPStatus.BAD_REQUEST, f"Send at most {_MOST_FIELDS:,} parameters.\n")
    page = render(request.META.get("HTTP_ACCEPT", ""), names, request.META.get("HTTP_ACCEPT_ENCODING", ""))
    return _shown(request, page)


def _names(request: HttpRequest) -> list[str]:
    """Not by ``request.GET``, which decodes as the client's Content-Type says, in whatever charset that names."""
    return parse_qs(request.META.get("QUERY_STRING", ""), max_num_fields=_MOST_FIELDS).get("name[]", [])


def _shown(request: HttpRequest, page: Page) -> HttpResponse:
    response = _sent(request, HTTPStatus.OK, page.body, page.content_type)
    response["Vary"] = "Accept, Accept-Encoding"
    if page.content_encoding:
        response["Content-Encoding"] = page.content_encoding
    return response


def _told(request: HttpRequest, status: HTTPStatus, text: str) -> HttpResponse:
    response = _sent(request, status, text.encode(), _TEXT)
    # Django would log each, a 503 as an error that is mailed to ADMINS; what is wrong is in the log already.
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 - it has no public name
    return response


def _sent(request: HttpRequest, status: HTTPStatus, content: bytes, content_type: str) -> HttpResponse:
    return HttpResponse(
        b"" if request.method == "HEAD" else content,  # RFC 9110, 9.3.2: all but the content
        status=status,
        content_type=content_type,
        headers={
            "Cache-Control": "no-store",
            "Content-Length": str(len(content)),
            "X-Content-Type-Options": "nosniff",
        },
    )
