"""Scores an artifact from what ingest knows: how early it was found and how much attention it has for its kind.

This is the interim score; the analysis replaces its components, not its interface.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from harvester import metrics
from harvester.models import MAX_ATTEMPTS, Artifact, ArtifactKind, ArtifactStage, Score
from harvester.pipeline.stage import StageReport, work_off
from harvester.queries.ranks import rank_of

NAME = "score"

WEIGHTS: Mapping[str, float] = {"earliness": 0.6, "attention": 0.4}
#: Half of the earliness is lost for every so long between publication and our first sight of it.
EARLINESS_HALF_LIFE = timedelta(days=7)
#: The count (stars, points and comments together) at which attention reaches 50 of 100. Set by eye, per kind, until
#: the analysis measures what is usual.
TYPICAL_ATTENTION: Mapping[str, int] = {
    ArtifactKind.PREPRINT: 5,
    ArtifactKind.REPOSITORY: 50,
    ArtifactKind.POST: 20,
    ArtifactKind.RELEASE: 5,
    ArtifactKind.ARTICLE: 5,
}
NEUTRAL = 50.0


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a score: ``value`` 0 to 100, its ``weight``, and the reason in words."""

    name: str
    value: float
    weight: float
    reason: str


def pending(limit: int, *, without: Collection[int] = ()) -> QuerySet[Artifact]:
    """Linked artifacts whose score is missing or out of date, oldest first."""
    waiting = Artifact.objects.filter(stage=ArtifactStage.LINKED, attempts__lt=MAX_ATTEMPTS).exclude(pk__in=without)
    return waiting.only("id", "source", "kind", "published_at", "first_seen_at", "is_dated", "engagement").order_by(
        "id"
    )[:limit]


def process(artifacts: Sequence[Artifact]) -> None:
    """Write each artifact's score; the same artifact always gets the same one."""
    now = timezone.now()
    scores = [_score(artifact, components_of(artifact), now) for artifact in artifacts]
    Score.objects.bulk_create(
        scores,
        update_conflicts=True,
        unique_fields=("artifact",),
        update_fields=("source", "kind", "discovery_score", "rank", "components", "explanation", "computed_at"),
    )
    Artifact.objects.filter(pk__in=[artifact.pk for artifact in artifacts]).update(
        stage=ArtifactStage.SCORED, failed_stage="", error="", attempts=0
    )
    # What is rolled back is done again one by one, and counted then.
    given = [score.discovery_score for score in scores]
    transaction.on_commit(partial(metrics.record_discovery_scores, given), robust=True)


def run(limit: int = 500, *, without: Collection[int] = ()) -> StageReport:
    """Work off up to ``limit`` of what waits, leaving out the ids in ``without``."""
    return work_off(NAME, pending(limit, without=without), process)


def components_of(artifact: Artifact) -> tuple[Component, ...]:
    """The parts of an artifact's score, in the order of their weights.

    Earliness is ``100 × 2^(-delay / 7 days)``; attention is ``100 × (1 - 2^(-count / typical))``. Where the source says
    nothing the part is 50, which neither lifts nor lowers.
    """
    return _earliness(artifact), _attention(artifact)


def _earliness(artifact: Artifact) -> Component:
    weight = WEIGHTS["earliness"]
    if not artifact.is_dated:
        return Component("earliness", NEUTRAL, weight, "The source gives no date, so how early we saw it is unknown")
    delay = max(artifact.first_seen_at - artifact.published_at, timedelta())
    value = 100 * 2 ** -(delay / EARLINESS_HALF_LIFE)
    return Component("earliness", value, weight, f"Seen {_in_words(delay)}")


def _attention(artifact: Artifact) -> Component:
    weight = WEIGHTS["attention"]
    counts = {name: count for name, count in artifact.engagement.items() if isinstance(count, int) and count >= 0}
    if not counts:
        return Component("attention", NEUTRAL, weight, "The source counts no attention")
    typical = TYPICAL_ATTENTION[artifact.kind]
    value = 100 * (1 - 2 ** -min(sum(counts.values()) / typical, 64))
    listed = " and ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
    return Component("attention", value, weight, f"{listed}, where {typical} is usual")


def _score(artifact: Artifact, components: tuple[Component, ...], now: datetime) -> Score:
    score = min(100.0, sum(component.value * component.weight for component in components))
    reasons = "; ".join(f"{_uncapitalised(part.reason)} ({part.value:.0f})" for part in components)
    return Score(
        artifact=artifact,
        source_id=artifact.source_id,
        kind=artifact.kind,
        discovery_score=score,
        rank=rank_of(score, artifact.published_at),
        components=[asdict(component) for component in components],
        explanation=f"{reasons[0].upper()}{reasons[1:]}.",
        computed_at=now,
    )


def _in_words(delay: timedelta) -> str:
    hours = round(delay.total_seconds() / 3600)
    if hours < 1:
        return "within the hour it appeared"
    if hours < 48:
        return f"{hours} {'hour' if hours == 1 else 'hours'} after it appeared"
    return f"{hours // 24} days after it appeared"


def _uncapitalised(reason: str) -> str:
    """As it stands in the middle of a sentence."""
    return f"{reason[0].lower()}{reason[1:]}"
