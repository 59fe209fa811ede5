"""The database check, against real databases that hang, die and come back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import OperationalError

from health.base import Finding
from health.checks.database import DatabaseCheck
from health.status import HealthStatus
from tests.health.checks.conftest import AddDatabase, Postgresql
from tests.health.checks.faults import (
    in_background,
    open_files,
    silent_server,
    stopped,
    until,
    without_garbage_collection,
)
from tests.relay import relay
from tests.services import free_port

CONNECT_SECONDS = 2.0
SLACK_SECONDS = 0.7
SOON_SECONDS = 0.5
HANGS_AFTER_SECONDS = 0.3
SECRET = "planted-password"


def check_of(alias: str, **fields: Any) -> DatabaseCheck:
    return DatabaseCheck(name="database", alias=alias, **fields)


@pytest.fixture(params=[0, 60, None], ids=["closed", "kept a minute", "kept"])
def max_age(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_sqlite_answers(add_database: AddDatabase, tmp_path: Path, max_age: Any) -> None:
    check = check_of(add_database(f"sqlite:///{tmp_path}/some.sqlite3", CONN_MAX_AGE=max_age))
    assert [check.run().status for _ in range(3)] == [HealthStatus.HEALTHY] * 3
    check.close()


def test_sqlite_in_memory_answers(add_database: AddDatabase, max_age: Any) -> None:
    check = check_of(add_database("sqlite:///:memory:", CONN_MAX_AGE=max_age))
    assert [check.run().status for _ in range(3)] == [HealthStatus.HEALTHY] * 3
    check.close()


@pytest.mark.django_db
def test_the_tests_own_database_answers() -> None:
    check = check_of("default")
    assert check.run().code == "answers"
    check.close()


def test_a_locked_sqlite_is_given_up_in_a_second(add_database: AddDatabase, tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "locked.sqlite3"
    check = check_of(add_database(f"sqlite:///{path}"))
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("begin exclusive")
    began_at = time.monotonic()
    with pytest.raises(OperationalError):
        check.run()
    assert time.monotonic() - began_at < 1 + SLACK_SECONDS
    locker.close()


def test_postgresql_answers_and_leaves_no_more_than_its_one_connection(
    add_database: AddDatabase, postgresql: Postgresql, max_age: Any
) -> None:
    check = check_of(add_database(postgresql.url, CONN_MAX_AGE=max_age, OPTIONS=postgresql.options))
    files = open_files()
    assert {check.run().status for _ in range(50)} == {HealthStatus.HEALTHY}
    kept = max_age != 0
    assert len(postgresql.backends()) == kept
    assert open_files() == files + 2 * kept  # the connection's, and the grip on it
    check.close()
    until(lambda: not postgresql.backends())
    assert open_files() == files


def test_a_connection_is_not_kept_beyond_its_age(add_database: AddDatabase, postgresql: Postgresql) -> None:
    check = check_of(add_database(postgresql.url, CONN_MAX_AGE=0.3, OPTIONS=postgresql.options))
    check.run()
    assert len(postgresql.backends()) == 1
    time.sleep(0.4)
    check.run()
    until(lambda: not postgresql.backends())


@pytest.mark.parametrize(
    "options",
    [{"pool": True}, {"pool": {"min_size": 4}}, {"server_side_binding": True}, {"prepare_threshold": 0}],
    ids=str,
)
def test_no_option_of_the_projects_hinders_it(
    add_database: AddDatabase, postgresql: Postgresql, options: dict[str, Any]
) -> None:
    """The pool's package is not installed: nothing is taken from one."""
    check = check_of(add_database(postgresql.url, OPTIONS={**postgresql.options, **options}))
    assert [check.run().code for _ in range(8)] == ["answers"] * 8
    check.close()


def test_a_slow_one_is_degraded(add_database: AddDatabase, postgresql: Postgresql) -> None:
    finding = check_of(add_database(postgresql.url, CONN_MAX_AGE=0), slow_seconds=0).run()
    assert (finding.status, finding.code) == (HealthStatus.DEGRADED, "slow")


def test_the_limit_on_a_statement_does_not_outlive_the_look(add_database: AddDatabase, postgresql: Postgresql) -> None:
    """A pooler would hand it to others."""
    check = check_of(add_database(postgresql.url, CONN_MAX_AGE=None))
    check.run()
    assert check._own._connection is not None
    with check._own._connection.cursor() as cursor:
        cursor.execute("show statement_timeout")
        assert cursor.fetchone() == ("0",)
    check.close()


def test_a_wait_for_a_lock_ends_on_the_server_too(
    add_database: AddDatabase, postgresql: Postgresql, scratch_url: str
) -> None:
    check = check_of(add_database(scratch_url, CONN_MAX_AGE=None, OPTIONS=postgresql.options), deadline_seconds=0.2)
    check.run()
    with psycopg.connect(scratch_url) as locker:
        locker.execute("lock table pg_catalog.pg_class in access exclusive mode")
        outcome = in_background(check.run)
        time.sleep(HANGS_AFTER_SECONDS)
        check.interrupt()
        assert isinstance(outcome.exception(SOON_SECONDS), OperationalError)
        until(lambda: not postgresql.backends(), 2)


def test_a_server_that_never_answers_is_given_up_and_leaves_no_socket(add_database: AddDatabase) -> None:
    with silent_server() as port, without_garbage_collection():
        check = check_of(add_database(f"postgresql://someone:{SECRET}@127.0.0.1:{port}/some"))
        files = open_files()
        began_at = time.monotonic()
        with pytest.raises(OperationalError):
            check.run()
        assert CONNECT_SECONDS <= time.monotonic() - began_at < CONNECT_SECONDS + SLACK_SECONDS
        assert open_files() == files


def test_no_address_of_several_leaves_a_socket(add_database: AddDatabase) -> None:
    with silent_server() as port, without_garbage_collection():
        check = check_of(add_database("postgresql:///some", HOST="127.0.0.1,127.0.0.1", PORT=f"{free_port()},{port}"))
        files = open_files()
        with pytest.raises(OperationalError):
            check.run()
        assert open_files() == files


def test_a_refused_connection_leaves_no_socket(add_database: AddDatabase) -> None:
    with without_garbage_collection():
        check = check_of(add_database(f"postgresql://127.0.0.1:{free_port()}/some"))
        files = open_files()
        for _ in range(10):
            with pytest.raises(OperationalError):
                check.run()
        assert open_files() == files


def test_a_run_on_a_frozen_line_fails_when_interrupted_and_the_next_one_connects_anew(
    add_database: AddDatabase, postgresql: Postgresql
) -> None:
    server = urlsplit(postgresql.url)
    with relay(server.hostname or "127.0.0.1", server.port or 5432) as link:
        url = server._replace(netloc=f"{server.username}@127.0.0.1:{link.port}").geturl()
        check = check_of(add_database(url, CONN_MAX_AGE=None, OPTIONS=postgresql.options))
        check.run()
        files = open_files()
        link.flows.clear()
        outcome = in_background(check.run)
        time.sleep(HANGS_AFTER_SECONDS)
        assert not outcome.done()
        check.interrupt()
        assert isinstance(outcome.exception(SOON_SECONDS), OperationalError)
        assert open_files() == files - 2
        link.flows.set()
        assert check.run().status == HealthStatus.HEALTHY
        check.close()


def test_a_backend_stopped_mid_session_does_not_hinder_the_next_run(
    add_database: AddDatabase, postgresql: Postgresql
) -> None:
    check = check_of(add_database(postgresql.url, CONN_MAX_AGE=None, OPTIONS=postgresql.options))
    check.run()
    with stopped(*postgresql.backends()):
        outcome = in_background(check.run)
        time.sleep(HANGS_AFTER_SECONDS)
        assert not outcome.done()
        beside = check.fresh()
        assert beside.run().status == HealthStatus.HEALTHY
        beside.close()
        check.interrupt()
        assert isinstance(outcome.exception(SOON_SECONDS), OperationalError)
        assert check.run().status == HealthStatus.HEALTHY
    check.close()
    until(lambda: not postgresql.backends())


def test_a_connection_that_was_ended_meanwhile_is_no_failure(add_database: AddDatabase, postgresql: Postgresql) -> None:
    check = check_of(add_database(postgresql.url, CONN_MAX_AGE=None, OPTIONS=postgresql.options))
    check.run()
    postgresql.terminate_backends()
    assert check.run().status == HealthStatus.HEALTHY
    assert len(postgresql.backends()) == 1
    check.close()


def test_an_interruption_just_after_a_run_does_not_harm_the_next(
    add_database: AddDatabase, postgresql: Postgresql
) -> None:
    check = check_of(add_database(postgresql.url, CONN_MAX_AGE=None))
    check.run()
    check.interrupt()
    assert check.run().status == HealthStatus.HEALTHY
    check.close()
    check.interrupt()


def test_an_interruption_that_comes_before_its_run_ends_it(add_database: AddDatabase, postgresql: Postgresql) -> None:
    check = check_of(add_database(postgresql.url, CONN_MAX_AGE=None))
    check.interrupt()
    with pytest.raises(OperationalError):
        check.run()
    assert check.run().status == HealthStatus.HEALTHY
    check.close()


def test_an_interruption_while_connecting_ends_the_run_once_it_is_connected(
    add_database: AddDatabase, postgresql: Postgresql
) -> None:
    check = check_of(add_database(postgresql.url, OPTIONS=postgresql.options))
    make = check._own._made

    def be_cut_and_make() -> Any:
        check.interrupt()
        return make()

    check._own._made = be_cut_and_make  # type: ignore[method-assign]  # to act at that very moment
    with pytest.raises(OperationalError):
        check.run()
    until(lambda: not postgresql.backends())


def test_another_thread_may_take_over(add_database: AddDatabase, postgresql: Postgresql) -> None:
    check = check_of(add_database(postgresql.url, CONN_MAX_AGE=None))
    findings: list[Finding] = [in_background(check.run).result(5) for _ in range(3)]
    in_background(check.close).result(5)
    assert {finding.status for finding in findings} == {HealthStatus.HEALTHY}


def test_messages_tell_no_secret(add_database: AddDatabase, postgresql: Postgresql) -> None:
    check = check_of(add_database(postgresql.url, PASSWORD=SECRET, CONN_MAX_AGE=0))
    assert SECRET not in check.run().message
    assert SECRET not in repr(check)


def test_there_is_a_check_for_every_database(settings: Any, add_database: AddDatabase, tmp_path: Path) -> None:
    add_database(f"sqlite:///{tmp_path}/a.sqlite3", alias="Replica")
    settings.HEALTH_DATABASES = ["default", "Replica"]
    checks = DatabaseCheck.expand("database", {"slow_seconds": 0.5})
    assert [(check.name, check.alias, check.slow_seconds) for check in checks if isinstance(check, DatabaseCheck)] == [
        ("database", "default", 0.5),
        ("database-replica", "Replica", 0.5),
    ]


def test_a_single_database_may_be_named(settings: Any, add_database: AddDatabase, tmp_path: Path) -> None:
    add_database(f"sqlite:///{tmp_path}/a.sqlite3", alias="other")
    [check] = DatabaseCheck.expand("reports", {"alias": "other", "critical": False})
    assert (check.name, check.critical) == ("reports", False)


def test_an_unknown_database_is_told(settings: Any) -> None:
    settings.HEALTH_DATABASES = ["nowhere"]
    with pytest.raises(ValueError, match="nowhere"):
        DatabaseCheck.expand("database", {})
    with pytest.raises(ValueError, match="elsewhere"):
        DatabaseCheck.expand("database", {"alias": "elsewhere"})


def test_a_project_without_a_database_has_no_check_of_one(add_database: AddDatabase) -> None:
    add_database("sqlite://", alias="default", ENGINE="django.db.backends.dummy")
    assert DatabaseCheck.expand("database", {}) == []
