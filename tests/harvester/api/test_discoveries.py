"""GET /discoveries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import time_machine
from django.utils import timezone

from harvester.models import Artifact, Score
from tests.factories import make_artifact, make_artifacts, make_source
from tests.harvester.api.clients import ApiClient, fields

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 23, 16, 25, 7, tzinfo=UTC)

anonymous = ApiClient()


def ids(query: str = "") -> list[int]:
    return [result["id"] for result in anonymous.results(f"/discoveries{query}")]


def walk(path: str) -> list[int]:
    met: list[int] = []
    following: str | None = path
    while following:
        page = anonymous.json(following)
        met += [result["id"] for result in page["results"]]
        following = page["next"]
    return met


@time_machine.travel(NOW, tick=False)
def test_a_discovery_says_what_the_list_shows() -> None:
    artifact = make_artifact(
        make_source("Blög"),
        score=80.0,
        title="Memory — for agents",
        text="word " * 100,
        published_at=NOW - timedelta(hours=336),
        engagement={"points": 3},
    )
    [result] = anonymous.results("/discoveries")
    summary = result.pop("summary")
    assert result == {
        "id": artifact.pk,
        "url": f"/api/v1/artifacts/{artifact.pk}",
        "title": "Memory — for agents",
        "kind": "article",
        "source": "Blög",
        "canonical_url": artifact.canonical_url,
        "published_at": "2026-11-09T16:25:07Z",
        "score": 40.03,  # as of the full hour, so 335 hours and 35 minutes old
        "score_at_publication": 80.0,
        "band": "fair",
        "explanation": artifact.score.explanation,
        "engagement": {"points": 3},
    }
    assert summary.startswith("word word")
    assert summary.endswith("word…")
    assert len(summary) <= 300


@time_machine.travel(NOW, tick=False)
def test_a_list_says_for_which_hour_it_is() -> None:
    assert anonymous.json("/discoveries") == {"results": [], "next": None, "as_of": "2026-11-23T16:00:00Z"}


def test_the_best_come_first_unless_the_newest_are_asked_for() -> None:
    great = make_artifact(score=95, published_at=timezone.now() - timedelta(days=3))
    fresh = make_artifact(score=10)
    assert ids() == ids("?sort=best") == [great.pk, fresh.pk]
    assert ids("?sort=newest") == [fresh.pk, great.pk]


def test_filters_narrow_the_list() -> None:
    source = make_source("Ünïcode & co")
    wanted = make_artifact(source, kind="post", score=90)
    make_artifact(kind="post", score=90)
    make_artifact(source, kind="article", score=90)
    make_artifact(source, kind="post", score=10)
    make_artifact(source, kind="post", score=90, published_at=timezone.now() - timedelta(days=2))
    since = (timezone.now() - timedelta(days=1)).isoformat()
    query = urlencode({"source": "Ünïcode & CO", "kind": "post", "min_score": 50, "since": since})
    assert ids(f"?{query}") == [wanted.pk]


def test_the_least_score_is_the_shown_one() -> None:
    for score in (95.0, 60.0, 40.0, 12.345):
        make_artifact(score=score, published_at=timezone.now() - timedelta(hours=100))
    for result in anonymous.results("/discoveries"):
        shown = result["score"]
        found = anonymous.results(f"/discoveries?min_score={shown}")
        assert result["id"] in [other["id"] for other in found]
        assert all(other["score"] >= shown for other in found)


def test_a_time_may_be_written_in_any_zone() -> None:
    artifact = make_artifact(published_at=datetime(2026, 11, 1, 12, tzinfo=UTC))
    assert ids(f"?since={quote('2026-11-01T17:30:00+05:30')}") == [artifact.pk]
    assert ids(f"?since={quote('2026-11-01T17:30:00.000001+05:30')}") == []


@pytest.mark.parametrize("sort", ["best", "newest"])
def test_a_walk_meets_every_discovery_once(sort: str) -> None:
    artifacts = make_artifacts(make_source(), 250)
    Score.objects.update(rank=1490.5)
    Artifact.objects.update(published_at=timezone.now())
    assert walk(f"/discoveries?sort={sort}&limit=100") == sorted((a.pk for a in artifacts), reverse=True)


def test_the_next_page_stands_in_body_and_link_header() -> None:
    make_artifacts(make_source("a b"), 3)
    response = anonymous.get("/discoveries?source=a%20b&limit=2")
    following = response.json()["next"]
    assert following.startswith("/api/v1/discoveries?source=a+b&limit=2&cursor=")
    assert response["Link"] == f'<{following}>; rel="next"'
    last = anonymous.get(following)
    assert last.json()["next"] is None
    assert "Link" not in last


def test_there_are_fifty_results_unless_said_otherwise() -> None:
    make_artifacts(make_source(), 101)
    assert len(ids()) == 50
    assert len(ids("?limit=100")) == 100
    assert len(ids("?limit=1")) == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("min_score=101", "min_score"),
        ("min_score=-0.1", "min_score"),
        ("min_score=nan", "min_score"),
        ("min_score=inf", "min_score"),
        ("min_score=1e999", "min_score"),
        ("kind=paper", "kind"),
        ("kind=", "kind"),
        ("sort=relevance", "sort"),
        ("source=nowhere", "source"),
        ("source=", "source"),
        ("source=%00", "source"),
        ("source=%ff", "source"),
        (f"source={'x' * 201}", "source"),
        ("since=yesterday", "since"),
        ("since=2026-11-01", "since"),
        ("since=2026-11-01T00:00:00", "since"),
        ("since=2026-11-01T00:00:00+00:00", "since"),
        ("since=1700000000", "since"),
        ("since=2026-02-30T00:00:00Z", "since"),
        ("since=0001-01-01T00:00:00%2B14:00", "since"),
        ("since=9999-12-31T23:59:59-14:00", "since"),
        ("cursor=", "cursor"),
        ("cursor=rubbish", "cursor"),
        ("cursor=%00", "cursor"),
        (f"cursor={'x' * 3900}", "cursor"),
        ("q=agents", "q"),
        ("Limit=1", "Limit"),
        ("limit%00=1", "limit\0"),
    ],
)
def test_what_cannot_be_used_is_named(query: str, field: str) -> None:
    assert fields(anonymous.get(f"/discoveries?{query}")) == {("query", field)}


def test_all_that_is_wrong_is_named_at_once() -> None:
    response = anonymous.get("/discoveries?limit=0&kind=x&min_score=y&since=z&sort=w")
    assert fields(response) == {("query", name) for name in ("limit", "kind", "min_score", "since", "sort")}


def test_a_cursor_of_other_filters_is_refused() -> None:
    make_artifacts(make_source(), 3)
    following: str = anonymous.json("/discoveries?limit=1")["next"]
    assert anonymous.get(following.replace("limit=1", "limit=2")).status_code == 200
    assert fields(anonymous.get(f"{following}&kind=article")) == {("query", "cursor")}
    assert fields(anonymous.get(f"{following}&sort=newest")) == {("query", "cursor")}
    assert fields(anonymous.get(following.replace("discoveries", "runs"))) == {("query", "cursor")}


def test_moments_at_the_ends_of_time_are_no_error() -> None:
    make_artifact()
    assert len(ids("?since=0001-01-01T00:00:00Z")) == 1
    assert ids("?since=9999-12-31T23:59:59Z") == []


def test_a_list_does_not_read_what_it_does_not_show(django_assert_num_queries: Any) -> None:
    make_artifact()
    with django_assert_num_queries(1) as queries:
        anonymous.json("/discoveries")
    assert not [column for column in ("authors", "metadata", "raw") if f'"{column}"' in queries[0]["sql"]]


@pytest.mark.parametrize("number", [10, 1000])
def test_a_list_takes_one_query_however_long(number: int, django_assert_num_queries: Any) -> None:
    make_artifacts(make_source("one"), number)
    with django_assert_num_queries(1):
        anonymous.json("/discoveries?limit=100")
    with django_assert_num_queries(2):  # and one that finds the source
        anonymous.json("/discoveries?limit=100&source=one&min_score=1")
