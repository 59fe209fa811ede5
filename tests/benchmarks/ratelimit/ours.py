"""A worker process with this limiter, on the store that BENCH_STORE names: times, decides and counts as it is told."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.ratelimit.settings"
django.setup()

import redis  # noqa: E402 - Django must be set up first
from django.conf import settings  # noqa: E402 - as above
from django.core.handlers.asgi import ASGIHandler  # noqa: E402 - as above
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402 - as above
from django.http import HttpRequest  # noqa: E402 - as above

from ratelimit import Decision, Identity, RateLimitTier, get_rate_limiter  # noqa: E402 - as above
from ratelimit.identity import resolve  # noqa: E402 - as above
from tests.benchmarks.comparison.told import serve  # noqa: E402 - as above
from tests.benchmarks.ratelimit.timing import Call, Stopwatch  # noqa: E402 - as above

MIDDLEWARE = "ratelimit.middleware.RateLimitMiddleware"
PINGING = "tests.benchmarks.ratelimit.views.pinging"
IDENTITIES = [Identity.of(f"id{number:04}") for number in range(250)]
ADDRESSES = [f"10.0.0.{number}" for number in range(250)]
REDIS_URL = os.environ["BENCH_REDIS_URL"]


# --- decisions -------------------------------------------------------------------------------------------------------


def round_trip() -> Call:
    """The reference: the most trivial script through the client library."""
    client = redis.Redis.from_url(REDIS_URL)
    digest = client.script_load("return 1")
    return lambda _: client.evalsha(digest, 1, "key")


def check() -> Call:
    limiter = get_rate_limiter()
    return lambda number: limiter.check(IDENTITIES[number % len(IDENTITIES)])


def check_and_read() -> Call:
    limiter = get_rate_limiter()
    return lambda number: read(limiter.check(IDENTITIES[number % len(IDENTITIES)]))


def read(decision: Decision) -> Decision:
    """All that headers need."""
    _ = decision.limit, decision.remaining, decision.reset_after_seconds, decision.retry_after_seconds
    return decision


def exhausted() -> Identity:
    identity = Identity.of("exhausted", RateLimitTier.ANONYMOUS)
    while get_rate_limiter().check(identity).allowed:
        pass
    return identity


def denial() -> Call:
    identity, limiter = exhausted(), get_rate_limiter()
    return lambda _: limiter.check(identity)


def denial_and_read() -> Call:
    identity, limiter = exhausted(), get_rate_limiter()
    return lambda _: read(limiter.check(identity))


# --- requests --------------------------------------------------------------------------------------------------------


def wsgi_request(*middleware: str) -> Call:
    settings.MIDDLEWARE = list(middleware)
    handler = WSGIHandler()
    for number in range(len(ADDRESSES)):  # a client's first request costs some 10 µs more: its address is new
        answer(handler, number)
    return partial(answer, handler)


def answer(handler: WSGIHandler, number: int) -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/bare",
        "QUERY_STRING": "",
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": ADDRESSES[number % len(ADDRESSES)],
        "wsgi.input": io.BytesIO(b""),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    statuses: list[str] = []

    def start_response(status: str, *_: object) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda _: None

    response = handler(environ, start_response)
    b"".join(response)
    response.close()
    assert statuses == ["200 OK"], statuses


_loop = asyncio.Runner()


def asgi_request(*middleware: str) -> Call:
    settings.MIDDLEWARE = list(middleware)
    handler = ASGIHandler()
    for number in range(len(ADDRESSES)):
        _loop.run(answer_async(handler, number))
    return lambda number: _loop.run(answer_async(handler, number))


async def answer_async(handler: ASGIHandler, number: int) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/bare-async",
        "query_string": b"",
        "headers": [],
        "server": ("x", 80),
        "client": (ADDRESSES[number % len(ADDRESSES)], 1),
    }
    sent: list[Mapping[str, Any]] = []
    body_is_read = False

    async def receive() -> dict[str, Any]:
        nonlocal body_is_read
        if body_is_read:
            await asyncio.Event().wait()  # the client stays
        body_is_read = True
        return {"type": "http.request"}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    await handler(scope, receive, send)
    assert sent[0]["status"] == 200, sent


STOPWATCH = Stopwatch(
    {
        "round trip": round_trip,
        "check": check,
        "check and read": check_and_read,
        "denial": denial,
        "denial and read": denial_and_read,
        "bare WSGI": wsgi_request,
        "limited WSGI": partial(wsgi_request, MIDDLEWARE),
        "bare ASGI": asgi_request,
        "limited ASGI": partial(asgi_request, MIDDLEWARE),
        "pinging ASGI": partial(asgi_request, PINGING),
    }
)


# --- proofs ----------------------------------------------------------------------------------------------------------


def thread_hops(requests: int) -> dict[str, int]:
    """Work that was handed to other threads during so many ASGI requests without and with the limiter."""
    counts = {}
    for name, call in (("bare", asgi_request()), ("limited", asgi_request(MIDDLEWARE))):
        call(0)
        with counted_hops() as hops:
            for number in range(requests):
                call(number)
        counts[name] = hops.total()
    return counts


@contextmanager
def counted_hops() -> Any:
    hops: Counter[str] = Counter()

    def counting(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any, **named: Any) -> Any:
            hops[name] += 1
            return original(*arguments, **named)

        return count

    with (
        patch.object(ThreadPoolExecutor, "submit", counting("submitted", ThreadPoolExecutor.submit)),
        patch.object(threading.Thread, "start", counting("started", threading.Thread.start)),
    ):
        yield hops


def request_ms() -> float:
    """What one limited request takes, as a whole."""
    call = STOPWATCH.call_of("limited WSGI")
    started = time.perf_counter()
    call(0)
    return (time.perf_counter() - started) * 1000


def latencies_us(count: int) -> list[float]:
    """Of so many decisions, one after the other."""
    decide, taken = STOPWATCH.call_of("check and read"), []
    for number in range(count):
        started = time.perf_counter_ns()
        decide(number)
        taken.append((time.perf_counter_ns() - started) / 1000)
    return taken


def decided_by(backend: str, patience_seconds: float) -> float | None:
    """When (monotonic clock, which all processes share) a decision was first made by the backend; None: not in time."""
    limiter = get_rate_limiter()
    deadline = time.monotonic() + patience_seconds
    for number in range(sys.maxsize):
        if limiter.check(IDENTITIES[number % len(IDENTITIES)]).backend == backend:
            return time.monotonic()
        if time.monotonic() > deadline:
            return None
        time.sleep(0.002)
    return None


def hammer(name: str, start_at: float, seconds: float) -> dict[str, float]:
    """Ask for one anonymous client 1,000 times a second; ``first`` and ``last``: when (monotonic clock) that was.

    Without the pauses many such processes would starve the server on a small machine, and measure the breaker.
    """
    limiter, identity = get_rate_limiter(), Identity.of(name, RateLimitTier.ANONYMOUS)
    admitted, asked, alone = 0, 0, 0
    while time.monotonic() < start_at:
        time.sleep(0.001)
    first = last = time.monotonic()
    while last < first + seconds:
        decision = limiter.check(identity)
        asked += 1
        admitted += decision.allowed
        alone += decision.backend == "memory"
        last = time.monotonic()
        time.sleep(0.001)
    return {"admitted": admitted, "asked": asked, "alone": alone, "first": first, "last": last}


def crowd(addresses: int) -> dict[str, Any]:
    """Requests from so many addresses, each once: megabytes by which this process grew, and who decided."""
    limiter, request = get_rate_limiter(), HttpRequest()
    request.META["REMOTE_ADDR"] = "192.0.2.1"
    limiter.check(resolve(request))
    before, backends = resident_mb(), Counter[str]()
    for number in range(addresses):
        request.META["REMOTE_ADDR"] = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        backends[limiter.check(resolve(request)).backend] += 1
    return {"grown_mb": resident_mb() - before, "backends": backends}


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


def ask_each(names: list[str]) -> list[str]:
    """One decision for each name; the keys of their buckets are made of these digests."""
    identities = [Identity.of(name) for name in names]
    for identity in identities:
        get_rate_limiter().check(identity)
    return [identity.digest for identity in identities]


if __name__ == "__main__":
    serve(
        {
            "median_us": STOPWATCH.median_us,
            "thread_hops": thread_hops,
            "request_ms": request_ms,
            "latencies_us": latencies_us,
            "decided_by": decided_by,
            "hammer": hammer,
            "crowd": crowd,
            "ask_each": ask_each,
        }
    )
