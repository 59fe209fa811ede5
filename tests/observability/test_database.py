"""Every statement is told once, by its verb and its table, and is what it was without being told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import perf_counter
from typing import Any

import dj_database_url
import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection, connections, transaction
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.utils import ProgrammingError
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from psycopg import sql as composed

from observability import database
from observability.database import _known, _measured, classify, install, measure
from observability.metrics import db_queries, db_query_duration
from observability.tally import Tally, current
from tests import services


@pytest.fixture
def place(transactional_db: None, settings: Any) -> Iterator[Any]:
    """A model of a project, with its table."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "tests.observability.places"]
    from tests.observability.places.models import Place

    with connection.schema_editor() as editor:
        editor.create_model(Place)
    yield Place
    with connection.schema_editor() as editor:
        editor.delete_model(Place)


@pytest.mark.parametrize(
    ("sql", "operation", "table"),
    [
        ('SELECT "a"."b" FROM "a" WHERE "a"."b" = %s', "select", '"a"'),
        ("select * from a", "select", "a"),
        ("SELECT 1", "select", ""),
        ("SELECT * FROM `a`", "select", "`a`"),
        ("SELECT * FROM [dbo].[a]", "select", "[dbo].[a]"),
        ('SELECT * FROM "public" . "a"', "select", '"public" . "a"'),
        ('SELECT 1 FROM"a"', "select", '"a"'),
        ("SELECT EXTRACT(year FROM x), (SELECT 1 FROM b) FROM a", "select", "a"),
        ("SELECT a IS NOT DISTINCT FROM b FROM c", "select", "c"),
        ("SELECT 'FROM x', \"FROM y\" FROM a", "select", "a"),
        ("SELECT 1 -- FROM x\n FROM a", "select", "a"),
        ("/* FROM x */ SELECT 1 /* FROM y */ FROM a", "select", "a"),
        ('SELECT COUNT(*) FROM (SELECT DISTINCT "a"."b" FROM "a") subquery', "select", '"a"'),
        ("SELECT * FROM (WITH q AS (SELECT 1 FROM x) SELECT * FROM a) s", "select", "a"),
        ("SELECT * FROM ((a JOIN b ON true))", "select", "a"),
        ("SELECT * FROM (SELECT 1) s WHERE x IN (SELECT 1 FROM b)", "select", ""),
        ("(SELECT x FROM a) UNION (SELECT y FROM b)", "select", "a"),
        ("WITH RECURSIVE q AS (SELECT 1 FROM x), r(s) AS (SELECT 2) SELECT * FROM a, q", "select", "a"),
        ("WITH q AS (SELECT 1 FROM x) INSERT INTO a SELECT * FROM q", "insert", "a"),
        ("WITH q AS (SELECT 1 FROM x) UPDATE a SET b = 1", "update", "a"),
        ("WITH q AS (SELECT 1 FROM x) DELETE FROM a USING q", "delete", "a"),
        ("WITH q AS (SELECT 1", "other", ""),
        ('INSERT INTO "a" ("b") VALUES (%s)', "insert", '"a"'),
        ("INSERT OR IGNORE INTO a SELECT * FROM b", "insert", "a"),
        ("REPLACE INTO a VALUES (1)", "insert", "a"),
        ('UPDATE "a" SET "b" = (SELECT 1 FROM c)', "update", '"a"'),
        ("UPDATE OR REPLACE a SET b = 1", "update", "a"),
        ("UPDATE ONLY a SET b = 1", "update", "a"),
        ('DELETE FROM "a" WHERE b IN (SELECT 1 FROM c)', "delete", '"a"'),
        ("CREATE TABLE a (b int)", "schema", ""),
        ("ALTER TABLE a ADD b int", "schema", ""),
        ("DROP TABLE a", "schema", ""),
        ("TRUNCATE a", "schema", ""),
        *((f"{verb} x", "transaction", "") for verb in ("BEGIN", "SAVEPOINT", "COMMIT", "ROLLBACK", "RELEASE", "SET")),
        ("EXPLAIN SELECT 1 FROM a", "other", ""),
        ("PRAGMA foreign_keys", "other", ""),
        ("", "other", ""),
        ("((((", "other", ""),
        ("))) SELECT 1 FROM a", "select", "a"),
        ("SELECT FROM", "select", ""),
        ("UPDATE", "update", ""),
        ("SELECT 'never ended FROM a", "select", ""),
        ("SELECT 1 FROM ???", "select", ""),
    ],
)
def test_a_statement_is_told_by_its_verb_and_the_first_table_of_its_own_level(
    sql: str, operation: str, table: str
) -> None:
    assert classify(sql) == (operation, table)


@pytest.mark.parametrize(
    "sql", ["/*" * 10_000, '"' * 20_001, "'" * 20_001, "(" * 20_000, "SELECT " + "a . " * 5_000, "[" * 20_000]
)
def test_hostile_text_is_looked_through_in_no_time(sql: str) -> None:
    started = perf_counter()
    classify(sql)
    assert perf_counter() - started < 1


def test_a_models_queries_are_told_by_its_table(place: Any, moved: Callable[[], Any]) -> None:
    shouted = '"PLACES_PLACE"' if connection.vendor == "sqlite" else "public.PLACES_PLACE"
    with moved() as moves:
        place.objects.bulk_create([place(domain="a", name="a")])
        place.objects.filter(name="a").update(name="b")
        assert place.objects.filter(name="b").count() == 1
        assert place.objects.values("name").distinct()[:3].count() == 1
        assert len(place.objects.raw(f"SELECT * FROM {shouted}")) == 1  # noqa: S608 - a text of this test's
        place.objects.filter(name="b")._raw_delete(connection.alias)  # without the signals, which ask more
    expected = {
        ("insert", "places_place", "ok"): 1,
        ("update", "places_place", "ok"): 1,
        ("select", "places_place", "ok"): 3,
        ("delete", "places_place", "ok"): 1,
    }
    assert {labels: n for labels, n in moves.of(db_queries).items() if labels[1] != "none"} == expected
    assert moves.of(db_query_duration)["select", "places_place"] == 3


@pytest.mark.django_db
def test_what_is_no_models_table_is_other_and_no_table_is_none(moved: Callable[[], Any]) -> None:
    with moved() as moves, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE hostile (x int)")
        cursor.execute("SELECT * FROM hostile")
        cursor.execute("SELECT 1")
        with suppress(DatabaseError), transaction.atomic():
            cursor.execute("DELETE FROM django_migrations WHERE id < 0")  # which a project without migrations lacks
    counted = moves.of(db_query_duration)
    assert {labels: count for labels, count in counted.items() if labels[0] != "transaction"} == {
        ("schema", "none"): 1,
        ("select", "other"): 1,
        ("select", "none"): 1,
        ("delete", "django_migrations"): 1,
    }


@pytest.mark.django_db
def test_a_models_table_is_known_as_soon_as_there_is_the_model(settings: Any, moved: Callable[[], Any]) -> None:
    def ask() -> None:
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute('SELECT "name" FROM "places_place" AS asked_before')

    with moved() as before:
        ask()
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "tests.observability.places"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 AS something_new")
    with moved() as after:
        ask()
    assert before.of(db_queries)["select", "other", "error"] == 1
    assert after.of(db_queries)["select", "places_place", "error"] == 1


@pytest.mark.django_db
def test_a_failing_statement_fails_as_it_would_and_is_told_once(moved: Callable[[], Any]) -> None:
    with moved() as moves:
        with (
            pytest.raises((ProgrammingError, DatabaseError), match="nowhere") as failure,
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT * FROM nowhere")
        assert failure.value.__cause__ is not None
    assert moves.of(db_queries)["select", "other", "error"] == 1
    assert ("select", "other", "ok") not in moves.of(db_queries)
    assert moves.of(db_query_duration)["select", "other"] == 1


@pytest.mark.django_db
def test_a_statement_that_is_broken_off_is_an_error(moved: Callable[[], Any]) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with moved() as moves, connection.execute_wrapper(stop), pytest.raises(KeyboardInterrupt):
        connection.cursor().execute("SELECT 1")
    assert moves.of(db_queries) == {("select", "none", "error"): 1}


def test_many_rows_in_one_call_are_one_statement(place: Any, moved: Callable[[], Any]) -> None:
    with moved() as moves, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO places_place (domain, name) VALUES (%s, %s)", ((str(n), "x") for n in range(20))
        )
        assert cursor.rowcount == 20
    assert moves.of(db_queries) == {("insert", "places_place", "ok"): 1}
    assert place.objects.count() == 20


def test_a_request_knows_how_many_statements_it_has_sent(place: Any) -> None:
    tally = Tally()
    token = current.set(tally)
    try:
        place.objects.count()
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO places_place (domain, name) VALUES (%s, %s)", [("a", "b"), ("c", "d")])
        with pytest.raises(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT * FROM nowhere")
    finally:
        current.reset(token)
    assert tally.queries == 3


def test_statements_of_async_code_count_into_the_request_that_sent_them(place: Any) -> None:
    async def request() -> int:
        current.set(Tally())
        await sync_to_async(place.objects.count)()
        await sync_to_async(place.objects.count)()
        tally = current.get()
        assert tally is not None
        return tally.queries

    async def two() -> list[int]:
        try:
            return await asyncio.gather(request(), request())
        finally:
            await sync_to_async(connections.close_all)()

    assert asyncio.run(two()) == [2, 2]


def test_djangos_own_count_of_queries_is_what_it_was(
    place: Any, django_assert_num_queries: Callable[[int], Any]
) -> None:
    with django_assert_num_queries(1):
        place.objects.count()
    with CaptureQueriesContext(connection) as captured:
        place.objects.bulk_create([place(domain="a", name="a")])
    assert [query["sql"].split()[0] for query in captured.captured_queries] == ["BEGIN", "INSERT", "COMMIT"]


@pytest.mark.django_db
def test_a_wrapper_for_a_while_takes_itself_away_and_not_ours() -> None:
    seen = []

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    connection.execute_wrappers.remove(_measured)
    with connection.execute_wrapper(note):
        measure(connection)  # as where the connection is made inside the block
        connection.cursor().execute("SELECT 1")
    assert connection.execute_wrappers == [_measured]
    assert seen == ["SELECT 1"]


@pytest.mark.django_db
def test_installing_again_changes_nothing(moved: Callable[[], Any]) -> None:
    install()
    install()
    with moved() as moves:
        connection.cursor().execute("SELECT 1")
    assert connection.execute_wrappers.count(_measured) == 1
    assert moves.of(db_queries) == {("select", "none", "ok"): 1}


@pytest.mark.django_db
def test_a_database_may_be_left_out() -> None:
    connection.execute_wrappers.remove(_measured)
    with override_settings(OBSERVABILITY_DATABASES=["another"]):
        measure(connection)
        assert _measured not in connection.execute_wrappers
    with override_settings(OBSERVABILITY_DATABASES=["default"]):
        measure(connection)
        assert _measured in connection.execute_wrappers


@pytest.mark.django_db(transaction=True)
def test_a_connection_is_measured_once_however_often_it_is_made() -> None:
    for _ in range(3):
        if connection.vendor != "sqlite":  # whose database would end with its connection
            connection.close()
        connection.connect()
    assert connection.execute_wrappers.count(_measured) == 1


@pytest.mark.django_db(transaction=True)
def test_another_threads_connections_are_measured_too(moved: Callable[[], Any]) -> None:
    def ask() -> None:
        try:
            for _ in range(50):
                connection.cursor().execute("SELECT 1")
        finally:
            connections.close_all()

    with moved() as moves, ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(ask) for _ in range(16)]:
            done.result(60)
    assert moves.of(db_queries) == {("select", "none", "ok"): 800}


@pytest.mark.django_db
def test_what_is_remembered_is_bounded() -> None:
    _known.clear()
    with connection.cursor() as cursor:
        for number in range(1_100):
            cursor.execute(f"SELECT {number}")
        for number in range(950):
            cursor.execute("SELECT 1" + " " * (4_000 + number))
    assert len(_known) <= 1_000
    assert max(len(key if isinstance(key, str) else key[0]) for key in _known) <= 4_000


def wide(columns: int, table: str = "django_migrations") -> str:
    """A statement on a model with so many columns, as Django writes it."""
    named = ", ".join(f'"{table}"."some_column_name_{number}"' for number in range(columns))
    return f'SELECT {named} FROM "{table}" WHERE "{table}"."id" = %s'  # noqa: S608 - a text of this test's


@pytest.mark.parametrize("columns", [100, 400])
def test_a_long_statement_is_read_once_and_finds_its_table(
    columns: int, monkeypatch: pytest.MonkeyPatch, moved: Callable[[], Any]
) -> None:
    read: list[str] = []
    monkeypatch.setattr(database, "classify", lambda sql: read.append(sql) or classify(sql))  # type: ignore[func-returns-value]  # append gives None, that is the point
    _known.clear()
    database._tables.follow_models()
    with moved() as moves:
        for _ in range(5):
            _measured(lambda *_: None, wide(columns), (), False, {})
        _measured(lambda *_: None, wide(columns, "somebody"), (), False, {})
    assert moves.of(db_queries) == {("select", "django_migrations", "ok"): 5, ("select", "other", "ok"): 1}
    assert len(read) == 2


@pytest.mark.parametrize(
    "sql",
    [
        b"SELECT 1 FROM django_migrations",
        bytearray(b"SELECT 1 FROM django_migrations"),
        composed.SQL("SELECT 1 FROM {}").format(composed.Identifier("django_migrations")),
        composed.SQL("SELECT 1"),
        None,
        17,
        object(),
        [],
    ],
)
def test_whatever_stands_for_a_statement_is_handed_on_as_it_is(sql: Any, moved: Callable[[], Any]) -> None:
    params, context = object(), object()
    with moved() as moves:
        handed = _measured(lambda *given: given, sql, params, False, context)
    assert handed == (sql, params, False, context)
    assert handed[0] is sql
    table = "django_migrations" if isinstance(sql, bytes | bytearray) else "none"
    assert moves.of(db_queries) == {("select" if table != "none" else "other", table, "ok"): 1}


def test_a_text_that_is_more_than_a_text_is_read_and_not_kept(moved: Callable[[], Any]) -> None:
    class Marked(str):
        __slots__ = ()

    _known.clear()
    with moved() as moves:
        _measured(lambda *given: given, Marked("SELECT 1"), (), False, {})
    assert moves.of(db_queries) == {("select", "none", "ok"): 1}
    assert not _known


def test_more_tables_than_the_budget_are_other_and_no_statement_fails_for_it(
    monkeypatch: pytest.MonkeyPatch, moved: Callable[[], Any]
) -> None:
    many = {f"table_{number}": f"table_{number}" for number in range(400)}
    monkeypatch.setattr(database._tables, "follow_models", lambda: None)
    monkeypatch.setattr(database._tables, "_names", many)
    monkeypatch.setattr(db_query_duration, "_seen", {"operation": set(), "table": set(many) - {"table_1", "table_2"}})
    with moved() as moves:
        _measured(lambda *given: given, "SELECT over_budget FROM table_1", (), False, {})
    assert moves.of(db_queries) == {("select", "other", "ok"): 1}


@pytest.mark.django_db
def test_threads_that_ask_the_same_at_once_lose_no_count(moved: Callable[[], Any]) -> None:
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait(30)
        for number in range(2_000):
            _measured(lambda *_: None, f"SELECT {number % 1_300}", (), False, {})

    with moved() as moves, ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(ask) for _ in range(8)]:
            done.result(60)
    assert moves.of(db_queries) == {("select", "none", "ok"): 16_000}


@pytest.mark.django_db
def test_a_real_postgresql_is_asked_as_before(moved: Callable[[], Any]) -> None:
    """With psycopg's composed statements, server-side cursors and persistent connections."""
    url = services.require_postgresql()
    wrapper = DatabaseWrapper(
        {**connections["default"].settings_dict, **dj_database_url.parse(url), "CONN_MAX_AGE": 60, "OPTIONS": {}},
        alias="scratch",
    )
    try:
        with moved() as moves:
            with wrapper.cursor() as cursor:
                cursor.execute(composed.SQL("SELECT {}").format(composed.Literal(7)))
                assert cursor.fetchone() == (7,)
                cursor.execute("SELECT relname FROM pg_catalog.pg_class LIMIT %(n)s", {"n": 3})
                assert len(cursor.fetchall()) == 3
            wrapper.close_if_unusable_or_obsolete()
            with wrapper.cursor() as cursor, pytest.raises(DatabaseError):
                cursor.execute("SELECT 1/0")
        assert {labels: count for labels, count in moves.of(db_queries).items() if labels[0] != "transaction"} == {
            ("other", "none", "ok"): 1,
            ("select", "other", "ok"): 1,
            ("select", "none", "error"): 1,
        }
    finally:
        wrapper.close()


@pytest.mark.django_db
def test_it_costs_a_few_millionths_of_a_second(moved: Callable[[], Any]) -> None:
    """Ten times the goal of 4.7 µs, on a busy machine."""

    def execute(*_: Any) -> None: ...

    def seconds(call: Callable[..., Any], *args: Any) -> float:
        started = perf_counter()
        for _ in range(2_000):
            call(*args)
        return (perf_counter() - started) / 2_000

    _measured(execute, "SELECT 1", (), False, {})
    added = min(seconds(_measured, execute, "SELECT 1", (), False, {}) for _ in range(5))
    assert added < 47e-6
