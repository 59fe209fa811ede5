"""A worker process with other limiters, run in their own environment: `python -m … redis|memory`.

They come from scripts beside a ``requirements.txt``, in a folder that the driver puts on the path: ``common`` (REDIS
and MEMORY: name → factory(limit, seconds) → decide(identifier), on the Redis at port RL_PORT) and ``bench_wsgi``
(``stacks()``: name → (WSGI handler, path), and ``call(handler, path, number)``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

from tests.benchmarks.comparison.told import serve

from .timing import Call, Stopwatch

IDENTIFIERS = [f"id{number:04}" for number in range(250)]
LIMIT, SECONDS = 1000, 60


def decision(factory: Callable[[int, int], Callable[[str], object]]) -> Call:
    decide = factory(LIMIT, SECONDS)
    return lambda number: decide(IDENTIFIERS[number % len(IDENTIFIERS)])


def main() -> None:
    import bench_wsgi  # type: ignore[import-not-found]  # it reads the kind of store from the command line
    import common  # type: ignore[import-not-found]  # both are on the path of the peers' environment only

    group = common.MEMORY if sys.argv[1] == "memory" else common.REDIS
    targets: dict[str, Callable[[], Call]] = {name: partial(decision, factory) for name, factory in group.items()}
    for name, (handler, path) in bench_wsgi.stacks().items():
        targets[f"request: {name}"] = partial(partial, bench_wsgi.call, handler, path)
    serve({"median_us": Stopwatch(targets).median_us})


if __name__ == "__main__":
    main()
