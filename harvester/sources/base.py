"""What every source kind gives: pages of items, each page with the cursor that is safe to keep once it is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from harvester.clients.http import HttpClient
from harvester.models import ArtifactKind, IdentifierScheme, Source

MOST_ENTRIES = 10_000  # of one document; the first are taken, what is left out is said
MOST_AUTHORS = 1_000  # of one entry; some papers of physics have three thousand, and metadata says how many there are
_REJECTIONS_NAMED = 3  # of a page; the others are counted together


@dataclass(frozen=True, slots=True)
class Author:
    """A name as the source writes it; ``affiliation`` is empty where the source gives none."""

    name: str
    affiliation: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a source, parsed and cleaned, not yet stored.

    ``external_id`` is stable and unique within the source (at most 500 characters). Times are aware, in UTC.
    ``identifiers`` are the (scheme, value) pairs the entry itself states, in normal form; ingest adds those it can
    derive. ``authors`` are at most MOST_AUTHORS. ``engagement`` counts attention by kind (``points``, ``comments``,
    ``stars``). ``metadata`` holds what only this kind of source knows (``doi``, ``version``, ``comment``,
    ``journal_ref``, ``categories``) and ``authors_total`` where some were left out; ``raw`` the entry as read, as far
    as it is not too large. Both are JSON values.
    """

    external_id: str
    kind: ArtifactKind
    url: str
    title: str
    text: str
    published_at: datetime | None
    updated_at: datetime | None = None
    authors: tuple[Author, ...] = ()
    identifiers: tuple[tuple[IdentifierScheme, str], ...] = ()
    engagement: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejection:
    """An entry that could not be used, and why, in one sentence; or ``count`` of them under one name."""

    external_id: str
    reason: str
    count: int = 1


def in_short(rejections: Sequence[Rejection], *, left_out: int = 0) -> tuple[Rejection, ...]:
    """A handful of rejections with the same sum: what was left out at MOST_ENTRIES, a few by name, the rest as one."""
    named, others = rejections[:_REJECTIONS_NAMED], sum(one.count for one in rejections[_REJECTIONS_NAMED:])
    found = list(named)
    if left_out:
        reason = f"only the first {MOST_ENTRIES:,} of a document are read"
        found.insert(0, Rejection(f"{left_out:,} more entries", reason, left_out))
    if others:
        found.append(Rejection(f"{others:,} more entries", "they cannot be used either", others))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Page:
    """A batch of items and the state to store together with them.

    ``cursor`` replaces ``Source.cursor`` in the transaction that stores the items, so a process killed between two
    pages continues where the last stored page ended. ``etag`` and ``last_modified`` are the validators for the next
    conditional GET; they are sent only with the page that completes a fetch. ``not_modified`` is a 304.
    ``min_interval_seconds`` is the shortest time the service asks to be left alone (feed ttl), if it says.
    """

    items: tuple[Item, ...]
    cursor: Mapping[str, Any]
    rejections: tuple[Rejection, ...] = ()
    etag: str = ""
    last_modified: str = ""
    not_modified: bool = False
    min_interval_seconds: int = 0


class SourceKindModule(Protocol):
    """The shape of a kind in this room. To add one, copy the nearest package."""

    def validate(self, url: str, query: str) -> None:
        """Raise SourceConfigError when no fetch could ever work with these; no network."""

    def fetch(self, source: Source, client: HttpClient, *, since: datetime | None, limit: int | None) -> Iterator[Page]:
        """Yield pages, newest knowledge last; raise FetchError when the source as a whole fails.

        ``since`` drops older entries, ``limit`` ends the fetch after so many items.
        """
