"""The sample world of one anchor day: which work is to be seen where, and what is true about it.

Everything in it happened in the thirteen weeks before the anchor's midnight (UTC) and depends on nothing but it;
another anchor gives the same works with other dates and numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache

from django.utils.text import slugify

from harvester.sample.outlets import ANNALS, ARXIV, SOURCES, Outlet, SampleSource
from harvester.sample.planted import REPRINTS, Proof, Reprint
from harvester.sample.posts import POSTS
from harvester.sample.works import Work, annals_doi, moment_of, papers, post

#: arXiv's ids have had five digits since 2015, and their year has two.
FIRST_ANCHOR, LAST_ANCHOR = date(2016, 1, 1), date(2099, 12, 31)


@dataclass(frozen=True, slots=True)
class Entry:
    """A work as one outlet presents it; ``guid`` is the id it states there."""

    outlet: Outlet
    work: Work
    guid: str
    url: str
    title: str
    published: datetime
    doi: str = ""
    comments: int | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """An entry as a source sees it: what becomes one artifact."""

    source: str
    guid: str


@dataclass(frozen=True, slots=True)
class World:
    """All works by key, and their entries, newest first."""

    anchor: date
    works: Mapping[str, Work]
    entries: tuple[Entry, ...]

    def at(self, outlet: Outlet) -> tuple[Entry, ...]:
        """What an outlet presents, newest first."""
        return tuple(entry for entry in self.entries if entry.outlet is outlet)

    def seen_by(self, source: SampleSource) -> tuple[Entry, ...]:
        """What a source finds, newest first."""
        wanted = set(source.categories)
        return tuple(
            entry for entry in self.at(source.outlet) if not wanted or wanted.intersection(entry.work.categories)
        )

    def sightings(self) -> Mapping[str, frozenset[Sighting]]:
        """The truth about duplicates: each work's key with all that is seen of it."""
        seen: dict[str, set[Sighting]] = defaultdict(set)
        for source in SOURCES:
            for entry in self.seen_by(source):
                seen[entry.work.key].add(Sighting(source.name, entry.guid))
        return {key: frozenset(where) for key, where in seen.items()}


@lru_cache(maxsize=4)
def build(anchor: date) -> World:
    """The world of an anchor day. Raises ValueError outside FIRST_ANCHOR to LAST_ANCHOR."""
    if not FIRST_ANCHOR <= anchor <= LAST_ANCHOR:
        raise ValueError(f"There is a sample world from {FIRST_ANCHOR} to {LAST_ANCHOR}, not of {anchor}.")
    midnight = datetime.combine(anchor, time(), UTC)
    on_arxiv = papers(midnight)
    posted = [post(plan, midnight, on_arxiv) for plan in POSTS]
    works = {work.key: work for work in (*on_arxiv, *posted)}
    entries = sorted(_entries(works, midnight), key=lambda entry: (entry.published, entry.guid), reverse=True)
    return World(anchor, works, tuple(entries))


def _entries(works: Mapping[str, Work], midnight: datetime) -> Iterator[Entry]:
    for work in works.values():
        if work.arxiv_id:
            yield Entry(ARXIV, work, work.arxiv_id, work.url, work.title, work.published, work.doi)
    for plan in POSTS:
        work = works[plan.key]
        guid = f"{plan.outlet.id_base}{plan.slug}" if plan.outlet.id_base else work.url
        yield Entry(plan.outlet, work, guid, work.url, work.title, work.published, work.doi, plan.comments)
    for reprint in REPRINTS:
        yield _reprinted(reprint, works[reprint.work], midnight)


def _reprinted(reprint: Reprint, work: Work, midnight: datetime) -> Entry:
    outlet = reprint.outlet
    page = f"{outlet.base}{slugify(work.key.rpartition('/')[2])}"
    return Entry(
        outlet=outlet,
        work=work,
        guid=page,
        url=_tracked(work.url) if reprint.proof is Proof.URL else page,
        title=reprint.retitle(work.title),
        published=work.published if reprint.days is None else moment_of(page, reprint.days, midnight),
        doi=annals_doi(work.key, midnight) if outlet is ANNALS else "",
    )


def _tracked(url: str) -> str:
    """The address as a newsletter links to it."""
    return f"{url}{'&' if '?' in url else '?'}utm_source=junction&utm_medium=email&utm_campaign=letter"
