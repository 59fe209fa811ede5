"""`manage.py health`, as an operator and an exec probe use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.checks import CheckMessage
from django.core.management import CommandError, call_command, load_command_class

import health
from health.lifecycle import Lifecycle
from tests.health.fakes import Hangs, Raises, only, path_of

HOUSE = Path(health.__file__).parent.parent
FULL = Path("/dev/full")


@pytest.fixture(autouse=True)
def project(settings: Any, life: Lifecycle) -> Any:
    settings.HEALTH_CHECKS = only(
        database="healthy",
        redis={"status": "healthy", "critical": False},
        migrations={"status": "healthy", "startup_only": True},
    )
    return settings


def asked(*arguments: str) -> tuple[int, str]:
    """The exit code, and what was printed."""
    out = StringIO()
    try:
        call_command("health", *arguments, stdout=out, no_color=True)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, out.getvalue()


@pytest.mark.parametrize(
    ("database", "redis", "code", "strict_code"),
    [
        ("healthy", "healthy", 0, 0),
        ("healthy", "degraded", 0, 3),
        ("degraded", "healthy", 0, 3),
        ("healthy", "unhealthy", 0, 3),
        ("unhealthy", "healthy", 1, 1),
    ],
)
@pytest.mark.parametrize("probe", [[], ["ready"], ["startup"]])
@pytest.mark.parametrize("form", [[], ["--json"], ["--verbose"]])
@pytest.mark.parametrize("is_strict", [False, True])
def test_the_exit_code_says_it(
    settings: Any,
    database: str,
    redis: str,
    code: int,
    strict_code: int,
    probe: list[str],
    form: list[str],
    is_strict: bool,
) -> None:
    settings.HEALTH_CHECKS = only(database=database, redis={"status": redis, "critical": False})
    assert asked(*probe, *form, *(["--strict"] if is_strict else []))[0] == (strict_code if is_strict else code)


def test_there_is_a_line_for_each_component_and_the_whole_comes_last(settings: Any) -> None:
    settings.HEALTH_CHECKS = only(database="healthy", elasticsearch={"status": "degraded", "critical": False})
    _, text = asked()
    database, elasticsearch, overall = text.splitlines()
    assert database.split()[:2] == ["database", "healthy"]
    assert elasticsearch.split()[:2] == ["elasticsearch", "degraded"]
    assert elasticsearch.endswith("It was told to say so.")
    assert overall.split() == ["overall", "degraded"]
    assert {line.index(line.split()[1]) for line in text.splitlines()} == {len("elasticsearch") + 2}


def test_verbose_tells_more(settings: Any) -> None:
    settings.HEALTH_VERSION = "4.2"
    _, text = asked("--verbose")
    assert text.count("It was told to say so.") == 2
    assert ("critical" in text, "optional" in text, "version 4.2" in text) == (True, True, True)
    assert "It was told to say so." not in asked()[1]


def test_startup_asks_for_more_than_readiness() -> None:
    assert "migrations" in asked("startup")[1]
    assert "migrations" not in asked("ready")[1]


def test_liveness_asks_nothing() -> None:
    assert asked("live") == (0, "overall  healthy\n")


def test_json_is_a_probes_own_with_details(settings: Any) -> None:
    settings.HEALTH_VERSION = "4.2"
    body = json.loads(asked("--json")[1])
    assert (body["status"], body["version"]) == ("healthy", "4.2")
    assert [one["message"] for one in body["components"]] == ["It was told to say so."] * 2


@pytest.mark.parametrize("arguments", [["nowhere"], ["ready", "live"], ["--loud"]])
def test_what_cannot_be_asked_is_two(arguments: list[str]) -> None:
    assert _as_a_program(*arguments).returncode == 2


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_nothing_to_ask_is_two(settings: Any, form: list[str]) -> None:
    settings.HEALTH_CHECKS = only()
    code, text = asked(*form)
    assert code == 2
    assert "HEALTH_CHECKS" in text


@pytest.mark.parametrize("kind", [Hangs, Raises])
def test_what_hangs_or_raises_is_one_and_no_trace_is_printed(settings: Any, kind: type) -> None:
    settings.HEALTH_CHECKS = only(database={"check": path_of(kind), "text": "hunter2"})
    code, text = asked()
    assert code == 1
    assert "hunter2" not in text


def test_an_error_of_our_own_is_one_and_its_text_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr("health.engine.build_checks", fail)
    assert asked() == (1, "The components could not be asked (RuntimeError).")


def test_no_thread_is_left() -> None:
    asked()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("health-")] == []


def test_it_works_while_the_database_is_away() -> None:
    done = _as_a_program(DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/none")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].split() == ["overall", "unhealthy"]
    assert "hunter2" not in done.stdout + done.stderr


def test_no_system_check_is_asked_before(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Some ask the database, and one that complains would end the command before anything is looked at."""

    def complain(**_: object) -> list[CheckMessage]:
        return [checks.Error("This would end it.", id="tests.E001")]

    monkeypatch.setattr(checks.registry.registry, "registered_checks", {complain})
    complain.tags = ()  # type: ignore[attr-defined]  # as registering sets it
    with pytest.raises(CommandError, match="This would end it"):
        call_command("check")
    load_command_class("health", "health").run_from_argv(["manage.py", "health", "live", "--no-color"])
    assert capsys.readouterr() == ("overall  healthy\n", "")


@pytest.mark.parametrize(("status", "code"), [("healthy", 0), ("unhealthy", 1)])
@pytest.mark.parametrize("form", [[], ["--json"], ["--verbose"]])
def test_nobody_reading_changes_nothing(settings: Any, status: str, code: int, form: list[str]) -> None:
    settings.HEALTH_CHECKS = only(database=status)
    for broken in (BrokenPipeError(), OSError(), ValueError("I/O operation on closed file")):
        assert _exit_code_with(_Refusing(broken), *form) == code
    closed = StringIO()
    closed.close()
    assert _exit_code_with(closed, *form) == code


class _Refusing(StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise self._error


def _exit_code_with(out: StringIO, *arguments: str) -> int:
    try:
        call_command("health", *arguments, stdout=out, no_color=True)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize(
    "redirection",
    ["| true", ">&-", pytest.param("> /dev/full", marks=pytest.mark.skipif(not FULL.exists(), reason="only Linux's"))],
    ids=["closed pipe", "closed", "full"],
)
@pytest.mark.parametrize(("database", "code"), [("", 0), ("postgresql://u:x@127.0.0.1:1/none", 1)])
def test_a_program_whose_output_goes_nowhere_ends_as_it_should(redirection: str, database: str, code: int) -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.health.settings"}
    environment |= {"DATABASE_URL": database} if database else {}
    # A reader that is gone before anything is written: what it is given comes a second later.
    script = f'{{ sleep 1; "$0" -m django health --verbose; echo "$?" >&2; }} {redirection}'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable],
        cwd=HOUSE, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    logged, _, ended = done.stderr.strip().rpartition("\n")
    assert ended == str(code), done.stderr
    assert "Traceback" not in logged
    assert "Exception ignored" not in logged


def _as_a_program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "django", "health", *arguments],
        cwd=HOUSE,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.health.settings"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
