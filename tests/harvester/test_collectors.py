"""What collectors read is what there is, in few queries, which stay quick when there is much."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from harvester import metrics
from harvester.collectors import ApiKeyCollector, BucketCollector, DiscoveryCollector
from harvester.models import MAX_ATTEMPTS, Artifact, ArtifactStage, Score, SourceState
from harvester.queries.counts import artifacts_waiting, discoveries_by_source
from ratelimit import get_rate_limiter
from ratelimit.identity.identities import address_identity
from ratelimit.limiter import forget_rate_limiter
from ratelimit.models import ApiKey
from ratelimit.stores.memory import MemoryStore
from tests.factories import artifact_row, make_artifact, make_artifacts, make_source, make_user
from tests.harvester.moving import moves, values_of

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def no_buckets() -> Iterator[None]:
    """A limiter that has decided nothing, also for the tests that follow."""
    forget_rate_limiter()
    yield
    forget_rate_limiter()


@moves(metrics.discoveries)
def test_discoveries_are_counted_by_source() -> None:
    first, second, empty = make_source("first"), make_source("second"), make_source("empty")
    make_artifacts(first, 3)
    make_artifacts(second, 2)
    make_artifact(empty, score=None)  # not scored yet
    assert values_of(metrics.discoveries) == {("first",): 3, ("second",): 2, ("empty",): 0}


def test_sources_beyond_the_budget_are_added_up_the_oldest_have_their_names() -> None:
    sources = [make_source(f"source {number:02}") for number in range(55)]
    for source in sources:
        make_artifact(source)
    counts = values_of(metrics.discoveries)
    assert counts.pop(("other",)) == 5
    assert counts == {(f"source {number:02}",): 1 for number in range(50)}


@moves(metrics.discovery_backlog)
def test_the_backlog_is_what_the_stages_would_take() -> None:
    now = timezone.now()
    make_source("due")
    make_source("later", next_fetch_at=now + HOUR)
    source = make_source("paused", state=SourceState.PAUSED)
    for stage, number in ((ArtifactStage.INGESTED, 2), (ArtifactStage.LINKED, 3), (ArtifactStage.SCORED, 4)):
        for _ in range(number):
            make_artifact(source, score=None, stage=stage)
    make_artifact(source, score=None, attempts=MAX_ATTEMPTS)  # given up
    assert values_of(metrics.discovery_backlog) == {("ingest",): 1, ("same_work",): 2, ("score",): 3}


@moves(metrics.api_keys_active)
def test_keys_are_counted_while_they_are_good() -> None:
    ApiKey.objects.issue(name="plain")
    ApiKey.objects.issue(name="of a user", owner=make_user())
    ApiKey.objects.issue(name="premium", tier="premium", expires_at=timezone.now() + HOUR)
    ApiKey.objects.issue(name="of nobody", owner=make_user(is_active=False))
    ApiKey.objects.issue(name="revoked")[0].revoke()
    expired, _ = ApiKey.objects.issue(name="expired", expires_at=timezone.now() + HOUR)
    ApiKey.objects.filter(pk=expired.pk).update(created_at=timezone.now() - 2 * HOUR, expires_at=timezone.now() - HOUR)
    ApiKey.objects.filter(pk=ApiKey.objects.issue(name="old")[0].pk).update(tier="a tier that is no more")
    states = [key.state for key in ApiKey.objects.all()]
    assert states.count("active") == 4, "the model says the same"
    assert values_of(metrics.api_keys_active) == {
        ("anonymous",): 0, ("api_key",): 3, ("premium",): 1, ("admin",): 0,
    }  # fmt: skip


@moves(metrics.rate_limiter_buckets_active)
def test_buckets_in_memory_are_counted() -> None:
    for number in range(5):
        get_rate_limiter().check(address_identity(f"192.0.2.{number}"))
    assert values_of(metrics.rate_limiter_buckets_active) == {("memory",): 5}


def test_a_walk_that_takes_too_long_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither 0 nor a part: no number."""
    limiter = get_rate_limiter()
    stats = limiter.stats()._replace(wanted="redis", backend="redis")
    monkeypatch.setattr(type(limiter), "stats", lambda _self: stats)
    monkeypatch.setattr(MemoryStore, "count", lambda _self, _patience: None)
    assert values_of(metrics.rate_limiter_buckets_active) == {("memory",): stats.buckets_in_memory}


def test_each_asks_few_questions(django_assert_num_queries: Any) -> None:
    make_artifacts(make_source(), 3)
    for collector, most in ((DiscoveryCollector, 4), (ApiKeyCollector, 1), (BucketCollector, 0)):
        with django_assert_num_queries(most):
            list(collector().collect())


@pytest.fixture
def a_hundred_thousand(db: None) -> None:
    """A thousand, each a hundred times, which the database does by itself."""
    sources = [make_source(f"source {number}") for number in range(40)]
    Artifact.objects.bulk_create(artifact_row(sources[number % 40]) for number in range(1_000))
    artifact, score = Artifact._meta.db_table, Score._meta.db_table
    columns = [field.column for field in Artifact._meta.concrete_fields if field.column not in ("id", "external_id")]
    listed, of_one = ", ".join(columns), ", ".join(f"one.{column}" for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {artifact} (external_id, {listed}) "  # noqa: S608 - names of our own tables
            f"SELECT one.external_id || '/' || copy.id, {of_one} FROM {artifact} AS one CROSS JOIN "
            f"(SELECT id FROM {artifact} ORDER BY id LIMIT 100) AS copy"
        )
        cursor.execute(
            f"INSERT INTO {score} (artifact_id, source_id, kind, discovery_score, rank, components, explanation, "  # noqa: S608 - as above
            f"computed_at) SELECT id, source_id, kind, 50, id, '[]', '', first_seen_at FROM {artifact}"
        )
        if connection.vendor == "postgresql":
            cursor.execute(f"ANALYZE {artifact}, {score}")
    for _ in range(10):
        make_artifact(sources[0], score=None)


def test_a_hundred_thousand_artifacts_are_counted_soon(a_hundred_thousand: None) -> None:
    assert sum(discoveries_by_source().values()) == 101_000
    for ask, goal_seconds in ((discoveries_by_source, 0.1), (artifacts_waiting, 0.02)):
        best = min(_seconds(ask) for _ in range(3))
        print(f"{ask.__name__}: {1000 * best:.1f} ms")
        assert best < 10 * goal_seconds
    if connection.vendor == "postgresql":
        assert "artifact_waiting" in _plan_of_waiting()


def _seconds(ask: Any) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def _plan_of_waiting() -> str:
    with CaptureQueriesContext(connection) as captured:
        artifacts_waiting()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {captured.captured_queries[0]['sql']}")
        return "\n".join(line for (line,) in cursor.fetchall())
