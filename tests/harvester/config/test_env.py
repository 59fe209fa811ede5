"""The environment is read loudly: what cannot be used is named, with what to write instead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from harvester.config.env import (
    INSECURE_SECRET_KEY,
    VARIABLES,
    Environment,
    Variable,
    require_production_safety,
)
from harvester.config.version import BASE_DIR

SAFE = {
    "SECRET_KEY": "x7Kp-2mQv9_sT4nLw8RzB1cYd6GhJ3fA5eUoIiNqPtXyZkMbVw",
    "ALLOWED_HOSTS": "harvester.example",
    "DATABASE_URL": "postgresql://db/harvester",
}


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_every_default_can_be_parsed(variable: Variable) -> None:
    Environment({}).get(variable.name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVIRONMENT", "prod"),
        ("DEBUG", "maybe"),
        ("DATABASE_URL", "mysql://db/harvester"),
        ("REDIS_URL", "localhost:6379"),
        ("CELERY_BROKER_URL", "kafka://queue"),
        ("LOG_LEVEL", "loud"),
        ("DATABASE_CONN_MAX_AGE", "long"),
        ("RATELIMIT_TIERS", "anonymous=5"),
        ("RATELIMIT_TIERS", "[]"),
        ("RATELIMIT_EXPECTED_PROCESSES", "many"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^{name}: "):
        Environment({name: value}).get(name)


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_CONN_MAX_AGE: write a whole number"):
        Environment({"DATABASE_CONN_MAX_AGE": "-1"}).integer("DATABASE_CONN_MAX_AGE")


def test_the_refusal_of_a_secret_does_not_repeat_it() -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        Environment({"DATABASE_URL": "mysql://user:hunter2@db/harvester"}).get("DATABASE_URL")
    assert "hunter2" not in str(refusal.value)


def test_a_value_may_come_from_a_mounted_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from-the-file\n")
    assert Environment({"SECRET_KEY_FILE": str(secret)}).text("SECRET_KEY") == "from-the-file"


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"SECRET_KEY_FILE: .*missing cannot be read"):
        Environment({"SECRET_KEY_FILE": str(tmp_path / "missing")}).text("SECRET_KEY")


def test_value_and_file_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="keep one"):
        Environment({"SECRET_KEY": "a", "SECRET_KEY_FILE": "b"}).text("SECRET_KEY")


def test_names_are_split_at_commas() -> None:
    assert Environment({"ALLOWED_HOSTS": " a.example, b.example ,"}).names("ALLOWED_HOSTS") == [
        "a.example",
        "b.example",
    ]


def test_an_undeclared_name_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        Environment({"SHOE_SIZE": "43"}).get("SHOE_SIZE")


def test_a_safe_production_may_start() -> None:
    require_production_safety(Environment(SAFE))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY"),
        ({"SECRET_KEY": "a" * 60}, "SECRET_KEY"),
        ({"SECRET_KEY": INSECURE_SECRET_KEY}, "SECRET_KEY"),
        ({"DEBUG": "true"}, "DEBUG"),
        ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
        ({"DATABASE_URL": ""}, "DATABASE_URL"),
        ({"HARVESTER_ALLOWED_PRIVATE_HOSTS": "10.0.0.1"}, "HARVESTER_ALLOWED_PRIVATE_HOSTS"),
    ],
)
def test_an_insecure_production_is_refused(change: dict[str, str], complaint: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=complaint):
        require_production_safety(Environment(SAFE | change))


def test_the_process_itself_refuses_to_start() -> None:
    started = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=BASE_DIR,
        env={"PATH": os.environ["PATH"], "ENVIRONMENT": "production"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode != 0
    assert "ENVIRONMENT=production cannot start" in started.stderr
    assert "SECRET_KEY" in started.stderr
