"""Worker processes: each is told over a pipe what to do, so that two environments can take turns."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.comparison.environment import peers_python
from tests.installation import HOUSE


class WorkerFailedError(Exception):
    """It ended, with what it last wrote to standard error."""


class Worker:
    """A running process; ``ask`` it for something, or ``tell`` several and then ``hear`` each."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it is closed in end
        self._process = subprocess.Popen(
            command,
            cwd=HOUSE,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, action: str, **arguments: Any) -> Any:
        self.tell(action, **arguments)
        return self.hear()

    def tell(self, action: str, **arguments: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # hearing nothing tells why
            self._process.stdin.write(json.dumps([action, arguments]) + "\n")
            self._process.stdin.flush()

    def hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise WorkerFailedError(self._errors.read()[-2000:])
        return json.loads(line)

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait(10)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(BrokenPipeError):  # a line it never read
                stream.close()


@contextlib.contextmanager
def our_worker(store: str, redis_url: str = "") -> Iterator[Worker]:
    """A process with this limiter on one of the stores of ``settings``: ``redis``, ``ordinary`` or ``memory``."""
    environment = {**os.environ, "BENCH_STORE": store, "BENCH_REDIS_URL": redis_url}
    worker = Worker([sys.executable, "-m", f"{__package__}.ours"], environment)
    try:
        yield worker
    finally:
        worker.end()


@contextlib.contextmanager
def peers_worker(folder: Path, store: str, redis_port: int) -> Iterator[Worker]:
    """A process with the limiters of ``folder``, see ``peers``, on ``redis`` or in ``memory``."""
    environment = {**os.environ, "RL_PORT": str(redis_port), "PYTHONPATH": str(folder)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    worker = Worker([str(peers_python(folder)), "-m", f"{__package__}.peers", store], environment)
    try:
        yield worker
    finally:
        worker.end()
