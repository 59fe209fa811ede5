"""A database or a Redis that hangs while it is asked: what the page shows, and what is left behind."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from django.db import connections

from observability.collectors.lines import Lines, own_connections
from tests import services
from tests.observability.collectors.fakes import HERE, Asking
from tests.observability.collectors.test_reading import age, quickly, success
from tests.observability.servers import (
    LONG_SECONDS,
    AddDatabase,
    Postgresql,
    our_threads,
    settled,
    stopped,
    until,
    value,
)
from tests.relay import Relay, relay
from tests.silence import silent

TIMEOUT_SECONDS = 1.0


@pytest.fixture
def hurried(settings: Any) -> Any:
    settings.OBSERVABILITY_COLLECT_TIMEOUT_SECONDS = TIMEOUT_SECONDS
    settings.OBSERVABILITY_SNAPSHOT_SECONDS = 0.2
    return settings


@contextlib.contextmanager
def relayed(url: str) -> Iterator[tuple[Relay, str]]:
    """The server behind a line that may fall silent."""
    parts = urlsplit(url)
    with relay(parts.hostname or "127.0.0.1", parts.port or 5432) as line:
        credentials = parts.netloc.rpartition("@")[0]
        yield line, parts._replace(netloc=f"{credentials}@127.0.0.1:{line.port}").geturl()


@pytest.fixture
def asking(hurried: Any, add_database: AddDatabase, postgresql: Postgresql) -> Postgresql:
    """A collector of a project's own that asks a real PostgreSQL."""
    add_database(postgresql.url)
    hurried.OBSERVABILITY_COLLECTORS = (f"{HERE}.Asking",)
    return postgresql


def open_files() -> int:
    return psutil.Process().num_fds()


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No cyclic garbage collection closes what was left open."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


def test_a_silent_database_costs_the_page_nothing_and_is_back_by_itself(
    hurried: Any, add_database: AddDatabase, postgresql: Postgresql
) -> None:
    with relayed(postgresql.url) as (line, url):
        add_database(url)
        hurried.OBSERVABILITY_DATABASES = ("other",)
        assert value(settled(), "db_connections_active", alias="other") is not None
        line.flows.clear()
        until(lambda: success(quickly(), "connections_other") == 0)
        for _ in range(20):
            assert value(quickly(), "db_connections_active", alias="other") is not None
            time.sleep(0.05)
        seconds = age(quickly(), "connections_other")
        assert seconds is not None
        assert seconds > TIMEOUT_SECONDS
        line.flows.set()
        until(lambda: success(quickly(), "connections_other") == 1)
        until(lambda: (age(quickly(), "connections_other") or LONG_SECONDS) < 1)
    until(lambda: not our_threads())


def test_a_database_that_never_answers_leaves_neither_threads_nor_files(
    hurried: Any, add_database: AddDatabase, uncollected: None
) -> None:
    services.require_postgresql()  # its driver is what is tried
    hurried.OBSERVABILITY_DATABASES = ("other",)
    hurried.OBSERVABILITY_SNAPSHOT_SECONDS = 60
    quickly()
    before = open_files()
    with silent() as port:
        add_database(f"postgresql://nobody@127.0.0.1:{port}/nothing")
        hurried.OBSERVABILITY_VERSION = "anew"
        families = quickly()
        assert "db_connections_active" not in families
        assert success(families, "connections_other") is None
        until(lambda: success(quickly(), "connections_other") == 0)
        until(lambda: not our_threads())
    assert open_files() <= before


def test_a_refused_connection_drops_the_families(
    hurried: Any, add_database: AddDatabase, postgresql: Postgresql
) -> None:
    with relayed(postgresql.url) as (line, url):
        add_database(url)
        hurried.OBSERVABILITY_DATABASES = ("other",)
        settled()
        line.close()
        time.sleep(0.3)
        families = settled()
    assert "db_connections_active" not in families
    assert success(families, "connections_other") == 0


def test_a_frozen_backend_is_left_and_another_is_asked(asking: Postgresql) -> None:
    assert success(settled(), "asking") == 1
    Asking.seconds = 0.7
    time.sleep(0.3)
    quickly()
    until(lambda: bool(asking.backends()))
    (backend,) = asking.backends()
    with stopped(backend):
        Asking.seconds = 0.0
        until(lambda: success(quickly(), "asking") == 0)
        assert value(quickly(), "test_statement_timeout_seconds") == TIMEOUT_SECONDS  # as it was
        until(lambda: success(quickly(), "asking") == 1)  # though that backend is frozen still
    until(lambda: not our_threads() and not asking.backends())


def test_a_statement_is_ended_by_the_server_too(asking: Postgresql) -> None:
    assert value(settled(), "test_statement_timeout_seconds") == TIMEOUT_SECONDS
    Asking.seconds = 60
    time.sleep(0.3)
    quickly()
    until(lambda: success(quickly(), "asking") == 0)
    until(lambda: not asking.backends())


def test_behind_a_pool_of_sessions_nothing_is_set_that_would_stay_there(
    hurried: Any, add_database: AddDatabase, postgresql: Postgresql
) -> None:
    add_database(postgresql.url, DISABLE_SERVER_SIDE_CURSORS=True)
    hurried.OBSERVABILITY_COLLECTORS = (f"{HERE}.Asking",)
    assert value(settled(), "test_statement_timeout_seconds") == 0


def test_a_refresh_closes_its_connections(asking: Postgresql, uncollected: None) -> None:
    settled()
    before = open_files()
    for _ in range(5):
        time.sleep(0.25)
        assert success(settled(), "asking") == 1
    until(lambda: not asking.backends())
    assert open_files() <= before


def test_the_connection_of_whoever_reads_the_page_is_not_touched(asking: Postgresql) -> None:
    with connections["other"].cursor() as cursor:
        cursor.execute("show statement_timeout")
        assert cursor.fetchone() == ("0",)
        own = connections["other"].connection
        settled()
        assert connections["other"].connection is own
        cursor.execute("select 1")


def test_a_database_that_hangs_hides_no_others_values(
    hurried: Any, add_database: AddDatabase, postgresql: Postgresql
) -> None:
    with silent() as port:
        add_database(f"postgresql://nobody@127.0.0.1:{port}/nothing", "hung")
        add_database(postgresql.url, "good")
        hurried.OBSERVABILITY_DATABASES = ("hung", "good")
        until(lambda: success(quickly(), "connections_hung") == 0)
        until(lambda: success(quickly(), "connections_good") == 1)
        assert value(quickly(), "db_connections_active", alias="good") is not None


def test_a_connection_made_after_the_cut_is_cut_at_once(add_database: AddDatabase, postgresql: Postgresql) -> None:
    add_database(postgresql.url)
    outcome: list[BaseException] = []

    def ask() -> None:
        lines = Lines()
        lines.cut()
        try:
            with own_connections(lines, 5), connections["other"].cursor() as cursor:
                cursor.execute("select 1")
        except Exception as error:  # noqa: BLE001 - that there is one is what is asked
            outcome.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(LONG_SECONDS)
    assert [type(error).__name__ for error in outcome] == ["OperationalError"]


def test_a_locked_sqlite_is_left_in_time(hurried: Any, add_database: AddDatabase, tmp_path: Any) -> None:
    alias = add_database(f"sqlite:///{tmp_path}/locked.sqlite3", OPTIONS={"timeout": 600})
    hurried.OBSERVABILITY_DATABASES = (alias,)
    assert value(settled(), "migrations_pending", alias=alias) is not None
    with connections[alias].cursor() as cursor:
        cursor.execute("begin exclusive")
        hurried.OBSERVABILITY_VERSION = "anew"
        quickly()
        until(lambda: success(quickly(), f"migrations_{alias}") == 0)
        until(lambda: not our_threads())
        cursor.execute("rollback")
    until(lambda: success(quickly(), f"migrations_{alias}") == 1)


def test_hammered_refreshes_of_a_database_leave_nothing(
    hurried: Any, add_database: AddDatabase, postgresql: Postgresql
) -> None:
    """While the line falls silent and flows again, and settings change in between."""
    with relayed(postgresql.url) as (line, url):
        add_database(url)
        hurried.OBSERVABILITY_DATABASES = ("other",)
        hurried.OBSERVABILITY_SNAPSHOT_SECONDS = 0.01
        hurried.OBSERVABILITY_COLLECT_TIMEOUT_SECONDS = 0.3
        for number in range(12):
            (line.flows.clear if number % 3 == 0 else line.flows.set)()
            hurried.OBSERVABILITY_VERSION = str(number)
            for _ in range(10):
                quickly()
                time.sleep(0.02)
        line.flows.set()
        until(lambda: success(quickly(), "connections_other") == 1)
    hurried.OBSERVABILITY_DATABASES = ()
    until(lambda: not our_threads() and not postgresql.backends())


# --- Redis ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "backend", ["django_redis.cache.RedisCache", "django.core.cache.backends.redis.RedisCache"]
)  # fmt: skip
def test_a_hung_redis_is_given_up_and_is_back_by_itself(hurried: Any, backend: str) -> None:
    with services.redis_process() as server:
        hurried.CACHES = {
            "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            "far": {"BACKEND": backend, "LOCATION": server.url},
        }
        hurried.OBSERVABILITY_CACHES = None
        assert success(settled(), "cache_far") == 1
        server.hang()
        until(lambda: success(quickly(), "cache_far") == 0)
        families = quickly()
        assert value(families, "cache_items", cache_type="redis", cache_name="far") == 0
        assert success(families, "cache_default") == 1
        until(lambda: not our_threads())  # though nothing has come from there
        server.go_on()
        until(lambda: success(quickly(), "cache_far") == 1)
        server.kill()
        until(lambda: success(quickly(), "cache_far") == 0)
        until(lambda: value(quickly(), "cache_items", cache_type="redis", cache_name="far") is None)
        server.start()
        until(lambda: success(quickly(), "cache_far") == 1)
