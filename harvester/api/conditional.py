"""Answers that a client may keep and ask about again: ETag, 304 and what caches must know."""

from __future__ import annotations

import hashlib

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags

CACHE_CONTROL = "private, no-cache"  # keep it if you like, but ask each time: it costs a 304
VARY = ("Accept", "Authorization", "Cookie", "X-API-Key")


def with_validator(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The response with its cache headers; for a successful GET with a strong ETag of its body, or as 304."""
    _mark(response)
    if request.method not in ("GET", "HEAD") or response.status_code != 200:
        return response
    response["ETag"] = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    if not _is_held(response["ETag"], request.headers.get("If-None-Match", "")):
        return response
    not_modified = HttpResponseNotModified(headers={"ETag": response["ETag"]})
    _mark(not_modified)
    return not_modified


def _mark(response: HttpResponse) -> None:
    response.setdefault("Cache-Control", CACHE_CONTROL)  # a 429 must not be kept at all
    patch_vary_headers(response, VARY)


def _is_held(etag: str, if_none_match: str) -> bool:
    """Weak comparison, as RFC 9110, 13.1.2 asks for."""
    held = [tag.removeprefix("W/") for tag in parse_etags(if_none_match)]
    return "*" in held or etag in held
