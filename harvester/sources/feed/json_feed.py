"""Reads JSON Feed 1.0 and 1.1 (https://www.jsonfeed.org/version/1.1/)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

from harvester.errors import FetchError, FetchFailure
from harvester.sources.base import MOST_ENTRIES, Author
from harvester.sources.feed.entry import MOST_FEED_AUTHORS, Feed, FeedEntry
from harvester.sources.html_text import plain_text
from harvester.sources.identifiers import canonical_url
from harvester.sources.json_guard import parse_json
from harvester.sources.text import (
    LONGEST_TEXT,
    LONGEST_TITLE,
    bounded_raw,
    one_line,
    shortened,
    storable,
    storable_json,
)

_VERSION = "jsonfeed.org/version/1"
_MOST_CATEGORIES = 100


def read(text: str, url: str) -> Feed:
    """Raises FetchError: MALFORMED for what is no JSON, TOO_LARGE for too much of it, NOT_A_FEED for other JSON."""
    document = parse_json(text)
    if not isinstance(document, dict) or _VERSION not in _string(document, "version"):
        raise FetchError(
            FetchFailure.NOT_A_FEED,
            "This is JSON, but no JSON Feed: its version does not say https://jsonfeed.org/version/1.",
            permanent=True,
        )
    authors = _authors(document)[:MOST_FEED_AUTHORS]
    entries = _objects(document, "items")
    taken = tuple(_entry(entry, url, authors) for entry in entries[:MOST_ENTRIES])
    return Feed(taken, left_out=len(entries) - len(taken))


def _entry(entry: Mapping[str, Any], url: str, feed_authors: tuple[Author, ...]) -> FeedEntry:
    text = plain_text(_string(entry, "content_html")) or _string(entry, "content_text") or _string(entry, "summary")
    updated = _string(entry, "date_modified")
    stated_id = _string(entry, "id")
    return FeedEntry(
        id=stated_id,
        link=_link(entry, url),
        title=one_line(_string(entry, "title"), LONGEST_TITLE),
        text=shortened(text, LONGEST_TEXT),
        published=tuple(filter(None, (_string(entry, "date_published"), updated))),
        updated=updated,
        authors=_authors(entry) or feed_authors,
        categories=tuple(dict.fromkeys(one_line(str(tag), 200) for tag in _list(entry, "tags")))[:_MOST_CATEGORIES],
        stated_ids=(stated_id,) if stated_id else (),
        raw=bounded_raw(storable_json(entry)),
    )


def _link(entry: Mapping[str, Any], url: str) -> str:
    for candidate in (_string(entry, name) for name in ("url", "external_url", "id")):
        try:
            link = urljoin(url, candidate) if "/" in candidate else ""
        except ValueError:
            continue
        if canonical_url(link):
            return link
    return ""


def _authors(holder: Mapping[str, Any]) -> tuple[Author, ...]:
    """Version 1.1 has several authors, version 1.0 one."""
    one = holder.get("author")
    people = _objects(holder, "authors") or ([one] if isinstance(one, dict) else [])
    names = (one_line(_string(person, "name"), 300) for person in people)
    return tuple(Author(name) for name in dict.fromkeys(filter(None, names)))


def _string(holder: Mapping[str, Any], name: str) -> str:
    """Ids are often numbers, which the format allows for."""
    value = holder.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return storable(str(value)).strip()


def _list(holder: Mapping[str, Any], name: str) -> list[Any]:
    value = holder.get(name)
    return value if isinstance(value, list) else []


def _objects(holder: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return [value for value in _list(holder, name) if isinstance(value, dict)]
