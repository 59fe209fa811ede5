"""Links artifacts that are the same work seen in different sources, by an identifier they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count, Min, QuerySet

from harvester.models import (
    Artifact,
    ArtifactStage,
    Identifier,
    IdentifierScheme,
    Relationship,
    RelationshipMethod,
    RelationshipType,
)
from harvester.pipeline.stage import MAX_ATTEMPTS, StageReport, work_off

NAME = "same_work"


@dataclass(frozen=True, slots=True)
class _Rule:
    """How far a shared identifier of one scheme is trusted.

    A work has one DOI and one arXiv id, but some feeds give every entry the same address, and a column may repeat its
    title: where ``must_be_unique_in_source``, an identifier that one source uses twice identifies no work at all.
    """

    scheme: IdentifierScheme
    method: RelationshipMethod
    confidence: float
    must_be_unique_in_source: bool


_RULES = (
    _Rule(IdentifierScheme.DOI, RelationshipMethod.DOI, 0.99, must_be_unique_in_source=False),
    _Rule(IdentifierScheme.ARXIV, RelationshipMethod.ARXIV, 0.99, must_be_unique_in_source=False),
    _Rule(IdentifierScheme.URL, RelationshipMethod.URL, 0.97, must_be_unique_in_source=True),
    _Rule(IdentifierScheme.TITLE, RelationshipMethod.TITLE, 0.9, must_be_unique_in_source=True),
)

# A work is seen in a handful of places. More than this many artifacts behind one identifier is a mistake or an attack,
# and linking them would help nobody.
_LARGEST_GROUP = 50


def pending(limit: int) -> QuerySet[Artifact]:
    """Stored artifacts that have not been compared with the others yet, oldest first."""
    waiting = Artifact.objects.filter(
        stage=ArtifactStage.INGESTED, attempts__lt=MAX_ATTEMPTS, is_permanent_failure=False
    )
    return waiting.only("id").order_by("id")[:limit]


def process(artifacts: Sequence[Artifact]) -> None:
    """Link each artifact's group: every member to the oldest one, so a group of n costs n - 1 links."""
    ids = [artifact.pk for artifact in artifacts]
    stated = defaultdict(set)
    for scheme, value in Identifier.objects.filter(artifact__in=ids).values_list("scheme", "value"):
        stated[scheme].add(value)
    for rule in _RULES:
        _link(rule, stated[rule.scheme])
    Artifact.objects.filter(pk__in=ids).update(stage=ArtifactStage.LINKED, failed_stage="", error="", attempts=0)


def run(limit: int = 500) -> StageReport:
    return work_off(NAME, pending(limit), process)


def _link(rule: _Rule, values: Iterable[str]) -> None:
    groups = (
        Identifier.objects.filter(scheme=rule.scheme, value__in=values)
        .values("value")
        .annotate(oldest=Min("artifact_id"), members=Count("id"), sources=Count("artifact__source_id", distinct=True))
        .filter(sources__gt=1, members__lte=_LARGEST_GROUP)
    )
    oldest = {
        group["value"]: group["oldest"]
        for group in groups
        if not rule.must_be_unique_in_source or group["members"] == group["sources"]
    }
    if not oldest:
        return
    members = Identifier.objects.filter(scheme=rule.scheme, value__in=oldest).values_list("value", "artifact_id")
    Relationship.objects.bulk_create(
        (
            Relationship(
                source_id=oldest[value],
                target_id=member,
                type=RelationshipType.SAME_AS,
                confidence=rule.confidence,
                method=rule.method,
                evidence=value,
            )
            for value, member in members
            if member != oldest[value]
        ),
        ignore_conflicts=True,  # linked before, perhaps by a stronger identifier
    )
