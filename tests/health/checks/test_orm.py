"""Checks that ask a project's tables: over a connection of their own, of which nothing is left."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import ClassVar

import pytest
from django.db import connection, connections

from health.base import Finding
from health.checks.orm import OrmCheck
from health.status import HealthStatus
from tests.health.checks.conftest import AddDatabase, Postgresql

AT_ONCE_SECONDS = 5.0


@pytest.fixture
def real(postgresql: Postgresql, add_database: AddDatabase) -> str:
    """The alias of a real database, whose connections are kept as a project would have them."""
    return add_database(postgresql.url, CONN_MAX_AGE=60, OPTIONS=postgresql.options)


@dataclass(kw_only=True)
class Sleeper(OrmCheck):
    """Asks for as long as it is told to."""

    seconds: float = 0.0

    messages: ClassVar[dict[str, str]] = {"asked": "Backend {pid} was asked."}

    def look(self) -> Finding:
        with connections[self.alias].cursor() as cursor:
            cursor.execute("select pg_backend_pid(), pg_sleep(%s)", [self.seconds])
            return self.found(HealthStatus.HEALTHY, "asked", pid=cursor.fetchone()[0])


def test_it_asks_and_leaves_no_connection(real: str, postgresql: Postgresql) -> None:
    check = Sleeper(name="one", alias=real)
    assert check.run().code == "asked"
    deadline = time.monotonic() + AT_ONCE_SECONDS
    while postgresql.backends():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_hung_question_is_interrupted_and_the_next_one_answered(real: str) -> None:
    check = Sleeper(name="one", alias=real, seconds=60)
    began = time.monotonic()
    threading.Timer(0.3, check.interrupt).start()
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the driver makes of a cut line
        check.run()
    assert time.monotonic() - began < AT_ONCE_SECONDS
    check.seconds = 0
    assert check.run().status is HealthStatus.HEALTHY


def test_the_threads_own_connection_is_back_in_its_place(real: str) -> None:
    before = connections[real]
    Sleeper(name="one", alias=real).run()
    assert connections[real] is before
    assert connection.alias == "default"
