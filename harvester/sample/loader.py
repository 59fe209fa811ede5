"""Puts the sample world's sources into the database and takes them out again; it harvests nothing itself."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

from django.db import transaction

from harvester.actions import add_source, remove_source
from harvester.models import Source
from harvester.sample.outlets import SOURCES
from harvester.sample.world import build


@dataclass(frozen=True, slots=True)
class LoadedSample:
    """The sample's sources by name; ``created`` of them are new. ``anchor`` is the day the world leads up to."""

    sources: tuple[str, ...]
    created: int
    anchor: date


@dataclass(frozen=True, slots=True)
class RemovedSample:
    """How many rows went."""

    sources: int
    artifacts: int


@transaction.atomic
def load_sample(*, anchor: date) -> LoadedSample:
    """Create the sources that are missing. A world that is there already stays as it is, and so does its anchor.

    Raises SourceConfigError where another source has one of the names; then nothing is created. Raises ValueError for
    an anchor that has no world.
    """
    loaded = Source.objects.filter(is_sample=True)
    kept = build(_anchor_of(loaded) or anchor).anchor
    known = set(loaded.values_list("url", "query"))
    missing = [source for source in SOURCES if (source.outlet.address(kept), source.query) not in known]
    for source in missing:
        add_source(
            kind=source.kind,
            name=source.name,
            url=source.outlet.address(kept),
            query=source.query,
            is_sample=True,
        )
    names = Source.objects.filter(is_sample=True).order_by("name").values_list("name", flat=True)
    return LoadedSample(tuple(names), len(missing), kept)


@transaction.atomic
def remove_sample() -> RemovedSample:
    """Remove the sample's sources and all that was found there; everything else stays."""
    with transaction.atomic():
        counts = [remove_source(source) for source in Source.objects.filter(is_sample=True)]
    return RemovedSample(len(counts), sum(counts))


def _anchor_of(sources: Iterable[Source]) -> date | None:
    """The day in the sources' addresses; an operator may have changed some."""
    for source in sources:
        with suppress(ValueError):
            return date.fromisoformat(urlsplit(source.url).path.removeprefix("/").partition("/")[0])
    return None
