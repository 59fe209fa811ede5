"""Pages by cursor: every row once, whatever the order, and no cursor but ours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import signing
from django.db import connection
from django.utils import timezone

from harvester.errors import InvalidCursorError
from harvester.models import Artifact, Run, Score, Source
from harvester.queries.cursors import KeysetPage, Order, _Position, paginate
from harvester.queries.discoveries import BEST
from harvester.queries.runs import NEWEST
from harvester.queries.sources import BY_NAME, sources
from tests.factories import make_artifacts, make_run, make_source

pytestmark = pytest.mark.django_db


def best(cursor: str | None, limit: int = 100, **binding: str) -> KeysetPage[Artifact]:
    rows = Artifact.objects.filter(score__isnull=False).select_related("score")
    return paginate(rows, order=BEST, cursor=cursor, limit=limit, binding=binding)


def newest(cursor: str | None, limit: int = 100, order: Order = NEWEST) -> KeysetPage[Run]:
    return paginate(Run.objects.all(), order=order, cursor=cursor, limit=limit, binding={})


def walk(limit: int) -> Iterator[KeysetPage[Artifact]]:
    page = best(None, limit)
    yield page
    while page.next_cursor is not None:
        page = best(page.next_cursor, limit)
        yield page


def forged(held: object, salt: str = "harvester.queries.cursors") -> str:
    return signing.Signer(salt=salt).sign_object(held)


def digest_of(cursor: str) -> str:
    held: list[Any] = signing.Signer(salt="harvester.queries.cursors").unsign_object(cursor)
    return str(held[0])


@pytest.fixture
def artifacts() -> list[Artifact]:
    return make_artifacts(make_source(), 250)


def test_a_walk_meets_every_row_once(artifacts: list[Artifact]) -> None:
    met = [artifact.pk for page in walk(37) for artifact in page.results]
    assert met == [artifact.pk for artifact in artifacts]


def test_a_walk_over_equal_sort_values_meets_every_row_once(artifacts: list[Artifact]) -> None:
    Score.objects.update(rank=1480.1234567890123)
    met = [artifact.pk for page in walk(100) for artifact in page.results]
    assert met == sorted((artifact.pk for artifact in artifacts), reverse=True)


def test_the_way_back_shows_the_same_pages(artifacts: list[Artifact]) -> None:
    forwards = list(walk(60))
    page, backwards = forwards[-1], [forwards[-1]]
    while page.previous_cursor is not None:
        page = best(page.previous_cursor, 60)
        backwards.append(page)
    assert [page.results for page in reversed(backwards)] == [page.results for page in forwards]
    assert page.previous_cursor is None
    assert page.next_cursor is not None


def test_neighbouring_floats_stay_apart(artifacts: list[Artifact]) -> None:
    rank = 1490.0
    for artifact in artifacts:
        rank = math.nextafter(rank, math.inf)
        Score.objects.filter(artifact=artifact).update(rank=rank)
    assert [artifact.pk for page in walk(1) for artifact in page.results] == [a.pk for a in reversed(artifacts)]


def test_rows_that_come_and_go_do_not_shift_a_page(artifacts: list[Artifact]) -> None:
    first = best(None, 10)
    Artifact.objects.filter(pk__in=[artifact.pk for artifact in first.results]).delete()
    assert [artifact.pk for artifact in best(first.next_cursor, 10).results] == [a.pk for a in artifacts[10:20]]


def test_an_empty_list_has_one_page() -> None:
    assert best(None) == KeysetPage(results=[], next_cursor=None, previous_cursor=None)


def test_a_page_that_ends_the_list_has_no_next() -> None:
    make_artifacts(make_source(), 4)
    assert best(best(None, 2).next_cursor, 2).next_cursor is None


def test_times_keep_their_microseconds() -> None:
    now = timezone.now()
    runs = [make_run(created_at=now + timedelta(microseconds=number)) for number in range(3)]
    page, met = newest(None, 1), []
    while True:
        met += page.results
        if page.next_cursor is None:
            break
        page = newest(page.next_cursor, 1)
    assert met == runs[::-1]


def test_text_sorts_and_walks_upwards_whatever_its_script_and_length() -> None:
    names = ["arXiv", "Zeit", "Ünïcode", "日本", "🚀" * 200, "b'; --", "%s"]
    for name in names:
        make_source(name)
    expected = [source.pk for source in sources()]
    met, cursor = [], None
    while True:
        page: KeysetPage[Source] = paginate(sources(), order=BY_NAME, cursor=cursor, limit=1, binding={})
        met += [source.pk for source in page.results]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert met == expected


def test_a_cursor_is_the_same_for_the_same_place(artifacts: list[Artifact]) -> None:
    assert best(None, 10).next_cursor == best(None, 10).next_cursor


def test_a_cursor_belongs_to_its_filters(artifacts: list[Artifact]) -> None:
    cursor = best(None, 10, kind="post").next_cursor
    assert best(cursor, 10, kind="post").results
    with pytest.raises(InvalidCursorError):
        best(cursor, 10, kind="article")


def test_a_cursor_belongs_to_its_order(artifacts: list[Artifact]) -> None:
    make_run()
    make_run()
    with pytest.raises(InvalidCursorError):
        newest(best(None, 10).next_cursor)


@pytest.mark.parametrize("cursor", ["", "x", "a:b", ":", "\0", "Ä", "\ud800", "." * 5000, "null", "W10:", "eyJ9:abc"])
def test_rubbish_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursorError):
        best(cursor)


def test_a_changed_cursor_is_refused(artifacts: list[Artifact]) -> None:
    cursor = best(None, 10).next_cursor
    assert cursor is not None
    for index in range(len(cursor)):
        changed = cursor[:index] + ("A" if cursor[index] != "A" else "B") + cursor[index + 1 :]
        with pytest.raises(InvalidCursorError):
            best(changed, 10)


def test_what_was_signed_for_something_else_is_refused(artifacts: list[Artifact]) -> None:
    digest = digest_of(best(None, 10).next_cursor or "")
    with pytest.raises(InvalidCursorError):
        best(forged([digest, "next", 1.0, 1], salt="another"))


@pytest.mark.parametrize(
    "rest",
    [
        ["sideways", 1.0, 1],
        ["next", "1.0", 1],
        ["next", 1, 1],
        ["next", True, 1],
        ["next", None, 1],
        ["next", [], 1],
        ["next", math.nan, 1],
        ["next", math.inf, 1],
        ["next", -math.inf, 1],
        ["next", 1.0, "1"],
        ["next", 1.0, 1.0],
        ["next", 1.0, True],
        ["next", 1.0, -1],
        ["next", 1.0, 2**63],
        ["next", 1.0, 10**400],
        ["next", 1.0],
        ["next", 1.0, 1, 1],
        [],
    ],
)
def test_even_signed_a_wrong_value_is_refused(artifacts: list[Artifact], rest: list[object]) -> None:
    digest = digest_of(best(None, 10).next_cursor or "")
    with pytest.raises(InvalidCursorError):
        best(forged([digest, *rest]))
    with pytest.raises(InvalidCursorError):
        best(forged(dict(enumerate([digest, *rest]))))


@pytest.mark.parametrize("written", ["", "now", "2026-01-01T00:00:00", "2026-13-01T00:00:00+00:00", "a\0b", 5, 1.5])
def test_even_signed_a_wrong_time_is_refused(written: object) -> None:
    make_run()
    make_run()
    digest = digest_of(newest(None, 1).next_cursor or "")
    with pytest.raises(InvalidCursorError):
        newest(forged([digest, "next", written, 1]))


@pytest.mark.parametrize("written", ["a\0b", 5, None])
def test_even_signed_a_wrong_text_is_refused(written: object) -> None:
    make_source()
    make_source()

    def page(cursor: str | None) -> KeysetPage[Source]:
        return paginate(sources(), order=BY_NAME, cursor=cursor, limit=1, binding={})

    with pytest.raises(InvalidCursorError):
        page(forged([digest_of(page(None).next_cursor or ""), "next", written, 1]))


@pytest.mark.parametrize("written", ["1", 1.0, 2**63, -(2**63) - 1, True])
def test_even_signed_a_wrong_number_is_refused(written: object) -> None:
    order = Order("by id", value="pk", type=int)
    make_run()
    make_run()
    digest = digest_of(newest(None, 1, order).next_cursor or "")
    with pytest.raises(InvalidCursorError):
        newest(forged([digest, "next", written, 1]), 1, order)


def test_a_time_far_away_is_no_error() -> None:
    make_run()
    make_run()
    digest = digest_of(newest(None, 1).next_cursor or "")
    assert len(newest(forged([digest, "next", "9999-12-31T23:59:59+00:00", 1])).results) == 2
    assert newest(forged([digest, "next", "0001-01-01T00:00:00+00:00", 1])).results == []


def test_the_database_goes_on_in_the_index(artifacts: list[Artifact]) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE harvester_score")
            cursor.execute("SET LOCAL enable_seqscan = off")  # 250 rows are read quicker without an index
    beyond = _Position("next", 1480.0, 5).beyond(Order("best", value="rank", id="artifact_id", type=float))
    plan = Score.objects.filter(beyond).order_by("-rank", "-artifact_id")[:50].explain()
    expected = {
        "postgresql": "Index Cond: (ROW(rank, artifact_id) <",
        "sqlite": "INDEX score_best ((rank,artifact_id)<",
    }
    assert expected[connection.vendor] in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def test_a_page_takes_one_query(artifacts: list[Artifact], django_assert_num_queries: Any) -> None:
    cursor = best(None, 10).next_cursor
    with django_assert_num_queries(1):
        best(cursor, 10)


def test_times_are_compared_as_times() -> None:
    early = make_run(created_at=datetime.fromisoformat("2026-01-01T23:00:00+00:00"))
    late = make_run(created_at=datetime.fromisoformat("2026-01-02T00:30:00+01:00"))
    assert newest(newest(None, 1).next_cursor, 1).results == [early]
    assert newest(None, 1).results == [late]
