"""Links artifacts that are the same work seen in different sources, by an identifier they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from django.db import transaction
from django.db.models import Count, QuerySet

from harvester import metrics
from harvester.models import (
    MAX_ATTEMPTS,
    Artifact,
    ArtifactStage,
    Identifier,
    IdentifierScheme,
    Relationship,
    RelationshipMethod,
    RelationshipType,
)
from harvester.pipeline.links import withdraw
from harvester.pipeline.stage import StageReport, work_off

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


def pending(limit: int, *, without: Collection[int] = ()) -> QuerySet[Artifact]:
    """Stored artifacts that have not been compared with the others yet, oldest first."""
    waiting = Artifact.objects.filter(stage=ArtifactStage.INGESTED, attempts__lt=MAX_ATTEMPTS).exclude(pk__in=without)
    return waiting.only("id").order_by("id")[:limit]


def process(artifacts: Sequence[Artifact]) -> None:
    """Link each artifact's group: every member to the oldest one, so a group of n costs n - 1 links."""
    ids = [artifact.pk for artifact in artifacts]
    stated = defaultdict(set)
    for scheme, value in Identifier.objects.filter(artifact__in=ids).values_list("scheme", "value"):
        stated[scheme].add(value)
    # Before the links: those that are taken back below let their ends wait again.
    Artifact.objects.filter(pk__in=ids).update(stage=ArtifactStage.LINKED, failed_stage="", error="", attempts=0)
    for rule in _RULES:
        _link(rule, stated[rule.scheme])


def run(limit: int = 500, *, without: Collection[int] = ()) -> StageReport:
    """Work off up to ``limit`` of what waits, leaving out the ids in ``without``."""
    return work_off(NAME, pending(limit, without=without), process)


def _link(rule: _Rule, values: Collection[str]) -> None:
    members: dict[str, list[tuple[int, int]]] = defaultdict(list)
    shared = (
        Identifier.objects.filter(scheme=rule.scheme, value__in=values)
        .values("value")
        .annotate(members=Count("id"))
        .filter(members__gt=1)
    )
    too_large = [group["value"] for group in shared if group["members"] > _LARGEST_GROUP]
    candidates = [group["value"] for group in shared if group["members"] <= _LARGEST_GROUP]
    stated = Identifier.objects.filter(scheme=rule.scheme, value__in=candidates).values_list(
        "value", "artifact_id", "artifact__source_id"
    )
    for value, artifact, source in stated:
        members[value].append((artifact, source))
    works = {value: sorted(group) for value, group in members.items() if _is_one_work(rule, group)}
    _unlink(rule, [*too_large, *(members.keys() - works.keys())])
    _store_links(rule, works)


def _is_one_work(rule: _Rule, group: Collection[tuple[int, int]]) -> bool:
    sources = {source for _, source in group}
    return len(sources) > 1 and (not rule.must_be_unique_in_source or len(sources) == len(group))


def _unlink(rule: _Rule, values: Collection[str]) -> None:
    """Take back the links of identifiers that stood for a work and no longer do: the order of arrival is no proof."""
    if not values:
        return
    stating = Identifier.objects.filter(scheme=rule.scheme, value__in=values).values("artifact_id")
    withdraw(Relationship.objects.filter(source__in=stating, method=rule.method, evidence__in=values))


def _store_links(rule: _Rule, works: Mapping[str, Sequence[tuple[int, int]]]) -> None:
    links = [
        Relationship(
            source_id=group[0][0],
            target_id=member,
            type=RelationshipType.SAME_AS,
            confidence=rule.confidence,
            method=rule.method,
            evidence=value,
        )
        for value, group in works.items()
        for member, _ in group[1:]
    ]
    # In one order everywhere, so that two workers never wait for each other; conflicts are links made before, perhaps
    # by a stronger identifier.
    links.sort(key=lambda link: (link.source_id, link.target_id))
    Relationship.objects.bulk_create(links, ignore_conflicts=True)
    found = [(link.type, link.method, link.confidence) for link in _really_new(links)]
    # What is rolled back is done again one by one, and counted then.
    transaction.on_commit(partial(metrics.record_relationships, found), robust=True)


def _really_new(links: Sequence[Relationship]) -> Sequence[Relationship]:
    """Those of ``links`` that were not there before. No database tells; but what is ours bears our time."""
    if not links:
        return ()
    there = Relationship.objects.filter(
        source__in={link.source_id for link in links},
        type=RelationshipType.SAME_AS,
        created_at__gte=min(link.created_at for link in links),
    )
    ours = set(there.values_list("source_id", "target_id", "created_at"))
    return [link for link in links if (link.source_id, link.target_id, link.created_at) in ours]
