"""Databases that exist for one test, and what a fault leaves behind in this process."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import dj_database_url
import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from prometheus_client.core import Metric as Family
from pytest_django import DjangoDbBlocker

from observability.collectors import forget_collected, read_collected
from tests import services

LONG_SECONDS = 10.0
"""For what must happen at all, on a machine that has much else to do."""


class AddDatabase(Protocol):
    def __call__(self, url: str, alias: str = "other", **settings: Any) -> str: ...


@pytest.fixture
def add_database(monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker) -> Iterator[AddDatabase]:
    """Adds a database to DATABASES for the test, and says its alias."""
    added: list[str] = []

    def add(url: str, alias: str = "other", **settings: Any) -> str:
        entry = {**connections.settings["default"], "OPTIONS": {}, **dj_database_url.parse(url), **settings}
        monkeypatch.setitem(connections.settings, alias, entry)
        added.append(alias)
        return alias

    with django_db_blocker.unblock():
        yield add
        for alias in added:
            with contextlib.suppress(ImproperlyConfigured):  # its driver is missing
                connections[alias].close()
                del connections[alias]  # else the next test's database of this name would be this one
        forget_collected()
        until(lambda: not our_threads())


class Postgresql:
    """An empty database on the server of the tests, and who is connected to it."""

    def __init__(self) -> None:
        self._server = services.require_postgresql()
        self.name = f"observability_{uuid.uuid4().hex[:12]}"
        self.url = self._server.rpartition("/")[0] + f"/{self.name}"

    def backends(self) -> list[int]:
        with psycopg.connect(self._server, autocommit=True) as connection:
            rows = connection.execute("select pid from pg_stat_activity where datname = %s", [self.name])
            return [pid for (pid,) in rows]

    def create(self) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(f"create database {self.name}")

    def drop(self) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(f"drop database {self.name} with (force)")


@pytest.fixture
def postgresql() -> Iterator[Postgresql]:
    made = Postgresql()
    made.create()
    yield made
    made.drop()


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process of a server on this machine, which must let us do so."""
    try:
        os.kill(pid, signal.SIGSTOP)
    except (PermissionError, ProcessLookupError):
        if services.REQUIRED:
            pytest.fail("the server's processes are not ours to stop")
        pytest.skip("the server's processes are not ours to stop")
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("observability-")]


def until(is_so: Callable[[], bool], seconds: float = LONG_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def settled() -> dict[str, Family]:
    """What is read by one who has the time to wait for every collector."""
    return by_name(read_collected(LONG_SECONDS))


def by_name(families: list[Family]) -> dict[str, Family]:
    assert len({family.name for family in families}) == len(families)
    return {family.name: family for family in families}


def value(families: dict[str, Family], name: str, **labels: str) -> float | None:
    """Of the one sample of these labels; None where there is none."""
    family = families.get(name)
    found = [] if family is None else [sample.value for sample in family.samples if sample.labels == labels]
    assert len(found) <= 1
    return found[0] if found else None
