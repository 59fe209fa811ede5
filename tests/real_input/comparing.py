"""What was stored against what was counted: every difference as one sentence."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.installation import Installation
from tests.real_input import counting

_PAPER_FIELDS = (
    "version",
    "title",
    "text",
    "authors",
    "published",
    "updated",
    "doi",
    "comment",
    "journal_ref",
    "categories",
)


def stored_papers(installed: Installation, source: str) -> dict[str, dict[str, Any]]:
    """The artifacts of the arXiv source, in the shape the count has."""
    found = {}
    for external_id, title, text, authors, published, updated, metadata, url in _rows_of(
        source,
        installed,
        "SELECT s.name, a.external_id, a.title, a.text, a.authors, a.published_at, a.updated_at, a.metadata, "
        "a.canonical_url FROM harvester_artifact a JOIN harvester_source s ON s.id = a.source_id",
    ):
        known = _json(metadata)
        found[external_id] = {
            "title": title,
            "text": text,
            "authors": [(author["name"], author["affiliation"]) for author in _json(authors)],
            "published": _time(published),
            "updated": _time(updated),
            "url": url,
            **{name: known.get(name, "") for name in ("version", "doi", "comment", "journal_ref")},
            "categories": known.get("categories", []),
        }
    return found


def paper_differences(
    stored: Mapping[str, Mapping[str, Any]], counted: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Papers that are missing or too many, and every field that differs."""
    for paper in sorted(stored.keys() ^ counted.keys()):
        yield f"arXiv {paper}: {'not in the recordings' if paper in stored else 'not stored'}"
    for paper in sorted(stored.keys() & counted.keys()):
        for name in _PAPER_FIELDS:
            if stored[paper][name] != counted[paper][name]:
                yield f"arXiv {paper}: {name} is {stored[paper][name]!r}, recorded is {counted[paper][name]!r}"
        if stored[paper]["url"] != f"https://arxiv.org/abs/{paper}":
            yield f"arXiv {paper}: address is {stored[paper]['url']}"


def identifier_differences(
    installed: Installation, source: str, counted: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """arXiv ids and DOIs, one by one."""
    rows = _rows_of(
        source,
        installed,
        "SELECT s.name, a.external_id, i.scheme, i.value FROM harvester_identifier i "
        "JOIN harvester_artifact a ON a.id = i.artifact_id JOIN harvester_source s ON s.id = a.source_id "
        "WHERE i.scheme IN ('arxiv', 'doi')",
    )
    expected = {(paper, "arxiv", paper) for paper in counted}
    expected |= {(paper, "doi", doi.lower()) for paper, one in counted.items() for doi in one["doi"].split()}
    for paper, scheme, value in sorted(expected ^ {(paper, scheme, value) for paper, scheme, value in rows}):
        yield f"arXiv {paper}: identifier {scheme} {value} is on one side only"


def entry_differences(installed: Installation, source: str, counted: counting.FeedCount) -> Iterator[str]:
    """Titles and dates of a feed's entries; they are paired by title and date, so no id has to be derived twice."""
    rows = _rows_of(
        source,
        installed,
        "SELECT s.name, a.title, a.published_at, a.is_dated FROM harvester_artifact a "
        "JOIN harvester_source s ON s.id = a.source_id",
    )
    stored = Counter((title, str(_time(published)) if is_dated else "") for title, published, is_dated in rows)
    expected = Counter((title, str(date) if date else "") for title, date in counted.entries.values())
    for one in stored - expected:
        yield f"{source}: stored but not counted: {one}"
    for one in expected - stored:
        yield f"{source}: counted but not stored: {one}"


def _rows_of(source: str, installed: Installation, query: str) -> list[list[Any]]:
    """The rows whose first column is this source, without that column."""
    return [row for name, *row in installed.rows(query) if name == source]


def _json(value: Any) -> Any:
    """SQLite keeps JSON as text."""
    return json.loads(value) if isinstance(value, str) else value


def _time(value: Any) -> datetime:
    """SQLite keeps times as text, in UTC."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    aware: datetime = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return aware
