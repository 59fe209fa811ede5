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
from django.core.management import CommandError, call_command

import health
from health.lifecycle import Lifecycle
from tests.health.fakes import Hangs, Raises, only, path_of

HOUSE = Path(health.__file__).parent.parent


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
    code, _ = _as_a_program(*arguments)
    assert code == 2


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
    code, text = _as_a_program(DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/none")
    assert code in {0, 1}
    assert text.splitlines()[-1].split()[0] == "overall"
    assert "hunter2" not in text


def _as_a_program(*arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "django", "health", *arguments],
        cwd=HOUSE,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.health.settings"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout
