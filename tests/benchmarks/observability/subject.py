"""A worker process with the project under one kind of metrics: times a block of calls, in this process's CPU time.

Run with BENCH_KIND by any interpreter that has what the kind needs.
"""

from __future__ import annotations

import gc
import io
import itertools
import sys
from collections.abc import Callable
from time import process_time_ns

from tests.benchmarks.comparison.told import serve
from tests.benchmarks.observability import operations
from tests.benchmarks.observability.project import KIND, application

Call = Callable[[], object]

_WARMING_CALLS = 300


# --- what is timed ----------------------------------------------------------------------------------------------------


def request() -> Call:
    """A whole request without a server."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/hello/",
        "QUERY_STRING": "",
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    statuses: list[str] = []

    def start_response(status: str, *_: object) -> Callable[[bytes], object]:
        statuses[:] = [status]
        return lambda _: None

    def call() -> None:
        response = application({**environ, "wsgi.input": io.BytesIO(b"")}, start_response)
        b"".join(response)
        response.close()

    call()
    assert statuses == ["200 OK"], statuses
    return call


def query() -> Call:
    """The least that a database can be asked."""
    from django.db import connection

    def call() -> None:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
            cursor.fetchone()

    return call


def cache_get() -> Call:
    from django.core.cache import cache

    cache.set("key", 1)
    return lambda: cache.get("key")


TARGETS: dict[str, Callable[[], Call]] = {
    "request": request,
    "query": query,
    "cache get": cache_get,
}


# --- timing -----------------------------------------------------------------------------------------------------------

_made: dict[str, Call] = {}


def time_block(target: str, calls: int) -> float:
    """Microseconds of CPU per call, the garbage collector's share among them."""
    call = _call_of(target)
    for _ in range(5):
        call()
    started = process_time_ns()
    for _ in itertools.repeat(None, calls):
        call()
    return (process_time_ns() - started) / calls / 1000


def _call_of(target: str) -> Call:
    if target not in _made:
        if target in TARGETS:
            _made[target] = TARGETS[target]()
        else:
            _made.update(operations.ours() if KIND == "ours" else operations.peers())
        for _ in range(_WARMING_CALLS):
            _made[target]()
        gc.collect()
        gc.freeze()  # what has been imported is not looked through in the midst of a block
    return _made[target]


if __name__ == "__main__":
    serve({"time_block": time_block})
