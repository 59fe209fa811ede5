"""A process that forks short-lived workers, four at a time, which answer requests and end; half of them are killed.

BENCH_KIND says under which metrics, PROMETHEUS_MULTIPROC_DIR where they leave their numbers.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from tests.benchmarks.comparison.told import serve
from tests.benchmarks.observability.project import ROUTES, answered, environ

AT_ONCE = 4


def live(lives: int) -> int:
    """So many workers; the number of requests that they have answered."""
    for first in range(0, lives, AT_ONCE):
        _live_together(range(first, min(first + AT_ONCE, lives)))
    return lives * ROUTES


def _live_together(numbers: range) -> None:
    """None ends before all have answered, as workers of one server live side by side."""
    told, tell = os.pipe()
    waiting, hold = os.pipe()
    children = []
    for number in numbers:
        child = os.fork()
        if child == 0:
            os.close(hold)
            _answer_and_end(tell, waiting, is_killed=number % 2 == 0)
        children.append(child)
    os.close(tell)
    os.close(waiting)
    done = b""
    while len(done) < len(numbers) and (more := os.read(told, AT_ONCE)):
        done += more
    os.close(hold)
    os.close(told)
    for child in children:
        os.waitpid(child, 0)
    if done != b"+" * len(numbers):
        raise RuntimeError(f"of {len(numbers)} workers {len(done)} have answered")


def _answer_and_end(tell: int, waiting: int, *, is_killed: bool) -> NoReturn:
    try:
        for number in range(ROUTES):
            answered(environ(f"/r{number}/"))
        os.write(tell, b"+")
        os.read(waiting, 1)
        if is_killed:
            os.kill(os.getpid(), signal.SIGKILL)
    finally:
        os._exit(0)


if __name__ == "__main__":
    serve({"live": live})
