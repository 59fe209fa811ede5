"""Which servers the tests talk to; a pytest plugin, loaded before Django reads its settings.

``TEST_DATABASE`` chooses ``sqlite`` (default) or ``postgresql``. A server is taken from ``DATABASE_URL`` where that
names one, else from what answers on localhost, else a private one is started from the binaries on this
machine, on a free port, and ended with the test run. Where none can be had the tests that need it are skipped with the
reason; with ``REQUIRE_SERVICES=1`` that is a failure.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest

REQUIRED = os.environ.get("REQUIRE_SERVICES") == "1"
WANTS_POSTGRESQL = os.environ.get("TEST_DATABASE", "sqlite") == "postgresql"
START_TIMEOUT_SECONDS = 30
_NAMED_DATABASE = os.environ.get("DATABASE_URL", "")  # read now: below it is replaced by the tests' own


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.Error:
        return False
    return True


def binary(name: str) -> str | None:
    """On PATH, or where Debian keeps the servers' own programs."""
    found = shutil.which(name)
    if found:
        return found
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(beside[-1]) if beside else None


def _as_unprivileged_user(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root; Debian's package brings a user for it."""
    return (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        if os.geteuid() == 0
        else command
    )


def start_postgresql() -> str | None:
    """The URL of a private one, or None where it cannot be had."""
    initdb, postgres = binary("initdb"), binary("postgres")
    if not initdb or not postgres:
        return None
    folder = tempfile.mkdtemp(prefix="signal-harvester-postgresql-")
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data, port = f"{folder}/data", free_port()
    subprocess.run(
        _as_unprivileged_user([initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]),
        check=True,
        capture_output=True,
        cwd=folder,
    )
    options = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k", folder]
    server = subprocess.Popen(
        _as_unprivileged_user([postgres, "-D", data, "-p", str(port), *options]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )

    def end() -> None:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if _answers(url):
            return url
        time.sleep(0.1)
    return None


@functools.cache
def postgresql_url() -> str | None:
    """A PostgreSQL in which databases may be created, or None."""
    if _NAMED_DATABASE.startswith("postgres"):
        return _NAMED_DATABASE
    local = "postgresql://postgres@127.0.0.1:5432/postgres"
    return local if _answers(local) else start_postgresql()


def require_postgresql() -> str:
    """As ``postgresql_url``; skips the test where there is none, or fails it where services are required."""
    url = postgresql_url()
    if url is None:
        _missing("no PostgreSQL answers and none can be started here")
    return url


class RedisProcess:
    """A redis-server of the test's own, to be killed, stopped and started again on its port.

    With a ``settings`` file it is a Sentinel.
    """

    def __init__(self, *options: str, port: int | None = None, settings: Path | None = None) -> None:
        found = binary("redis-server")
        if found is None:
            _missing("no redis-server binary is on PATH")
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        kind = ["--save", "", "--appendonly", "no"] if settings is None else [str(settings), "--sentinel"]
        self._command = [found, *kind, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", _scratch, *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not _listens(self.port):
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.kill()
                _missing("redis-server does not start here")
            time.sleep(0.01)

    def hang(self) -> None:
        """It keeps its connections, accepts new ones and answers nobody."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def _send(self, number: int) -> None:
        assert self._process is not None, "start it first"
        self._process.send_signal(number)


@contextlib.contextmanager
def redis_process(*options: str, port: int | None = None, settings: Path | None = None) -> Iterator[RedisProcess]:
    """A running one; skips the test where there is no binary, or fails if required."""
    server = RedisProcess(*options, port=port, settings=settings)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def redis_server(port: int | None = None, *options: str) -> Iterator[str]:
    """The URL of a redis-server of the test's own; skips the test where there is no binary, or fails if required."""
    with redis_process(*options, port=port) as server:
        yield server.url


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _missing(reason: str) -> NoReturn:
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "schema: drives the OpenAPI document; slower than the rest")


_scratch = tempfile.mkdtemp(prefix="signal-harvester-tests-")
atexit.register(shutil.rmtree, _scratch, ignore_errors=True)
(Path(_scratch) / "static").mkdir()  # whitenoise warns where there is none
os.environ["ENVIRONMENT"] = "test"
os.environ["DATA_DIR"] = _scratch
for _name in ("REDIS_URL", "CELERY_BROKER_URL", "SECRET_KEY", "ALLOWED_HOSTS"):
    os.environ.pop(_name, None)
if WANTS_POSTGRESQL:
    _url = postgresql_url()
    if _url is None:
        pytest.exit("TEST_DATABASE=postgresql, but no PostgreSQL answers and none can be started here.", returncode=3)
    os.environ["DATABASE_URL"] = _url
else:
    os.environ["DATABASE_URL"] = f"sqlite:///{_scratch}/tests.sqlite3"


if __name__ == "__main__":
    # Asked by `make test` before the second pass: exit code 0 when there is a PostgreSQL to run it on.
    if postgresql_url() is None:
        sys.exit("No PostgreSQL answers and none can be started here: the second pass is skipped.")
