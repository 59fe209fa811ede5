"""In front of every view: asks the limiter, answers 429, and tells each client how it stands."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from time import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from ratelimit.bucket import Decision
from ratelimit.conf import conf, settled
from ratelimit.headers import denial_headers, limit_headers, stamp
from ratelimit.identity import Identity, aresolve, resolve
from ratelimit.identity.identities import address_identity
from ratelimit.limiter import get_rate_limiter
from ratelimit.responses import problem

logger = logging.getLogger(__name__)


class RateLimitMiddleware:
    """Belongs behind AuthenticationMiddleware, and behind whatever adds headers that a 429 needs too (ratelimit.W009).

    Without a limit go static files, RATELIMIT_EXEMPT_PATHS and CORS preflights.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self.__acall__(request)
        response: HttpResponseBase
        if _is_exempt(request):
            response = self.get_response(request)
            return response
        try:
            identity = resolve(request)
        except Exception as error:  # noqa: BLE001 - told there; a request must not fail because it is to be limited
            identity = _by_address(request, error)
        decision = get_rate_limiter().check(identity)
        if not decision.allowed:
            return _refusal(request, decision)
        headers = limit_headers(decision, time())
        response = self.get_response(request)
        stamp(response, headers)
        return response

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase
        if _is_exempt(request):
            response = await self.get_response(request)
            return response
        try:
            identity = await aresolve(request)
        except Exception as error:  # noqa: BLE001 - as above
            identity = _by_address(request, error)
        decision = await get_rate_limiter().acheck(identity)
        if not decision.allowed:
            return _refusal(request, decision)
        headers = limit_headers(decision, time())
        response = await self.get_response(request)
        stamp(response, headers)
        return response


def _by_address(request: HttpRequest, error: Exception) -> Identity:
    logger.error("Who asks could not be told; the address of the connection counts", exc_info=error)
    return address_identity(request.META.get("REMOTE_ADDR") or "")


def _refusal(request: HttpRequest, decision: Decision) -> HttpResponseBase:
    try:
        response: HttpResponseBase = _denied_view()(request, decision)
    except Exception:
        logger.exception("RATELIMIT_DENIED_VIEW failed; the plain answer was sent")
        response = problem(decision)
    stamp(response, denial_headers(decision, time()))
    return response


def _is_exempt(request: HttpRequest) -> bool:
    paths, prefixes, static = _exempt()
    place = request.path_info
    if place in paths or place.startswith(prefixes) or request.path.startswith(static):
        return True
    # https://fetch.spec.whatwg.org/#cors-preflight-request: both headers are always there
    return (
        request.method == "OPTIONS"
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META
        and "HTTP_ORIGIN" in request.META
    )


class _Exempt(NamedTuple):
    paths: frozenset[str]
    prefixes: tuple[str, ...]
    static: tuple[str, ...]


@settled
def _exempt() -> _Exempt:
    listed = conf.exempt_paths
    return _Exempt(
        paths=frozenset(path for path in listed if not path.endswith("*")),
        prefixes=tuple(path[:-1] for path in listed if path.endswith("*") and path.startswith("/")),
        static=_static(),
    )


def _static() -> tuple[str, ...]:
    """STATIC_URL, unless another host serves it or it is the root, which would exempt everything."""
    try:
        url = urlsplit(settings.STATIC_URL or "")
    except (AttributeError, TypeError, ValueError):
        logger.exception("STATIC_URL is no URL, so that static files are limited")
        return ()
    return (url.path,) if url.path.strip("/") and not url.netloc else ()


@settled
def _denied_view() -> Callable[[HttpRequest, Decision], HttpResponseBase]:
    view: Callable[[HttpRequest, Decision], HttpResponseBase] = import_string(conf.denied_view)
    return view
