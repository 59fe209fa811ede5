"""The README tells the truth: its example runs as it stands there, and what it names exists."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

import health
from health import gunicorn
from health.conf import HealthSettings
from health.registry import make_checks
from health.status import HealthStatus
from health.system_checks import READINESS_SECONDS, STARTUP_SECONDS
from tests import services
from tests.services import free_port, redis_process

FOLDER = Path(health.__file__).parent
README = (FOLDER / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
EXAMPLE = next(block for block in PYTHON if "settings.configure" in block)
OWN_CHECK = next(block for block in PYTHON if "class LicenceCheck" in block)
CHANGES = next(block for block in PYTHON if block.startswith("HEALTH_CHECKS"))
SETTINGS = {f"HEALTH_{name.upper()}" for name, value in vars(HealthSettings).items() if isinstance(value, property)}
TOKEN = "a token of an example"
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Example:
    """The README's project in a folder of its own, with this app and Django beside it."""

    folder: Path
    environment: dict[str, str]
    port: int

    def run(self, *arguments: str) -> str:
        """``python example.py …`` to its end; what it prints."""
        done = subprocess.run(
            [sys.executable, "example.py", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self.get("/health/live")
            except urllib.error.URLError:
                assert time.monotonic() < deadline, "it does not start"
                time.sleep(0.05)
            else:
                return


@pytest.fixture(params=["sqlite", "postgresql and redis"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Example]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(FOLDER.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    (tmp_path / "example.py").write_text(EXAMPLE, encoding="utf-8")
    if request.param == "sqlite":
        yield Example(tmp_path, environment, free_port())
        return
    url = services.require_postgresql()
    with redis_process() as server:
        (tmp_path / "example.py").write_text(EXAMPLE.replace('"USER": "postgres"', f'"USER": "{user_of(url)}"'))
        both = {"REDIS_URL": server.url, "DATABASE_PORT": port_of(url)}
        yield Example(tmp_path, environment | both, free_port())


def port_of(url: str) -> str:
    found = re.search(r":(\d+)/", url)
    return found[1] if found else "5432"


def user_of(url: str) -> str:
    found = re.search(r"//(\w+)[:@]", url)
    return found[1] if found else "postgres"


@pytest.fixture(params=["runserver", "gunicorn"])
def served(request: pytest.FixtureRequest, project: Example) -> Iterator[Example]:
    address = f"127.0.0.1:{project.port}"
    command = {
        "runserver": ["example.py", "runserver", "--noreload", address],
        "gunicorn": ["-m", "gunicorn", "--bind", address, "--workers", "2", "example:application"],
    }[request.param]
    with (project.folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, *command], cwd=project.folder, env=project.environment, stdout=log, stderr=log
        )
        try:
            project.wait()
            yield project
        finally:
            server.terminate()
            server.wait(PATIENCE_SECONDS)
    assert "Traceback" not in (project.folder / "log").read_text()


def test_the_example_is_short() -> None:
    assert len([line for line in EXAMPLE.splitlines() if line]) <= 30


def test_the_example_has_nothing_that_checks_complain_of(project: Example) -> None:
    assert "no issues" in project.run("check", "--fail-level", "WARNING")


def test_the_example_knows_this_app_and_nothing_of_its_house(project: Example) -> None:
    code = "import sys, example; print(sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.folder, env=project.environment, stdout=subprocess.PIPE, text=True, timeout=60, check=True,
    )  # fmt: skip
    loaded = ast.literal_eval(done.stdout)
    assert "health" in loaded
    assert not {"harvester", "ratelimit", "tests", "ninja", "prometheus_client"} & set(loaded)


def test_the_example_says_how_it_is(project: Example) -> None:
    told = project.run("health", "startup")
    expected = ["database", "disk", "memory", "migrations", "overall"]
    if "REDIS_URL" in project.environment:
        expected.insert(1, "redis")
    assert [line.split()[0] for line in told.splitlines()] == expected


def test_the_example_answers_probes_and_knows_no_other_host(served: Example) -> None:
    assert served.get("/health/live")[0] == 200
    status, body = served.get("/health/startup")
    assert (status, json.loads(body)["status"]) == (200, "healthy")
    status, body = served.get("/health/ready?verbose", Authorization=f"Bearer {TOKEN}")
    assert status == 200
    assert {one["name"]: one["status"] for one in json.loads(body)["components"]}["database"] == "healthy"
    assert served.get("/")[0] == 400
    assert served.get("/", Host="example.com") == (200, b"Hello, example.com.")


def test_the_check_of_its_own_works_as_it_stands_there(tmp_path: Path) -> None:
    room: dict[str, Any] = {}
    exec(compile(OWN_CHECK, "README.md", "exec"), room)  # noqa: S102 - to run it is the test
    (tmp_path / "licence.key").touch()
    there, missing = (room["LicenceCheck"](name="licence", path=str(tmp_path / name)) for name in ("licence.key", "no"))
    assert (there.run().status, missing.run().status) == (HealthStatus.HEALTHY, HealthStatus.DEGRADED)


def test_the_changes_it_shows_are_changes_that_can_be_made() -> None:
    room: dict[str, Any] = {}
    exec(compile(CHANGES, "README.md", "exec"), room)  # noqa: S102 - as above
    entries = room["HEALTH_CHECKS"] | {"licence": {"check": "tests.health.fakes.Says", "critical": False}}
    database_cache = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"}}
    with override_settings(HEALTH_CHECKS=entries, CACHES=database_cache):
        from health.conf import as_written

        checks = as_written.checks
        assert "redis" not in checks
        made = {name: make_checks(name, options) for name, options in checks.items()}
    assert made["memory"][0].critical
    assert made["database"][0].deadline_seconds == 2.0
    assert len(made["celery"]) == 1


def test_kubernetes_waits_as_long_as_the_system_checks_think() -> None:
    """A kubelet waits for one second unless it is told how long."""
    waits = {
        probe: float(seconds)
        for probe, seconds in re.findall(r"^(\w+)Probe: .*\btimeoutSeconds: (\d+)", README, flags=re.MULTILINE)
    }
    assert waits == {"startup": STARTUP_SECONDS, "readiness": READINESS_SECONDS, "liveness": 1}


def test_what_it_names_exists() -> None:
    known = SETTINGS | set(gunicorn.VARIABLES)
    for name in set(re.findall(r"HEALTH_[A-Z_]+", README)):
        assert name in known, name
    for path in re.findall(r"`(docs/[\w/.-]+)`", README):
        assert (FOLDER.parent / path).is_file(), path
