"""The migrations check, with Django's own content types, which bring two migrations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.db import OperationalError, connections

from health.checks.migrations import MigrationsCheck
from health.status import HealthStatus
from tests.health.checks.conftest import AddDatabase, Postgresql
from tests.health.checks.faults import in_background, open_files, until
from tests.relay import relay

SOON_SECONDS = 0.5


class KeepsEverythingAway:
    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool | None:
        return False if db == "other" else None


class KeepsTheModelAway:
    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **_: Any) -> bool | None:
        return False if db == "other" and model_name == "contenttype" else None


@pytest.fixture(autouse=True)
def project(settings: Any, add_database: AddDatabase) -> Iterator[None]:
    settings.INSTALLED_APPS = ["health", "django.contrib.contenttypes"]
    settings.HEALTH_DATABASES = ["other"]
    yield
    if "other" in connections.settings:
        connections["other"].close()
        del connections["other"]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, add_database: AddDatabase, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return add_database(f"sqlite:///{tmp_path}/other.sqlite3")
    return add_database(request.getfixturevalue("scratch_url"), CONN_MAX_AGE=None)


def check() -> MigrationsCheck:
    [made] = MigrationsCheck.expand("migrations", {})
    assert isinstance(made, MigrationsCheck)
    return made


def migrate(*target: str) -> None:
    call_command("migrate", *target, database="other", verbosity=0)


def test_pending_migrations_are_counted_until_there_are_none(database: str) -> None:
    found = []
    for target in ([], ["contenttypes", "0001"], ["contenttypes"]):
        if target:
            migrate(*target)
        finding = check().run()
        found.append((finding.status, finding.message))
    assert found == [
        (HealthStatus.UNHEALTHY, "2 migrations are pending."),
        (HealthStatus.UNHEALTHY, "1 migration is pending."),
        (HealthStatus.HEALTHY, "No migration is pending."),
    ]


def test_it_does_not_make_the_table_of_migrations(database: str) -> None:
    check().run()
    assert connections["other"].introspection.table_names() == []


def test_all_databases_are_looked_at(settings: Any, database: str, add_database: AddDatabase, tmp_path: Path) -> None:
    add_database(f"sqlite:///{tmp_path}/third.sqlite3", alias="third")
    settings.HEALTH_DATABASES = ["other", "third"]
    migrate()
    assert check().run().message == "2 migrations are pending."


@pytest.mark.parametrize("router", [KeepsEverythingAway, KeepsTheModelAway])
def test_what_routers_keep_away_is_not_pending(settings: Any, database: str, router: type) -> None:
    settings.DATABASE_ROUTERS = [router()]
    assert check().run().status == HealthStatus.HEALTHY


def test_the_threads_own_connection_is_left_alone(database: str) -> None:
    before = connections["other"]
    check().run()
    assert connections["other"] is before
    assert before.connection is None


def test_nothing_is_left_open(database: str) -> None:
    made = check()
    made.run()
    files = open_files()
    for _ in range(3):
        made.run()
    assert open_files() == files


def test_a_run_on_a_frozen_line_fails_when_interrupted(
    add_database: AddDatabase, postgresql: Postgresql, scratch_url: str
) -> None:
    server = urlsplit(scratch_url)
    with relay(server.hostname or "127.0.0.1", server.port or 5432) as link:
        url = server._replace(netloc=f"{server.username}@127.0.0.1:{link.port}").geturl()
        add_database(url, OPTIONS=postgresql.options)
        made = check()
        greet = made._own[0]._line.hold

        def hold_and_freeze(fileno: int) -> None:
            greet(fileno)
            link.flows.clear()

        made._own[0]._line.hold = hold_and_freeze  # type: ignore[method-assign]  # to act at that very moment
        outcome = in_background(made.run)
        until(lambda: not link.flows.is_set())
        time.sleep(0.2)
        assert not outcome.done()
        made.interrupt()
        assert isinstance(outcome.exception(SOON_SECONDS), OperationalError)


def test_a_project_without_a_database_has_no_such_check(add_database: AddDatabase) -> None:
    add_database("sqlite://", ENGINE="django.db.backends.dummy")
    assert MigrationsCheck.expand("migrations", {}) == []


def test_an_unknown_database_is_told() -> None:
    with pytest.raises(ValueError, match="other"):
        MigrationsCheck.expand("migrations", {})
