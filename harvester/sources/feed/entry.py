"""What every feed format is read into: entries in the feed's own words, made plain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harvester.sources.base import Author

MOST_STATED_IDS = 20  # of one entry; each becomes a row
MOST_FEED_AUTHORS = 10  # of the feed itself, each of whom every entry without its own repeats


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One entry; what it does not say is empty.

    ``link`` is absolute. ``title`` and ``text`` are plain, the title on one line. ``published`` are the dates as
    written, the most telling first, ``updated`` that of the last change. ``stated_ids`` are texts that may hold a DOI
    or an arXiv id of this very work. ``raw`` is the entry as read, a JSON value of bounded size.
    """

    id: str
    link: str
    title: str
    text: str
    published: tuple[str, ...] = ()
    updated: str = ""
    authors: tuple[Author, ...] = ()
    categories: tuple[str, ...] = ()
    comments: int | None = None
    stated_ids: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Feed:
    """The first MOST_ENTRIES entries in the order of the document, and how many more it has.

    ``min_interval_seconds`` is the shortest time between two fetches it asks for.
    """

    entries: tuple[FeedEntry, ...]
    left_out: int = 0
    min_interval_seconds: int = 0
