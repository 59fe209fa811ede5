"""Pending migrations are counted, of each database those that belong there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from observability.collected.migrations import MigrationsCollector
from observability.collectors import forget_collected
from observability.metrics import db_queries, db_query_duration
from tests.observability.servers import AddDatabase, settled, value


class Nowhere:
    """A router that lets no app's tables into the database."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if db == "other" else None


def pending() -> float | None:
    forget_collected()
    return value(settled(), "migrations_pending", alias="other")


@pytest.fixture
def existing(settings: Any) -> int:
    """A project with an app that has migrations, as Django's own; how many there are in all."""
    settings.INSTALLED_APPS = ["observability", "django.contrib.contenttypes"]
    settings.OBSERVABILITY_DATABASES = ("other",)
    count = len(MigrationLoader(None).disk_migrations)
    assert count >= 2
    return count


@pytest.mark.parametrize("server", ["sqlite", "postgresql"])
def test_a_migration_that_was_not_applied_is_pending(
    existing: int, add_database: AddDatabase, server: str, request: pytest.FixtureRequest, tmp_path: Any
) -> None:
    url = f"sqlite:///{tmp_path}/some.sqlite3" if server == "sqlite" else request.getfixturevalue("postgresql").url
    add_database(url)
    assert pending() == existing
    call_command("migrate", "contenttypes", "0001", database="other", verbosity=0)
    assert pending() == existing - 1
    call_command("migrate", database="other", verbosity=0)
    assert pending() == 0


def test_what_a_router_keeps_away_is_not_pending(
    existing: int, settings: Any, add_database: AddDatabase, tmp_path: Any
) -> None:
    add_database(f"sqlite:///{tmp_path}/some.sqlite3")
    settings.DATABASE_ROUTERS = [f"{__name__}.Nowhere"]
    assert pending() == 0


def test_asking_makes_no_table(existing: int, add_database: AddDatabase, tmp_path: Any) -> None:
    alias = add_database(f"sqlite:///{tmp_path}/some.sqlite3")
    pending()
    assert connections[alias].introspection.table_names() == []


def test_it_is_asked_less_often_than_others() -> None:
    assert MigrationsCollector.snapshot_seconds == 60


@pytest.mark.parametrize("server", ["sqlite", "postgresql"])
def test_what_collectors_ask_is_not_measured(
    existing: int,
    add_database: AddDatabase,
    server: str,
    request: pytest.FixtureRequest,
    tmp_path: Any,
    moved: Callable[[], Any],
) -> None:
    add_database(
        f"sqlite:///{tmp_path}/some.sqlite3" if server == "sqlite" else request.getfixturevalue("postgresql").url
    )
    pending()
    with moved() as moves:
        assert pending() == existing
    assert moves.of(db_queries) == {}
    assert moves.of(db_query_duration) == {}
    with moved() as moves, connections["other"].cursor() as cursor:
        cursor.execute("select 1")
    assert moves.of(db_queries)["select", "none", "ok"] == 1, "others are"
