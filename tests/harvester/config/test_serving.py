"""gunicorn serves as `make run` does: compressed files, a policy on every answer, logs that can be parsed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import services
from tests.installation import HOUSE, installation

PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Served:
    address: str
    log: Path

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, Mapping[str, str], bytes]:
        request = urllib.request.Request(f"{self.address}{path}", headers=dict(headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, reply.headers, reply.read()
        except urllib.error.HTTPError as reply:
            with reply:
                return reply.code, reply.headers, reply.read()

    def logged(self, request_id: str) -> list[dict[str, object]]:
        """The log lines of one request; every line of the log must be JSON."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            finished, _, _ = self.log.read_text().rpartition("\n")  # the last line may still be being written
            lines = [json.loads(line) for line in finished.splitlines()]
            found = [line for line in lines if line.get("request_id") == request_id]
            if found:
                return found
            time.sleep(0.05)
        return []


@pytest.fixture(scope="module", params=["gthread", "asgi"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    port = services.free_port()
    log = folder / "log"
    worker = [] if request.param == "gthread" else ["--worker-class", "asgi", "harvester.config.asgi:application"]
    with installation(folder, extra={"PORT": str(port), "WEB_CONCURRENCY": "2", "LOG_LEVEL": "INFO"}) as ready:
        ready.manage("collectstatic", "--no-input", "--verbosity", "0")
        with log.open("w") as stream:
            server = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", *worker],
                cwd=HOUSE, env=ready.environment, stdout=stream, stderr=stream,
            )  # fmt: skip
        try:
            found = Served(f"http://127.0.0.1:{port}", log)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    found.get("/api/v1/runs")
                    break
                except OSError:
                    assert server.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.1)
            yield found
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE_SECONDS) == 0


def test_pages_and_api_answer(served: Served) -> None:
    assert served.get("/")[0] == 200
    assert served.get("/api/v1/discoveries")[0] == 200


@pytest.mark.parametrize("path", ["/", "/api/v1/discoveries", "/api/v1/docs", "/nowhere", "/admin/login/"])
def test_every_answer_carries_the_policy_and_a_request_id(served: Served, path: str) -> None:
    _, headers, _ = served.get(path)
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "'unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert uuid.UUID(headers["X-Request-ID"])


def test_a_request_id_from_outside_is_kept_in_answer_and_log(served: Served) -> None:
    request_id = uuid.uuid4().hex
    _, headers, _ = served.get("/sources?secret=1", {"X-Request-ID": request_id})
    assert headers["X-Request-ID"] == request_id
    (line,) = [line for line in served.logged(request_id) if line["logger"] == "gunicorn.access"]
    assert (line["event"], line["method"], line["path"], line["status"]) == ("request", "GET", "/sources", 200)
    assert "secret" not in json.dumps(line)


@pytest.mark.parametrize("forged", ["x", '"}{', "a" * 4000, "<script>"])
def test_rubbish_is_no_request_id(served: Served, forged: str) -> None:
    _, headers, _ = served.get("/sources", {"X-Request-ID": forged})
    assert headers["X-Request-ID"] != forged
    assert uuid.UUID(headers["X-Request-ID"])


def test_files_are_compressed_and_may_be_kept_for_ever(served: Served) -> None:
    _, _, page = served.get("/")
    path = page.decode().split('rel="stylesheet" href="')[1].split('"')[0]
    status, headers, _ = served.get(path, {"Accept-Encoding": "gzip"})
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert "immutable" in headers["Cache-Control"]
