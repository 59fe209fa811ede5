"""Connections of a database are counted: every one that is opened moves the number."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import psycopg
import pytest
from django.db import connections

from observability.collected.connections import ConnectionsCollector, own_handles
from observability.collectors import forget_collected
from observability.collectors.lines import Lines, own_connections
from tests.observability.servers import LONG_SECONDS, AddDatabase, Postgresql, settled, value

alone = ConnectionsCollector("other")
"""None else that asks this database, and has a handle of it for a moment."""


def active(alias: str = "other") -> float | None:
    forget_collected()
    return value(settled(), "db_connections_active", alias=alias)


def test_each_connection_to_postgresql_counts(settings: Any, add_database: AddDatabase, postgresql: Postgresql) -> None:
    settings.OBSERVABILITY_DATABASES = (add_database(postgresql.url),)
    assert active() == 0
    with psycopg.connect(postgresql.url):
        assert active() == 1
        with psycopg.connect(postgresql.url):
            assert active() == 2


def test_the_most_connections_are_those_of_the_server(
    settings: Any, add_database: AddDatabase, postgresql: Postgresql
) -> None:
    settings.OBSERVABILITY_DATABASES = (add_database(postgresql.url),)
    with psycopg.connect(postgresql.url) as connection:
        row = connection.execute("show max_connections").fetchone()
    assert row is not None
    assert value(settled(), "db_connections_max", alias="other") == float(row[0])


def test_a_role_that_may_see_no_statistics_counts_the_connections_of_others(
    settings: Any, add_database: AddDatabase, postgresql: Postgresql
) -> None:
    role = postgresql.name
    with psycopg.connect(postgresql.url, autocommit=True) as owner:
        owner.execute(f"create role {role} login")
        try:
            alias = add_database(postgresql.url.replace("postgres@", f"{role}@"), USER=role)
            settings.OBSERVABILITY_DATABASES = (alias,)
            assert active() == 1
        finally:
            owner.execute(f"drop role {role}")


def test_each_open_handle_of_an_sqlite_file_counts(settings: Any, add_database: AddDatabase, tmp_path: Any) -> None:
    alias = add_database(f"sqlite:///{tmp_path}/counted.sqlite3")
    settings.OBSERVABILITY_COLLECTORS = (f"{__name__}.alone",)
    assert active() == 0
    connections[alias].ensure_connection()
    assert active() == 1
    with contextlib.closing(connections.create_connection(alias)) as second:
        second.ensure_connection()
        assert active() == 2
    assert active() == 1
    families = settled()
    assert "db_connections_max" not in families


def test_handles_of_collectors_do_not_count(settings: Any, add_database: AddDatabase, tmp_path: Any) -> None:
    add_database(f"sqlite:///{tmp_path}/counted.sqlite3")
    settings.OBSERVABILITY_COLLECTORS = (f"{__name__}.alone",)

    def hold() -> None:
        with own_connections(Lines(), 5):
            connections["other"].ensure_connection()
            is_held.set()
            is_asked.wait(LONG_SECONDS)

    is_held, is_asked = threading.Event(), threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(LONG_SECONDS)
    held = active()
    is_asked.set()
    thread.join()
    assert (held, active()) == (0, 0)
    assert not own_handles


def test_a_database_in_memory_has_no_handles(settings: Any, add_database: AddDatabase) -> None:
    settings.OBSERVABILITY_DATABASES = (add_database("sqlite://:memory:"),)
    families = settled()
    assert "db_connections_active" not in families
    assert "migrations_pending" not in families
    assert value(families, "metrics_collector_success", collector="connections_other") == 1


def test_an_alias_that_is_none_fails_alone(settings: Any) -> None:
    settings.OBSERVABILITY_DATABASES = ("nowhere",)
    families = settled()
    assert value(families, "metrics_collector_success", collector="connections_nowhere") == 0
    assert value(families, "metrics_collector_success", collector="processes") == 1


def test_a_driver_that_is_missing_fails_alone(settings: Any, add_database: AddDatabase, tmp_path: Any) -> None:
    add_database("sqlite://:memory:", "strange", ENGINE="no.such.driver")
    alias = add_database(f"sqlite:///{tmp_path}/good.sqlite3", "good")
    settings.OBSERVABILITY_DATABASES = (alias, "strange")
    families = settled()
    assert value(families, "metrics_collector_success", collector="connections_good") == 1
    assert value(families, "metrics_collector_success", collector="connections_strange") == 0


@pytest.mark.django_db
def test_all_databases_are_asked_where_none_is_named(settings: Any) -> None:
    settings.OBSERVABILITY_DATABASES = None
    families = settled()
    assert value(families, "metrics_collector_success", collector="connections_default") == 1
    assert value(families, "metrics_collector_success", collector="migrations_default") == 1
