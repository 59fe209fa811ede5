"""The README tells the truth: its example runs as it stands there, and what it names exists."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import pytest
from django.core.management import load_command_class

import ratelimit
from ratelimit import signals
from ratelimit.conf import DEFAULT_TIERS, RateLimitSettings
from ratelimit.errors import InvalidLimitError
from ratelimit.tiers import limit_for
from tests.services import free_port, redis_process

FOLDER = Path(ratelimit.__file__).parent
README = (FOLDER / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
SHELL = re.findall(r"^```shell\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
EXAMPLE = next(block for block in PYTHON if "settings.configure" in block)
SETTINGS = {
    f"RATELIMIT_{name.upper()}" for name, value in vars(RateLimitSettings).items() if isinstance(value, property)
}
PATIENCE_SECONDS = 60


# --- the example ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Example:
    """The README's project in a folder of its own, with this app and Django beside it."""

    folder: Path
    environment: Mapping[str, str]
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
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, path: str, **headers: str) -> Answer:
        asked = {name.replace("_", "-"): text for name, text in headers.items()}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=asked)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self.get("/metrics")  # exempt, so that it takes no token
            except urllib.error.URLError:
                assert time.monotonic() < deadline, "it does not start"
                time.sleep(0.05)
            else:
                return


@pytest.fixture(params=["memory", "redis"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Example]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(FOLDER.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    (tmp_path / "example.py").write_text(EXAMPLE, encoding="utf-8")
    if request.param == "memory":
        yield Example(tmp_path, environment, free_port())
        return
    with redis_process() as server:
        patient = EXAMPLE.replace("RATELIMIT_TIERS=", "RATELIMIT_READ_TIMEOUT_SECONDS=5, RATELIMIT_TIERS=")
        assert patient != EXAMPLE
        (tmp_path / "example.py").write_text(patient, encoding="utf-8")  # a busy machine is no outage
        yield Example(tmp_path, environment | {"REDIS_URL": server.url}, free_port())


@pytest.fixture(params=["runserver", "gunicorn"])
def served(request: pytest.FixtureRequest, project: Example) -> Iterator[Example]:
    project.run("migrate", "--verbosity", "0")
    address = f"127.0.0.1:{project.port}"
    shared = "REDIS_URL" in project.environment
    command = {
        "runserver": ["example.py", "runserver", "--noreload", address],
        "gunicorn": ["-m", "gunicorn", "--bind", address, "--workers", "2" if shared else "1", "example:application"],
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
    assert "ratelimit" in loaded
    assert not {"harvester", "tests", "ninja", "prometheus_client"} & set(loaded)


def test_the_example_limits_what_it_says(served: Example) -> None:
    began = time.time()
    answers = [served.get("/search") for _ in range(4)]
    seconds = time.time() - began
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    refusal = answers[-1]
    assert refusal.headers["X-RateLimit-Limit"] == "3"
    assert refusal.headers["RateLimit-Policy"] == '"search";q=3;w=60'
    assert 20 - seconds <= int(refusal.headers["Retry-After"]) <= 20
    assert refusal.headers["RateLimit"] == f'"search";r=0;t={refusal.headers["Retry-After"]}'
    assert 0 <= int(refusal.headers["X-RateLimit-Reset"]) - began <= 60 + seconds + 1
    assert refusal.headers["Content-Type"] == "application/problem+json"
    assert json.loads(refusal.body)["violated-policies"] == ["search"]

    others = [served.get("/") for _ in range(17)]  # three tokens went, and the fourth was given back
    assert [answer.status for answer in others] == [200] * 17
    while (last := served.get("/")).status == 200:
        assert time.time() < began + PATIENCE_SECONDS
    assert last.headers["RateLimit-Policy"] == '"default";q=20;w=60'
    assert last.headers["X-RateLimit-Remaining"] == "0"
    assert 1 <= int(last.headers["Retry-After"]) <= 3


def test_the_example_has_keys(served: Example) -> None:
    key = json.loads(served.run("apikey", "create", "--name", "my program", "--json"))["key"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while served.get("/", X_API_Key=key).headers["X-RateLimit-Limit"] == "20":  # not found within 50 ms
        assert time.monotonic() < deadline
    answer = served.get("/search", X_API_Key=key)
    assert json.loads(answer.body) == {"key": "my program", "found": []}
    assert served.get("/", Authorization=f"Bearer {key}").headers["X-RateLimit-Limit"] == "1000"
    assert served.get("/", X_API_Key="shk_invented").headers["X-RateLimit-Limit"] == "20"


# --- everything else --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", PYTHON)
def test_what_is_written_in_python_is_python(block: str) -> None:
    compile(block, "README.md", "exec")


def test_what_is_imported_from_the_app_is_public() -> None:
    imported = {
        (node.module, name.name)
        for block in PYTHON
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if (node.module or "").split(".")[0] == "ratelimit"
    }
    assert {name for home, name in imported if home == "ratelimit"} <= set(ratelimit.__all__)
    assert {home for home, _ in imported} <= {"ratelimit", "ratelimit.signals"}
    assert [name for home, name in imported if home == "ratelimit.signals" and not hasattr(signals, name)] == []


def test_settings_that_are_named_exist() -> None:
    named = set(re.findall(r"\bRATELIMIT_[A-Z0-9_]+", README))
    assert len(named) > 5
    assert named <= SETTINGS


def test_tiers_and_their_limits_are_the_default_ones() -> None:
    told = re.findall(r"^\| `(\w+)` \| ([0-9,]+) a minute \|", README, flags=re.MULTILINE)
    assert {tier: {"limit": int(limit.replace(",", "")), "window_seconds": 60} for tier, limit in told} == dict(
        DEFAULT_TIERS
    )


@pytest.mark.parametrize("block", [block for block in PYTHON if re.search(r"^RATELIMIT_TIERS", block, re.MULTILINE)])
def test_tiers_that_are_shown_can_be_set(block: str, settings: object) -> None:
    said: dict[str, object] = {}
    exec(block, said)  # noqa: S102 - the text is our own
    for name in SETTINGS & set(said):
        setattr(settings, name, said[name])
    for tier in said["RATELIMIT_TIERS"]:  # type: ignore[attr-defined]  # a mapping
        try:
            assert limit_for(tier) is not None
        except InvalidLimitError as error:
            raise AssertionError(f"{tier}: {error}") from error


@pytest.mark.parametrize("line", [line for block in SHELL for line in block.splitlines()])
def test_commands_can_be_given(line: str) -> None:
    python, script, name, *arguments = shlex.split(line)
    assert python == "python"
    assert script in {"manage.py", "example.py"}
    if name in {"apikey", "ratelimit"}:
        load_command_class("ratelimit", name).create_parser(script, name).parse_args(arguments)


@pytest.mark.parametrize("path", re.findall(r"\]\((?!https?://)([^)#]+)", README))
def test_links_lead_somewhere(path: str) -> None:
    assert (FOLDER / path).exists()
