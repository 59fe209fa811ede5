"""A worker process with the project under one kind of metrics: times a block of calls, in this process's CPU time.

Run with BENCH_KIND by any interpreter that has what the kind needs.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable
from time import process_time_ns

from tests.benchmarks.comparison.told import serve
from tests.benchmarks.observability import operations, project

Call = Callable[[], object]

_WARMING_CALLS = 300


# --- what is timed ----------------------------------------------------------------------------------------------------


def request() -> Call:
    """A whole request without a server."""
    request, answered = project.environ("/hello/"), project.answered
    return lambda: answered(request)


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
            _made.update(operations.ours() if project.KIND == "ours" else operations.peers())
        for _ in range(_WARMING_CALLS):
            _made[target]()
        gc.collect()
        gc.freeze()  # what has been imported is not looked through in the midst of a block
    return _made[target]


if __name__ == "__main__":
    serve({"time_block": time_block})
