"""The product is wired for probes: they get through in front of everything, and tell of its own things."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import services
from tests.installation import HOUSE, installation

PATIENCE_SECONDS = 30
TOKEN = "a token that is long enough"
POD = {"Host": "10.244.1.7:8000"}  # as a kubelet asks


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None


@dataclass(frozen=True)
class Served:
    port: int
    folder: Path

    def get(self, path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=dict(headers))
        try:
            with urllib.request.build_opener(_NoRedirects).open(request, timeout=10) as reply:
                return reply.status, reply.headers, reply.read()
        except urllib.error.HTTPError as reply:
            with reply:
                return reply.code, reply.headers, reply.read()


@pytest.fixture(scope="module", params=["gthread", "asgi"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, port = tmp_path_factory.mktemp("probed"), services.free_port()
    worker = [] if request.param == "gthread" else ["--worker-class", "asgi", "harvester.config.asgi:application"]
    extra = {
        "PORT": str(port),
        "ALLOWED_HOSTS": "harvester.example",
        "SSL_REDIRECT": "true",
        "HEALTH_TOKEN": TOKEN,
        "RATELIMIT_TIERS": json.dumps({"anonymous": {"limit": 5, "window_seconds": 3600}}),
    }
    with installation(folder, extra=extra) as ready, (folder / "log").open("w") as stream:
        ready.manage("collectstatic", "--no-input", "--verbosity", "0")
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", *worker],
            cwd=HOUSE, env=ready.environment, stdout=stream, stderr=stream,
        )  # fmt: skip
        try:
            one = Served(port, folder)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    one.get("/health/live", POD)
                except urllib.error.URLError:
                    assert time.monotonic() < deadline, (folder / "log").read_text()
                    time.sleep(0.1)
                else:
                    break
            yield one
        finally:
            server.terminate()
            server.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/startup", "/health/"])
def test_a_kubelet_is_answered_whatever_host_it_names_and_without_tls(served: Served, path: str) -> None:
    status, headers, body = served.get(path, POD)
    assert status == 200
    assert json.loads(body)["status"] in {"healthy", "degraded"}
    assert headers["Cache-Control"] == "no-store"
    assert headers.get("Set-Cookie") is None


def test_everything_else_keeps_its_redirect_and_its_refusal(served: Served) -> None:
    status, headers, _ = served.get("/", {"Host": "harvester.example"})
    assert (status, headers["Location"]) == (301, "https://harvester.example/")
    assert served.get("/", POD)[0] == 400


def test_probes_cost_no_limit(served: Served) -> None:
    for _ in range(20):  # four times what a client may ask
        status, headers, _ = served.get("/health/live", POD)
        assert status == 200
        assert headers.get("X-RateLimit-Limit") is None


def test_a_kubelet_gets_less_than_a_kilobyte(served: Served) -> None:
    _, headers, body = served.get("/health/ready", POD | {"Accept": "*/*"})
    assert headers["Content-Type"] == "application/json"
    assert len(body) < 1000


def test_the_token_of_the_environment_shows_details_and_none_shows_none(served: Served) -> None:
    _, _, told = served.get("/health/ready?verbose", POD | {"Authorization": f"Bearer {TOKEN}"})
    components = {one["name"]: one for one in json.loads(told)["components"]}
    assert str(served.folder) in components["disk"]["message"], "the disk that counts is that of DATA_DIR"
    assert {"database", "disk", "memory", "sources", "pipeline", "worker"} <= components.keys()
    _, _, untold = served.get("/health/ready?verbose", POD)
    assert str(served.folder).encode() not in untold
    assert b"message" not in untold
