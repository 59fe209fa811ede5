"""Fixtures for the tests of the checks: databases and caches that exist for one test."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any, Protocol

import dj_database_url
import psycopg
import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from tests import services


class AddDatabase(Protocol):
    def __call__(self, url: str, alias: str = "other", **settings: Any) -> str: ...


@pytest.fixture
def add_database(monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker) -> Iterator[AddDatabase]:
    """Adds a database to DATABASES for the test, and says its alias."""
    added: list[str] = []

    def add(url: str, alias: str = "other", **settings: Any) -> str:
        entry: dict[str, Any] = {
            **connections.settings["default"],
            "OPTIONS": {},
            **dj_database_url.parse(url),
            **settings,
        }
        monkeypatch.setitem(connections.settings, alias, entry)
        added.append(alias)
        return alias

    with django_db_blocker.unblock():
        yield add
    for alias in added:
        with contextlib.suppress(AttributeError):  # this thread may not have used it
            connections[alias].close()
            del connections[alias]  # else the next test's database of this name would be this one


class Postgresql:
    """The server of the tests, and which of its backends are ours."""

    def __init__(self) -> None:
        self.url = services.require_postgresql()
        self.name = f"health_{uuid.uuid4().hex[:12]}"

    @property
    def options(self) -> dict[str, Any]:
        return {"application_name": self.name}

    def backends(self) -> list[int]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            rows = connection.execute("select pid from pg_stat_activity where application_name = %s", [self.name])
            return [pid for (pid,) in rows]

    def terminate_backends(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = %s", [self.name]
            )


@pytest.fixture
def postgresql() -> Postgresql:
    return Postgresql()


@pytest.fixture
def scratch_url(postgresql: Postgresql) -> Iterator[str]:
    """An empty database on it."""
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute(f"create database {postgresql.name}")
    try:
        yield services_url(postgresql.url, postgresql.name)
    finally:
        with psycopg.connect(postgresql.url, autocommit=True) as connection:
            connection.execute(f"drop database {postgresql.name} with (force)")


def services_url(url: str, name: str) -> str:
    return url.rpartition("/")[0] + f"/{name}"
