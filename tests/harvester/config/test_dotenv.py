"""`.env` is read in one place, so that every process sees the same settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from harvester.config.dotenv import over_dotenv, read_dotenv
from harvester.config.version import BASE_DIR

SHOW = (
    "import json; from django.conf import settings; from celery import current_app;"
    "print(json.dumps([str(settings.DATABASES['default']['NAME']), current_app.conf.broker_url]))"
)


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    return tmp_path / ".env"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=value", "value"),
        ("  NAME = value  ", "value"),
        ("export NAME=value", "value"),
        ("NAME=a b # why", "a b"),
        ("NAME=a#b", "a#b"),
        ("NAME=a=b", "a=b"),
        ("NAME=$HOME", "$HOME"),
        ("NAME=", ""),
        ('NAME="a # b "', "a # b "),
        ("NAME='a \"b\"'", 'a "b"'),
    ],
)
def test_a_line_gives_a_value(dotenv: Path, line: str, value: str) -> None:
    dotenv.write_text(f"# a comment\n\n{line}\n")
    assert read_dotenv(dotenv) == {"NAME": value}


@pytest.mark.parametrize(
    "line", ["hunter2", "=hunter2", "MY NAME=hunter2", '1="hunter2"', 'NAME="hunter2', "- a: hunter2", "NAME=#hunter2"]
)
def test_a_line_that_cannot_be_read_is_named_but_not_repeated(dotenv: Path, line: str) -> None:
    dotenv.write_text(f"A=1\n{line}\n")
    with pytest.raises(ImproperlyConfigured, match=rf"{dotenv}, line 2: write NAME=value") as refusal:
        read_dotenv(dotenv)
    assert "hunter2" not in str(refusal.value)


def test_no_file_is_no_value(dotenv: Path) -> None:
    assert read_dotenv(dotenv) == {}


def test_a_file_that_is_no_text_is_named(dotenv: Path) -> None:
    dotenv.write_bytes(b"A=\xff")
    with pytest.raises(ImproperlyConfigured, match=rf"{dotenv} cannot be read"):
        read_dotenv(dotenv)


def test_the_process_wins(dotenv: Path) -> None:
    dotenv.write_text("DEBUG=true\nLOG_LEVEL=DEBUG\nSECRET_KEY=a\nREDIS_URL_FILE=/run/redis\n")
    process = {"DEBUG": "", "SECRET_KEY_FILE": "/run/key", "REDIS_URL": "redis://host"}
    assert over_dotenv(process, dotenv) == process | {"LOG_LEVEL": "DEBUG"}


def test_tests_read_none(dotenv: Path) -> None:
    dotenv.write_text("rubbish")
    assert over_dotenv({"ENVIRONMENT": "test"}, dotenv) == {"ENVIRONMENT": "test"}


def ask(*command: str, dotenv: Path) -> str:
    told = subprocess.run(
        [sys.executable, *command],
        cwd=BASE_DIR,
        env={"PATH": os.environ["PATH"], "DOTENV": str(dotenv), "DATA_DIR": str(dotenv.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return told.stdout.strip() or told.stderr


def test_commands_and_the_worker_see_the_same_database_and_broker(dotenv: Path) -> None:
    dotenv.write_text(f"DATABASE_URL=sqlite:///{dotenv.parent}/ours.sqlite3\nREDIS_URL=redis://127.0.0.1:1/7\n")
    ours = [f"{dotenv.parent}/ours.sqlite3", "redis://127.0.0.1:1/7"]
    assert json.loads(ask("manage.py", "shell", "-v", "0", "-c", SHOW, dotenv=dotenv)) == ours
    worker = f"from harvester.config import celery_app; celery_app.finalize(); {SHOW}"
    assert json.loads(ask("-c", worker, dotenv=dotenv)) == ours


def test_nothing_starts_with_a_file_that_cannot_be_read(dotenv: Path) -> None:
    dotenv.write_text("DATABASE_URL\n")
    assert f"{dotenv}, line 1: write NAME=value" in ask("manage.py", "check", dotenv=dotenv)
