"""The watched sources as lists show them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Lower

from harvester.errors import UnknownSourceError
from harvester.models import Artifact, Source, SourceState
from harvester.queries.cursors import Order

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations


class ArtifactCount(TypedDict):
    """What ``sources()`` adds to each."""

    artifact_count: int


BY_NAME = Order("name", value="folded_name", type=str, is_descending=False)


def sources() -> QuerySet[WithAnnotations[Source, ArtifactCount]]:
    """Every source by name, whatever the case, each with ``artifact_count``, in one query."""
    counted = (
        Artifact.objects.filter(source=OuterRef("pk")).order_by().values("source").annotate(n=Count("*")).values("n")
    )
    return Source.objects.annotate(
        folded_name=Lower("name"),
        artifact_count=Coalesce(Subquery(counted, output_field=IntegerField()), 0),
    ).order_by(*BY_NAME.columns())


def source_named(name: str) -> Source:
    """The source with this name, whatever the case; raises UnknownSourceError, which lists those there are."""
    found = None
    if "\0" not in name:  # which PostgreSQL cannot even compare
        found = Source.objects.annotate(folded_name=Lower("name")).filter(folded_name=Lower(Value(name))).first()
    if found is None:
        raise UnknownSourceError(name, tuple(Source.objects.values_list("name", flat=True)))
    return found


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """How many sources there are, and how many of them are paused, or active and failing."""

    all: int
    paused: int
    failing: int


def source_counts() -> SourceCounts:
    is_paused = Q(state=SourceState.PAUSED)
    counts = Source.objects.aggregate(
        all=Count("pk"),
        paused=Count("pk", filter=is_paused),
        failing=Count("pk", filter=Q(consecutive_failures__gt=0) & ~is_paused),
    )
    return SourceCounts(**counts)


def sources_failing_since(moment: datetime) -> int:
    """How many active sources have answered nothing but failures since then, or since they were added before then."""
    has_not_answered = Q(last_success_at__lt=moment) | Q(last_success_at=None, created_at__lt=moment)
    failing = Source.objects.filter(state=SourceState.ACTIVE, is_sample=False, consecutive_failures__gt=0)
    return failing.filter(has_not_answered).count()


def oldest_active_source_at() -> datetime | None:
    """When the first of the sources that are active now was added; None where there is none."""
    active = Source.objects.filter(state=SourceState.ACTIVE, is_sample=False)
    return active.order_by("created_at").values_list("created_at", flat=True).first()
