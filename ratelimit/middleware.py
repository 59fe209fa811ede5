"""In front of every view: asks the limiter, answers 429, and tells each client how it stands."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from time import time
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from ratelimit.bucket import Decision
from ratelimit.conf import conf, settled
from ratelimit.headers import Headers, denial_headers, limit_headers
from ratelimit.identity import aresolve, resolve
from ratelimit.limiter import get_rate_limiter
from ratelimit.responses import problem

logger = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]
AGetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


class RateLimitMiddleware:
    """Belongs behind AuthenticationMiddleware, and behind whatever adds headers that a 429 needs too.

    Without a limit go static files, RATELIMIT_EXEMPT_PATHS and CORS preflights.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse | AGetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self.__acall__(request)
        go_on = cast("GetResponse", self.get_response)
        if _is_exempt(request):
            return go_on(request)
        decision = get_rate_limiter().check(resolve(request))
        if not decision.allowed:
            return _refusal(request, decision)
        headers = limit_headers(decision, time())
        return _stamped(go_on(request), headers)

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        go_on = cast("AGetResponse", self.get_response)
        if _is_exempt(request):
            return await go_on(request)
        decision = await get_rate_limiter().acheck(await aresolve(request))
        if not decision.allowed:
            return _refusal(request, decision)
        headers = limit_headers(decision, time())
        return _stamped(await go_on(request), headers)


def _refusal(request: HttpRequest, decision: Decision) -> HttpResponseBase:
    try:
        response: HttpResponseBase = _denied_view()(request, decision)
    except Exception:
        logger.exception("RATELIMIT_DENIED_VIEW failed; the plain answer was sent")
        response = problem(decision)
    return _stamped(response, denial_headers(decision, time()))


def _stamped(response: HttpResponseBase, headers: Headers) -> HttpResponseBase:
    for name, value in headers.items():
        response.headers[name] = value
    return response


def _is_exempt(request: HttpRequest) -> bool:
    exempt = _exempt()
    if request.path_info in exempt.paths or request.path_info.startswith(exempt.prefixes):
        return True
    if request.path.startswith(exempt.static):
        return True
    return request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META


class _Exempt(NamedTuple):
    paths: frozenset[str]
    prefixes: tuple[str, ...]
    static: tuple[str, ...]
    """STATIC_URL, unless another host serves it or it is the root, which would exempt everything."""


@settled
def _exempt() -> _Exempt:
    listed = conf.exempt_paths
    static = urlsplit(settings.STATIC_URL or "")
    return _Exempt(
        paths=frozenset(path for path in listed if not path.endswith("*")),
        prefixes=tuple(path[:-1] for path in listed if path.endswith("*") and path.startswith("/")),
        static=(static.path,) if static.path.strip("/") and not static.netloc else (),
    )


@settled
def _denied_view() -> Callable[[HttpRequest, Decision], HttpResponseBase]:
    view: Callable[[HttpRequest, Decision], HttpResponseBase] = import_string(conf.denied_view)
    return view
