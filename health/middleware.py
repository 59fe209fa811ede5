"""In front of everything: answers probes before hosts, redirects, sessions and limits have a say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from health.conf import conf
from health.registry import read_entries
from health.views import aanswer, answer


class HealthMiddleware:
    """Belongs first in MIDDLEWARE (health.W002). Answers all that is under HEALTH_PATH and passes on all else."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
        with suppress(Exception):  # whatever is wrong, the first probe tells
            # Loads drivers now, while the server starts. What is made is thrown away: a project of one file with its
            # checks in it is not read to its end here, and the engine would know them as unusable for ever.
            list(read_entries())

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self.__acall__(request)
        is_ours, path = _split(request)
        response: HttpResponseBase = answer(request, path) if is_ours else self.get_response(request)
        return response

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        is_ours, path = _split(request)
        response: HttpResponseBase = await (aanswer(request, path) if is_ours else self.get_response(request))
        return response


def _split(request: HttpRequest) -> tuple[bool, str]:
    """Whether a probe asks, and what follows HEALTH_PATH."""
    head, prefix, rest = request.path_info.partition(conf.path)
    return bool(prefix) and not head and (not rest or rest[0] == "/"), rest[1:]
