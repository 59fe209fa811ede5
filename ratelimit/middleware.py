"""In front of every view: asks the limiter, answers 429, and tells each client how it stands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import time
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ratelimit.bucket import Decision
from ratelimit.exemptions import is_exempt
from ratelimit.gate import Passage, admit, aidentify, identify, pass_freely, refuse
from ratelimit.headers import Headers, limit_headers, stamp
from ratelimit.limiter import get_rate_limiter


class RateLimitMiddleware:
    """Belongs behind AuthenticationMiddleware, and behind whatever adds headers that a 429 needs too (ratelimit.W009).

    Without a limit go static files, RATELIMIT_EXEMPT_PATHS, views marked with ``@exempt``, and CORS preflights. Views
    find how a request passed as ``request.rate_limit`` (a Passage; None without a limit).
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
        if is_exempt(request):
            pass_freely(request)
            response = self.get_response(request)
            return response
        identity = identify(request)
        decision = get_rate_limiter().check(identity)
        if not decision.allowed:
            return refuse(request, decision)
        passage = admit(request, identity, decision, has_middleware=True)
        headers = limit_headers(decision, time())
        response = self.get_response(request)
        stamp(response, _headers_now(passage, decision, headers))
        return response

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase
        if is_exempt(request):
            pass_freely(request)
            response = await self.get_response(request)
            return response
        identity = await aidentify(request)
        decision = await get_rate_limiter().acheck(identity)
        if not decision.allowed:
            return refuse(request, decision)
        passage = admit(request, identity, decision, has_middleware=True)
        headers = limit_headers(decision, time())
        response = await self.get_response(request)
        stamp(response, _headers_now(passage, decision, headers))
        return response


def _headers_now(passage: Passage, admission: Decision, headers: Headers) -> Headers:
    """Those of the admission, unless the view has asked for more since."""
    return headers if passage.decision is admission else limit_headers(passage.decision, time())
