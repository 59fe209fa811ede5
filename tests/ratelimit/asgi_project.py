"""A project for an ASGI server, which tells how often each request went to another thread.

DATABASE_URL and REDIS_URL say where its keys and buckets are. Run as a module it is its own manage.py.

Labels are whatever stands behind the question mark: ``/plain?anonymous`` counts for ``anonymous``. ``/hops`` answers
``{label: {"requests": number, "hops": number}}`` of the requests that are over.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import dj_database_url
from django.conf import settings

settings.configure(
    SECRET_KEY="of the limiter's own tests",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    INSTALLED_APPS=["ratelimit", "django.contrib.auth", "django.contrib.contenttypes"],
    MIDDLEWARE=["ratelimit.middleware.RateLimitMiddleware"],
    DATABASES={"default": dj_database_url.parse(os.environ["DATABASE_URL"])},
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "ratelimit": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": os.environ["REDIS_URL"]},
    },
    RATELIMIT_TIERS={  # a token in 7 hours and 43 minutes, so that what is left is exact however slow the machine
        "anonymous": {"limit": 100, "window_seconds": 30 * 86_400},
        "api_key": {"limit": 1_000, "window_seconds": 30 * 86_400},
    },
    RATELIMIT_TRUSTED_PROXIES=["127.0.0.1"],  # so that a test has as many clients as it likes
    RATELIMIT_EXEMPT_PATHS=["/exempt/*"],
    RATELIMIT_READ_TIMEOUT_SECONDS=5,  # a busy machine is no outage
    RATELIMIT_CONNECT_TIMEOUT_SECONDS=10,
)

import django  # noqa: E402 - settings first

django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402 - as above
from django.core.management import execute_from_command_line  # noqa: E402 - as above
from django.http import HttpRequest, HttpResponse  # noqa: E402 - as above
from django.urls import path  # noqa: E402 - as above

from ratelimit import rate_limit  # noqa: E402 - as above

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]


async def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("fine")


async def refusing(request: HttpRequest) -> HttpResponse:
    """Django hands the log line of an answer like this to another thread."""
    return HttpResponse("no", status=429)


urlpatterns = [
    path("plain", plain),
    path("dear", rate_limit(cost=2, scope="search", limit="12/30d")(plain)),
    path("exempt/plain", plain),
    path("exempt/dear", rate_limit(cost=2, scope="search", limit="12/30d")(plain)),
    path("exempt/refusing", refusing),
]


# --- hops -------------------------------------------------------------------------------------------------------------


class Hops:
    """Of one request; whatever it starts on the event loop inherits this, other threads do not."""

    def __init__(self) -> None:
        self.count = 0
        self.is_submitting = False


_of_request: ContextVar[Hops | None] = ContextVar("hops", default=None)
_by_label: dict[str, dict[str, int]] = defaultdict(lambda: {"requests": 0, "hops": 0})
_submit, _start = ThreadPoolExecutor.submit, threading.Thread.start


def counting_submit(executor: ThreadPoolExecutor, *arguments: Any, **named: Any) -> Any:
    hops = _of_request.get()
    if hops is None:
        return _submit(executor, *arguments, **named)
    hops.count += 1
    hops.is_submitting = True  # whether a pool needs one more thread for it is its own matter
    try:
        return _submit(executor, *arguments, **named)
    finally:
        hops.is_submitting = False


def counting_start(thread: threading.Thread) -> None:
    hops = _of_request.get()
    if hops is not None and not hops.is_submitting:
        hops.count += 1
    _start(thread)


ThreadPoolExecutor.submit = counting_submit  # type: ignore[method-assign]  # this is how they are counted
threading.Thread.start = counting_start  # type: ignore[method-assign]  # as above

_django = get_asgi_application()


async def application(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "http" and scope["path"] == "/hops":
        body = json.dumps(_by_label).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    hops = Hops()
    _of_request.set(hops)
    await _django(scope, receive, send)  # type: ignore[arg-type]  # Django says dict
    counted = _by_label[scope["query_string"].decode()]
    counted["requests"] += 1
    counted["hops"] += hops.count


if __name__ == "__main__":
    execute_from_command_line(sys.argv)
