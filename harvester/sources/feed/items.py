"""Entries of a feed to items: what identifies them, when they appeared, which kind they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from harvester.models import ArtifactKind, IdentifierScheme
from harvester.sources.base import MOST_AUTHORS, Item, Rejection
from harvester.sources.feed.entry import FeedEntry
from harvester.sources.identifiers import arxiv_id, canonical_url, doi
from harvester.sources.moments import moment
from harvester.sources.text import LONGEST_TITLE, bounded_id, one_line, shortened

UNTITLED = "(no title)"  # what an entry is called that has an id or a date and says nothing
_TITLE_FROM_TEXT = 80  # characters
_LARGEST_COUNT = 2**31 - 1


def items(
    entries: Iterable[FeedEntry], *, kind: ArtifactKind, now: datetime
) -> tuple[tuple[Item, ...], tuple[Rejection, ...]]:
    """The usable entries in the order of the document, and the others. Entries with the same id are one."""
    found: dict[str, Item] = {}
    rejections = []
    for entry in entries:
        item = _item(entry, kind, now)
        if isinstance(item, Rejection):
            rejections.append(item)
        elif item.external_id not in found or _is_later(item, found[item.external_id]):
            found[item.external_id] = item
    return tuple(found.values()), tuple(rejections)


def _item(entry: FeedEntry, kind: ArtifactKind, now: datetime) -> Item | Rejection:
    url = canonical_url(entry.link)
    title = entry.title or _beginning(entry.text) or shortened(url, LONGEST_TITLE)
    if not title and not entry.id and not entry.published:
        return Rejection("", "it is empty")
    moments = (moment(written, now=now) for written in entry.published)
    published = next((found for found in moments if found), None)
    identifiers = _identifiers(entry)
    return Item(
        external_id=_external_id(entry, url, title, published),
        kind=kind,
        url=url,
        title=title or UNTITLED,
        text=entry.text,
        published_at=published,
        updated_at=moment(entry.updated, now=now),
        authors=entry.authors[:MOST_AUTHORS],
        identifiers=identifiers,
        engagement={} if entry.comments is None else {"comments": min(entry.comments, _LARGEST_COUNT)},
        metadata=_metadata(entry, identifiers),
        raw=entry.raw,
    )


def _external_id(entry: FeedEntry, url: str, title: str, published: datetime | None) -> str:
    if entry.id or url:
        return bounded_id(entry.id or url)
    date = published.isoformat() if published else next(iter(entry.published), "")
    return "sha256:" + hashlib.sha256(f"{title}\n{date}".encode("utf-8", "replace")).hexdigest()


def _beginning(text: str) -> str:
    """The first words, to stand for a missing title."""
    line = one_line(text[: 10 * _TITLE_FROM_TEXT])
    if len(line) <= _TITLE_FROM_TEXT:
        return line
    words = line[: _TITLE_FROM_TEXT + 1].rpartition(" ")[0]
    return f"{words}…" if words else shortened(line, _TITLE_FROM_TEXT)


def _identifiers(entry: FeedEntry) -> tuple[tuple[IdentifierScheme, str], ...]:
    """DOIs and arXiv ids that the entry states as its own; text that mentions others is not looked at."""
    candidates = (*entry.stated_ids, entry.link)
    found = [(IdentifierScheme.DOI, doi(text)) for text in candidates]
    found += [(IdentifierScheme.ARXIV, arxiv_id(text)) for text in candidates]
    return tuple(dict.fromkeys((scheme, value) for scheme, value in found if value))


def _metadata(entry: FeedEntry, identifiers: tuple[tuple[IdentifierScheme, str], ...]) -> dict[str, Any]:
    stated_doi = next((value for scheme, value in identifiers if scheme == IdentifierScheme.DOI), "")
    metadata = {
        "categories": list(entry.categories),
        "doi": stated_doi,
        "authors_total": len(entry.authors) if len(entry.authors) > MOST_AUTHORS else 0,
    }
    return {name: value for name, value in metadata.items() if value}


def _is_later(item: Item, other: Item) -> bool:
    changed, other_changed = item.updated_at or item.published_at, other.updated_at or other.published_at
    return bool(changed and (other_changed is None or changed > other_changed))
