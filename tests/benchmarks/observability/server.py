"""The project in a real gunicorn, and a client that keeps its connection."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

from tests.benchmarks.observability.rounds import clean_environment
from tests.installation import HOUSE
from tests.services import free_port

START_SECONDS = 60.0
PATIENCE_SECONDS = 10.0
GTHREAD: Sequence[str] = ("--worker-class", "gthread", "--threads", "4")
_CONFIGURATION = "tests/benchmarks/observability/gunicorn_conf.py"
SYNC: Sequence[str] = ("--worker-class", "sync")


@dataclass(frozen=True)
class Answer:
    """``status`` is 0 where there was none; ``seconds`` until its last byte or the error."""

    status: int
    seconds: float
    body: bytes = b""


class Server:
    """In a process group of its own; make it with ``serving``."""

    def __init__(
        self, kind: str, options: Sequence[str], workers: int, folder: Path | None, more: Mapping[str, str]
    ) -> None:
        self.port = free_port()
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it is closed in end
        environment = clean_environment() | {"BENCH_KIND": kind} | dict(more)
        if folder is not None:
            environment["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        command = [sys.executable, "-m", "gunicorn", "--config", _CONFIGURATION, "--bind", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(
            [
                *command,
                "--workers",
                str(workers),
                *options,
                "--log-level",
                "error",
                f"{__package__}.project:application",
            ],
            cwd=HOUSE,
            env=environment,
            start_new_session=True,
            stderr=self._errors,
        )

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Over a connection of its own."""
        with contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)) as connection:
            return ask(connection, path, headers)

    def workers(self) -> list[int]:
        """Their process ids, as the kernel knows them."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split()]

    def cpu_seconds(self) -> float:
        """What its workers have used so far; those that are gone do not count."""
        processes = [psutil.Process(worker).cpu_times() for worker in self.workers()]
        return float(sum(times.user + times.system for times in processes))

    def wait_until_it_serves(self) -> None:
        until = time.monotonic() + START_SECONDS
        while self.get("/hello/").status != 200:
            if time.monotonic() > until or self.process.poll() is not None:
                self._errors.seek(0)
                raise RuntimeError(f"the server does not start: {self._errors.read()[-300:]}")
            time.sleep(0.02)

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._errors.close()


@contextlib.contextmanager
def serving(
    kind: str,
    options: Sequence[str],
    *,
    workers: int = 1,
    folder: Path | None = None,
    more: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """``folder`` is that of the processes' numbers, ``more`` what the project is told in its environment."""
    server = Server(kind, options, workers, folder, more or {})
    try:
        server.wait_until_it_serves()
        yield server
    finally:
        server.end()


def ask(connection: HTTPConnection, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    at = time.perf_counter()
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException):
        connection.close()
        return Answer(0, time.perf_counter() - at)
    return Answer(response.status, time.perf_counter() - at, body)
