"""The list of artifacts worth attention: filtered, in order of rank or of publication."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypedDict

from django.db.models import QuerySet
from django.db.models.functions import Left

from harvester.models import Artifact, Source
from harvester.queries.cursors import Order
from harvester.queries.ranks import lowest_rank, lowest_score
from harvester.queries.sources import source_named

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

SUMMARY_LENGTH = 300  # characters
COUNT_CEILING = 1000

BEST = Order("best", value="score__rank", id="score__artifact_id", type=float)
NEWEST = Order("newest", value="published_at", type=datetime)


@dataclass(frozen=True, slots=True)
class DiscoveryFilters:
    """What to show; None restricts nothing.

    ``source`` is a name, whatever the case, or the source itself where it is at hand (which saves looking it up).
    ``min_score`` (0 to 100) means the shown, decayed score. ``since`` is the earliest publication.
    """

    source: str | Source | None = None
    kind: str | None = None
    min_score: float | None = None
    since: datetime | None = None
    sort: Literal["best", "newest"] = "best"

    @property
    def binding(self) -> dict[str, str]:
        """The filters in words, for the cursor."""
        words = {
            "source": str(self.source).lower() if self.source is not None else None,
            "kind": self.kind,
            "min_score": repr(float(self.min_score)) if self.min_score is not None else None,
            "since": self.since.astimezone(UTC).isoformat() if self.since is not None else None,
        }
        return {name: word for name, word in words.items() if word is not None}


def order_of(filters: DiscoveryFilters) -> Order:
    return NEWEST if filters.sort == "newest" else BEST


class Opening(TypedDict):
    """What ``discoveries()`` adds to each: the beginning of its text."""

    opening: str


def discoveries(filters: DiscoveryFilters, *, now: datetime) -> QuerySet[WithAnnotations[Artifact, Opening]]:
    """Scored artifacts that pass the filters, in order, with source and score in the same query.

    Only what a list shows is loaded: of the text its beginning, as ``opening`` (see ``summary_of``).
    Raises UnknownSourceError.
    """
    return (
        _matching(filters, now)
        .annotate(opening=Left("text", SUMMARY_LENGTH + 1))
        .select_related("source", "score")
        .only(
            "external_id",
            "kind",
            "canonical_url",
            "title",
            "authors",
            "published_at",
            "is_dated",
            "engagement",
            "source__name",
            "source__kind",
            "source__is_sample",
            "score__discovery_score",
            "score__rank",
            "score__explanation",
        )
        .order_by(*order_of(filters).columns())
    )


def count_at_most(filters: DiscoveryFilters, now: datetime, ceiling: int = COUNT_CEILING) -> int:
    """How many pass the filters, counted up to ``ceiling``, which then means “so many or more”."""
    return _matching(filters, now)[:ceiling].count()


def summary_of(opening: str) -> str:
    """The beginning of a text in one line of at most SUMMARY_LENGTH characters, cut at a word."""
    line = " ".join(opening.split())
    if len(opening) <= SUMMARY_LENGTH:
        return line
    return line[: SUMMARY_LENGTH - 1].rsplit(" ", 1)[0] + "…"


def _matching(filters: DiscoveryFilters, now: datetime) -> QuerySet[Artifact]:
    found = Artifact.objects.filter(score__isnull=False)
    # Source and kind stand in both tables; asked for where the sort value stands, one index filters and sorts.
    place = "" if filters.sort == "newest" else "score__"
    if filters.source is not None:
        source = source_named(filters.source) if isinstance(filters.source, str) else filters.source
        found = found.filter(**{f"{place}source": source})
    if filters.kind is not None:
        found = found.filter(**{f"{place}kind": filters.kind})
    if filters.since is not None:
        found = found.filter(published_at__gte=filters.since)
    if filters.min_score:
        # The rank is what an index can serve; the score itself matters for what is younger than the full hour.
        found = found.filter(
            score__rank__gte=lowest_rank(filters.min_score, now),
            score__discovery_score__gte=lowest_score(filters.min_score),
        )
    return found
