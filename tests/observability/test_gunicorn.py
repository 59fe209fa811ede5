"""Under a real server with four workers no request is lost or counted twice, whatever becomes of the workers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Self

import psutil
import pytest

from observability.multiprocess.reading import Parser, read_folder
from tests.observability.processes import HOUSE, environment
from tests.services import free_port

PATIENCE_SECONDS = 40
WORKERS = 4


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    def ask(self) -> int:
        with contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)) as connection:
            connection.request("GET", "/hello/")
            response = connection.getresponse()
            response.read()
            return response.status

    def workers(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def total(self, name: str = "http_requests_total") -> float:
        reading = read_folder(self.folder, Parser())
        assert reading.skipped_files == 0
        samples = [sample for family in reading.families.values() for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if sample.labels.get("endpoint", "hello/") == "hello/")


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """Its options come from the test's parameter."""
    port, folder = free_port(), tmp_path / "metrics"
    command = [
        *(sys.executable, "-m", "gunicorn", "tests.observability.served:application", "--no-control-socket"),
        *("--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS), "--log-level", "error", *request.param),
    ]
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(command, env=environment(folder), cwd=HOUSE, stdout=log, stderr=log)
    made = Server(process, port, folder)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with contextlib.suppress(OSError, HTTPException):
                made.ask()
                break
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.05)
        yield made
    finally:
        process.send_signal(signal.SIGQUIT)  # without waiting for idle connections
        process.wait(PATIENCE_SECONDS)
        log.close()


@dataclass
class Load:
    """Clients that ask until told to stop, and know what they were answered."""

    server: Server
    clients: int = 6
    answered: int = 0
    broken: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                is_fine = self.server.ask() == 200
            except (OSError, HTTPException):
                is_fine = False
            with self._lock:
                self.answered += is_fine
                self.broken += not is_fine

    def until(self, answered: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.answered < answered and time.monotonic() < deadline:
            time.sleep(0.02)


SYNC = ()
THREADS = ("--threads", "4")
PRELOADED = ("--threads", "4", "--preload")
RECYCLED = ("--threads", "2", "--max-requests", "60", "--max-requests-jitter", "20")

pytestmark = pytest.mark.timeout(200)


@pytest.mark.parametrize("server", [SYNC, THREADS, PRELOADED], indirect=True, ids=["sync", "gthread", "preloaded"])
def test_totals_are_exact_after_thousands_of_requests(server: Server) -> None:
    before = server.total()
    with Load(server) as load:
        load.until(2_000)
    assert load.broken == 0
    assert server.total() - before == load.answered
    assert server.total("http_request_duration_seconds_count") == server.total()
    assert server.total("http_requests_in_progress") == 0


@pytest.mark.parametrize("server", [THREADS, PRELOADED], indirect=True, ids=["gthread", "preloaded"])
def test_totals_are_exact_after_workers_were_killed(server: Server) -> None:
    """What a killed worker was at was answered to nobody; it may have been counted."""
    before = server.total()
    with Load(server) as load:
        for number in range(6):
            load.until(200 * (number + 1))
            os.kill(server.workers()[0], signal.SIGKILL)
        load.until(1_600)
    assert load.answered <= server.total() - before <= load.answered + load.broken
    assert load.broken <= 6 * 8
    assert len(list(server.folder.glob("counter_*.db"))) <= WORKERS + 3


@pytest.mark.parametrize("server", [SYNC, PRELOADED], indirect=True, ids=["sync", "preloaded"])
def test_totals_are_exact_after_reloads_under_load(server: Server) -> None:
    before = server.total()
    with Load(server) as load:
        for number in range(3):
            load.until(300 * (number + 1))
            old = set(server.workers())
            server.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while old & set(server.workers()) and time.monotonic() < deadline:
                time.sleep(0.05)
        load.until(1_200)
    assert load.answered <= server.total() - before <= load.answered + load.broken
    assert len(list(server.folder.glob("counter_*.db"))) <= 2 * WORKERS + 1


@pytest.mark.parametrize("server", [RECYCLED], indirect=True, ids=["recycled"])
def test_totals_are_exact_and_files_few_while_workers_are_recycled(server: Server) -> None:
    before = server.total()
    with Load(server) as load:
        load.until(2_000)
    assert load.answered <= server.total() - before <= load.answered + load.broken
    assert len(list(server.folder.glob("counter_*.db"))) <= 2 * WORKERS
