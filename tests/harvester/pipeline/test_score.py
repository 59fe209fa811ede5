"""The interim score is reproducible, explains itself, and its parts sum to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError
from hypothesis import given
from hypothesis import strategies as st

from harvester.models import Artifact, ArtifactKind, ArtifactStage, Run, Score, Source
from harvester.pipeline import score
from harvester.pipeline.run import claim, harvest
from tests.fakes import FakeWeb

SEEN = datetime(2026, 3, 10, tzinfo=UTC)


def an_artifact(**fields: object) -> Artifact:
    defaults = {"kind": ArtifactKind.ARTICLE, "published_at": SEEN, "first_seen_at": SEEN, "engagement": {}}
    return Artifact(**defaults | fields)


def values(artifact: Artifact) -> dict[str, float]:
    return {component.name: round(component.value, 6) for component in score.components_of(artifact)}


def test_what_is_seen_at_once_is_as_early_as_can_be() -> None:
    assert values(an_artifact())["earliness"] == 100


def test_earliness_halves_in_a_week() -> None:
    assert values(an_artifact(published_at=SEEN - timedelta(days=7)))["earliness"] == 50


def test_a_date_in_the_future_is_not_earlier_than_early() -> None:
    assert values(an_artifact(published_at=SEEN + timedelta(days=400)))["earliness"] == 100


def test_without_a_date_earliness_is_neutral() -> None:
    assert values(an_artifact(is_dated=False))["earliness"] == 50


def test_what_is_usual_for_its_kind_gives_half_the_attention() -> None:
    usual = score.TYPICAL_ATTENTION[ArtifactKind.POST]
    assert values(an_artifact(kind=ArtifactKind.POST, engagement={"points": usual}))["attention"] == 50


def test_where_nothing_is_counted_attention_is_neutral() -> None:
    assert values(an_artifact())["attention"] == 50


def test_no_attention_at_all_is_not_the_same_as_unknown() -> None:
    assert values(an_artifact(engagement={"comments": 0}))["attention"] == 0


def test_every_kind_has_a_usual_attention() -> None:
    assert set(score.TYPICAL_ATTENTION) == set(ArtifactKind)


def test_the_weights_sum_to_one() -> None:
    assert sum(score.WEIGHTS.values()) == pytest.approx(1)


@given(
    delay=st.timedeltas(timedelta(days=-1000), timedelta(days=36500)),
    counts=st.dictionaries(st.sampled_from(["points", "comments"]), st.integers(-5, 10**18)),
)
def test_every_part_stays_between_0_and_100(delay: timedelta, counts: dict[str, int]) -> None:
    artifact = an_artifact(published_at=SEEN - delay, engagement=counts)
    assert all(0 <= component.value <= 100 for component in score.components_of(artifact))


@pytest.fixture
def stored(db: None) -> Artifact:
    source = Source.objects.create(name="A", kind="feed")
    artifact = an_artifact(
        source=source,
        external_id="1",
        title="T",
        published_at=SEEN - timedelta(hours=5),
        engagement={"comments": 5},
        stage=ArtifactStage.LINKED,
    )
    artifact.save()
    return artifact


def test_parts_and_explanation_are_stored_and_sum_to_the_score(stored: Artifact) -> None:
    assert score.run().processed == 1
    row = Score.objects.get(artifact=stored)
    assert sum(part["value"] * part["weight"] for part in row.components) == pytest.approx(row.discovery_score)
    assert row.explanation == ("Seen 5 hours after it appeared (98); 5 comments, where 5 is usual (50).")
    stored.refresh_from_db()
    assert stored.stage == ArtifactStage.SCORED


def test_the_explanation_is_one_sentence(stored: Artifact) -> None:
    Artifact.objects.update(engagement={})
    score.run()
    assert Score.objects.get().explanation == (
        "Seen 5 hours after it appeared (98); the source counts no attention (50)."
    )


def test_scoring_again_gives_the_same(stored: Artifact) -> None:
    score.run()
    first = Score.objects.get()
    Artifact.objects.update(stage=ArtifactStage.LINKED)
    score.run()
    second = Score.objects.get()
    assert (first.discovery_score, first.rank) == (second.discovery_score, second.rank)


def test_a_failing_item_carries_its_error_and_the_others_go_on(stored: Artifact) -> None:
    broken = Artifact.objects.create(
        source=stored.source, external_id="2", title="T", published_at=SEEN, first_seen_at=SEEN,
        kind=ArtifactKind.ARTICLE, engagement=["not", "counts"], stage=ArtifactStage.LINKED,
    )  # fmt: skip
    report = score.run()
    assert (report.processed, report.failed) == (1, 1)
    broken.refresh_from_db()
    assert broken.failed_stage == "score"
    assert broken.attempts == 1
    assert "AttributeError" in broken.error


def test_a_failing_item_is_given_up_after_three_attempts(stored: Artifact) -> None:
    Artifact.objects.update(engagement=["not", "counts"])
    for _ in range(3):
        assert score.run().failed == 1
    assert score.run().failed == 0


def test_a_run_tries_a_failing_item_once(stored: Artifact) -> None:
    Artifact.objects.update(engagement=["not", "counts"])
    run = Run.objects.create(parameters={"stage": "score"})
    claim(run)
    harvest(run, FakeWeb())
    stored.refresh_from_db()
    assert (stored.attempts, stored.is_given_up) == (1, False)


def test_a_database_that_is_away_uses_up_no_attempt(stored: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(score, "components_of", locked)
    with pytest.raises(OperationalError):
        score.run()
    stored.refresh_from_db()
    assert stored.attempts == 0
