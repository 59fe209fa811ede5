"""A process that forks short-lived workers, four at a time, which answer requests and end; half of them are killed.

BENCH_KIND says under which metrics, PROMETHEUS_MULTIPROC_DIR where they leave their numbers.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import NoReturn

from tests.benchmarks.comparison.told import serve
from tests.benchmarks.observability.project import application

AT_ONCE = 4
ROUTES = 20


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
    answered = b""
    while len(answered) < len(numbers) and (more := os.read(told, AT_ONCE)):
        answered += more
    os.close(hold)
    os.close(told)
    for child in children:
        os.waitpid(child, 0)
    if answered != b"+" * len(numbers):
        raise RuntimeError(f"of {len(numbers)} workers {len(answered)} have answered")


def _answer_and_end(tell: int, waiting: int, *, is_killed: bool) -> NoReturn:
    try:
        for number in range(ROUTES):
            _answer(f"/r{number}/")
        os.write(tell, b"+")
        os.read(waiting, 1)
        if is_killed:
            os.kill(os.getpid(), signal.SIGKILL)
    finally:
        os._exit(0)


def _answer(path: str) -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.errors": sys.stderr,
        "wsgi.input": io.BytesIO(b""),
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    response = application(environ, lambda *_: lambda _: None)
    b"".join(response)
    response.close()


if __name__ == "__main__":
    serve({"live": live})
