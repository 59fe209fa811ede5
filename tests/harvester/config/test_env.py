"""The environment is read loudly: what cannot be used is named, with what to write instead."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from harvester.config.env import (
    DOTENV,
    INSECURE_SECRET_KEY,
    VARIABLES,
    Environment,
    Variable,
    require_folder,
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
        ("LOG_LEVEL", "loud"),
        ("ALLOWED_HOSTS", "https://harvester.example"),
        ("ALLOWED_HOSTS", "harvester.example/path"),
        ("CSRF_TRUSTED_ORIGINS", "harvester.example"),
        ("CSRF_TRUSTED_ORIGINS", "https://"),
        ("CSRF_TRUSTED_ORIGINS", "https://harvester.example/path"),
        ("CSRF_TRUSTED_ORIGINS", "https://harvester.example:https"),
        ("CSRF_TRUSTED_ORIGINS", "https://harvester.example, ftp://harvester.example"),
        ("DATABASE_CONN_MAX_AGE", "long"),
        ("DATABASE_CONN_MAX_AGE", "-1"),
        ("HARVESTER_SCHEDULE_SECONDS", "0"),
        ("HARVESTER_SCHEDULE_SECONDS", "9"),
        ("HARVESTER_SCHEDULE_SECONDS", "1" * 30),
        ("HARVESTER_CONTACT", "me@harvester.example\nX-Injected: yes"),
        ("HARVESTER_CONTACT", "mé@harvester.example"),
        ("HARVESTER_ALLOWED_PRIVATE_HOSTS", "10.0.0.0/8"),
        ("RATELIMIT_TIERS", "anonymous=5"),
        ("RATELIMIT_TIERS", "[]"),
        ("RATELIMIT_FORWARDED_HEADER", "X-Real-IP"),
        ("RATELIMIT_EXPECTED_PROCESSES", "many"),
        ("RATELIMIT_TRUSTED_PROXIES", "10.0.0.0/8, proxy"),
        ("HEALTH_DETAIL_NETWORKS", "unix"),  # no details are shown by network to a peer without an address
        ("HEALTH_DETAIL_NETWORKS", "10.0.0.0/33"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"(?s)^{name}: “.*” cannot be used: write ") as refusal:
        Environment({name: value}).get(name)
    assert value in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://user:hunter2@db/harvester"),
        ("DATABASE_URL", "hunter2"),
        ("DATABASE_URL", "sqlite:"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "sqlite://:memory:"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "sqlite://var/harvester.sqlite3"),
        ("DATABASE_URL", "postgresql:harvester"),
        ("DATABASE_URL", "postgresql://user:hunter2@db"),
        ("DATABASE_URL", "postgresql://user:hunter2@db/"),
        ("DATABASE_URL", "postgresql://user:hunter2/x@db/harvester"),
        ("DATABASE_URL", "postgresql://user:77/hunter2@db/harvester"),
        ("DATABASE_URL", "postgresql://user:77?hunter2@db/harvester"),
        ("DATABASE_URL", "postgresql://user:77#hunter2@db/harvester"),
        ("DATABASE_URL", "postgresql://user:hunter2[@db/harvester"),
        ("DATABASE_URL", "postgresql://user:hunter2@db:port/harvester"),
        ("DATABASE_URL", "postgresql://user:hunter2@db:99999/harvester"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "redis://:hunter2@host:notaport/0"),
        ("REDIS_URL", "redis://:hunter2/x@host:6379/0"),
        ("REDIS_URL", "redis://:hunter2@host:6379/cache"),
        ("REDIS_URL", "redis://:hunter2@/0"),
        ("REDIS_URL", "unix://"),
        ("REDIS_URL", "unix:///run/redis.sock?db=cache"),
        ("CELERY_BROKER_URL", "kafka://queue"),
        ("CELERY_BROKER_URL", "amqp://user:hunter2@host:notaport//"),
        ("CELERY_BROKER_URL", "redis://:hunter2@host:6379/queue"),
        ("CELERY_BROKER_URL", "filesystem://elsewhere"),
    ],
)
def test_a_secret_that_cannot_be_used_is_refused_without_repeating_it(name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^{name}: its value cannot be used: write ") as refusal:
        Environment({name: value}).get(name)
    told = "".join(traceback.format_exception(refusal.value))
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://user:a%2Fb@db:5432/harvester?sslmode=require"),
        ("DATABASE_URL", "postgresql:///harvester"),
        ("DATABASE_URL", "postgres://user@[::1]/harvester"),
        ("DATABASE_URL", "sqlite:////srv/harvester.sqlite3"),
        ("DATABASE_URL", "sqlite:///var/harvester.sqlite3"),
        ("REDIS_URL", "redis://host"),
        ("REDIS_URL", "rediss://user:a%2Fb@host:6379/3"),
        ("REDIS_URL", "unix://:a%2Fb@/run/redis.sock?db=2"),
        ("CELERY_BROKER_URL", "filesystem://"),
        ("CELERY_BROKER_URL", "memory://"),
        ("CELERY_BROKER_URL", "amqps://user:a%2Fb@host:5671/vhost"),
        ("CELERY_BROKER_URL", "unix:///run/redis.sock"),
    ],
)
def test_what_can_be_used_is_kept_as_it_is(name: str, value: str) -> None:
    assert Environment({name: value}).text(name) == value


def test_origins_are_split_at_commas() -> None:
    written = "https://harvester.example, https://*.harvester.example,http://127.0.0.1:8000"
    assert Environment({"CSRF_TRUSTED_ORIGINS": written}).names("CSRF_TRUSTED_ORIGINS") == [
        "https://harvester.example",
        "https://*.harvester.example",
        "http://127.0.0.1:8000",
    ]


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


NETWORKS = "OBSERVABILITY_ALLOWED_NETWORKS"


def test_networks_that_are_not_given_are_this_machines() -> None:
    assert Environment({}).names(NETWORKS) == ["127.0.0.0/8", "::1/128"]


@pytest.mark.parametrize("empty", ["", "  "])
def test_networks_that_are_given_and_empty_are_none(empty: str, tmp_path: Path) -> None:
    assert Environment({NETWORKS: empty}).names(NETWORKS) == []
    (tmp_path / "networks").write_text(f"{empty}\n")
    assert Environment({f"{NETWORKS}_FILE": str(tmp_path / "networks")}).names(NETWORKS) == []


def test_an_empty_line_of_dotenv_is_given_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dotenv").write_text(f"{NETWORKS}=\n")
    monkeypatch.setenv(DOTENV, str(tmp_path / "dotenv"))
    monkeypatch.delenv("ENVIRONMENT")  # tests read no such file
    monkeypatch.delenv(NETWORKS, raising=False)
    assert Environment.of_process().names(NETWORKS) == []


def test_any_other_that_is_given_and_empty_has_its_default() -> None:
    for variable in VARIABLES:
        if not variable.may_be_empty:
            assert Environment({variable.name: ""}).get(variable.name) == Environment({}).get(variable.name)


def test_names_are_split_at_commas() -> None:
    assert Environment({"ALLOWED_HOSTS": " a.example, b.example ,"}).names("ALLOWED_HOSTS") == [
        "a.example",
        "b.example",
    ]


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImproperlyConfigured, match=r"^DATA_DIR: .*/file/tasks cannot be made: Not a directory"):
        require_folder(tmp_path / "file" / "tasks", "DATA_DIR")


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
        ({"SECRET_KEY": f"django-insecure-{SAFE['SECRET_KEY']}"}, "SECRET_KEY"),
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
        env={"PATH": os.environ["PATH"], "ENVIRONMENT": "production", "DOTENV": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode != 0
    assert "ENVIRONMENT=production cannot start" in started.stderr
    assert "SECRET_KEY" in started.stderr
