"""The bench's project under each kind of gunicorn worker, and clients that ask it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from math import inf
from typing import Any

from tests.installation import HOUSE
from tests.services import free_port

KINDS: Mapping[str, Sequence[str]] = {
    "sync": ("--worker-class", "sync"),
    "gthread": ("--worker-class", "gthread", "--threads", "8"),
    "gthread preloaded": ("--worker-class", "gthread", "--threads", "8", "--preload"),
    "asgi": ("--worker-class", "asgi"),
}
LIVE, READY, STARTUP = "/health/live", "/health/ready", "/health/startup"
PATIENCE_SECONDS = 10.0
START_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """``status`` is the name of the error where there was none."""

    at: float
    """When it was asked for (monotonic)."""
    seconds: float
    status: int | str
    body: bytes = b""

    @property
    def ms(self) -> float:
        return self.seconds * 1000

    @property
    def told(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Surroundings:
    """What a server stands on; see ``project``."""

    database: str
    redis: str
    checks: Mapping[str, Any]
    conn_max_age: str = "0"
    gate: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {
            "BENCH_DATABASE": self.database,
            "BENCH_REDIS": self.redis,
            "BENCH_CHECKS": json.dumps(self.checks),
            "BENCH_CONN_MAX_AGE": self.conn_max_age,
            "BENCH_GATE": self.gate,
        }


class Server:
    """One gunicorn with one worker, in a process group of its own; make it with ``serving``."""

    def __init__(self, kind: str, around: Surroundings, drain_seconds: float) -> None:
        self.kind = kind
        self.port = free_port()
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it is closed in end
        options = ["--config", "tests/benchmarks/health/gunicorn_conf.py", "--bind", f"127.0.0.1:{self.port}"]
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *options, "--workers", "1", "--log-level", "error", *KINDS[kind],
             f"tests.benchmarks.health.project:{'asgi' if kind == 'asgi' else 'application'}"],
            cwd=HOUSE,
            env=kept | around.environment | {"HEALTH_DRAIN_SECONDS": str(drain_seconds)},
            start_new_session=True,
            stderr=self._errors,
        )  # fmt: skip

    def get(self, path: str, patience: float = PATIENCE_SECONDS) -> Answer:
        """Over a connection of its own, as a kubelet does."""
        with contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=patience)) as connection:
            return _ask(connection, path)

    def insides(self) -> Any:
        answer = self.get("/insides")
        if answer.status != 200:
            raise RuntimeError(f"the {self.kind} server does not tell its insides: {answer.status}")
        return answer.told

    def health_threads(self) -> Counter[str]:
        return Counter(name for name in self.insides()["threads"] if name.startswith("health-"))

    def wait_until_it_serves(self) -> None:
        until = time.monotonic() + START_SECONDS
        while self.get("/bare").status != 200:
            if time.monotonic() > until or self.process.poll() is not None:
                self._errors.seek(0)
                raise RuntimeError(f"the {self.kind} server does not start: {self._errors.read()[-300:]}")
            time.sleep(0.02)

    def wait_until_healthy(self) -> Answer:
        """The first probe that says so."""
        until = time.monotonic() + START_SECONDS
        while True:
            answer = self.get(READY)
            if answer.status == 200 and answer.told["status"] == "healthy":
                return answer
            if time.monotonic() > until:
                raise RuntimeError(f"the {self.kind} server does not get healthy: {answer.status} {answer.body!r}")
            time.sleep(0.05)

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._errors.close()


@contextlib.contextmanager
def started(kind: str, around: Surroundings, drain_seconds: float = 0.0) -> Iterator[Server]:
    server = Server(kind, around, drain_seconds)
    try:
        yield server
    finally:
        server.end()


@contextlib.contextmanager
def serving(kind: str, around: Surroundings, drain_seconds: float = 0.0) -> Iterator[Server]:
    """It has answered a page, and no probe was asked yet."""
    with started(kind, around, drain_seconds) as server:
        server.wait_until_it_serves()
        yield server


@contextlib.contextmanager
def serving_all(around: Mapping[str, tuple[str, Surroundings]]) -> Iterator[dict[str, Server]]:
    """Several at once: name → kind and surroundings."""
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(started(*one)) for name, one in around.items()}
        for server in servers.values():
            server.wait_until_it_serves()
        yield servers


def _ask(connection: HTTPConnection, path: str) -> Answer:
    at = time.monotonic()
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body, answered = response.read(), response.status
    except (OSError, HTTPException) as error:
        return Answer(at, time.monotonic() - at, type(error).__name__)
    return Answer(at, time.monotonic() - at, answered, body)


def flood(
    server: Server, path: str, count: int, *, at_once: int, per_second: float = 0.0, seconds: float = inf
) -> list[Answer]:
    """``count`` questions over ``at_once`` connections that are kept where the server does.

    Paced, where ``per_second`` is given, and ended after so many ``seconds`` although some were not asked.
    """
    answers: list[Answer] = []
    numbers = iter(range(count))
    lock = threading.Lock()
    began = time.monotonic()

    def next_number() -> int | None:
        with lock:
            return next(numbers, None)

    def ask() -> None:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
        while (number := next_number()) is not None and time.monotonic() < began + seconds:
            if per_second and (wait := began + number / per_second - time.monotonic()) > 0:
                time.sleep(wait)
            answer = _ask(connection, path)
            if isinstance(answer.status, str):
                connection.close()
            answers.append(answer)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def quantile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def statuses(answers: Sequence[Answer]) -> str:
    """Such as ``200 × 40, 503 × 2``."""
    return ", ".join(f"{status} × {count}" for status, count in sorted(_counted(answers).items()))


def _counted(answers: Sequence[Answer]) -> Counter[str]:
    return Counter(str(answer.status) for answer in answers)
