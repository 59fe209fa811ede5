"""The bare views that requests are timed through, and a middleware that does nothing but await a round trip."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.decorators import async_only_middleware
from redis import asyncio as aredis


def bare(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


async def bare_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


@async_only_middleware
def pinging(get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> Callable[[HttpRequest], object]:
    """The least that asking Redis can cost a request on a loop, with the client library's own pool."""
    client = aredis.Redis.from_url(settings.CACHES["redis"]["LOCATION"])

    async def answer(request: HttpRequest) -> HttpResponse:
        await client.ping()
        return await get_response(request)

    return answer


urlpatterns = [path("bare", bare), path("bare-async", bare_async)]
