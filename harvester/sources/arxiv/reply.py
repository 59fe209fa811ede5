"""Reads a reply of the arXiv API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from xml.etree.ElementTree import Element

from django.utils import timezone

from harvester.errors import FetchError, FetchFailure
from harvester.models import ArtifactKind, IdentifierScheme
from harvester.sources.base import MOST_AUTHORS, MOST_ENTRIES, Author, Item, Rejection
from harvester.sources.identifiers import arxiv_id, arxiv_version, canonical_url, doi
from harvester.sources.moments import moment
from harvester.sources.text import LONGEST_TEXT, LONGEST_TITLE, bounded_raw, one_line
from harvester.sources.xml_guard import as_json

_ATOM, _ARXIV, _OPENSEARCH = (
    "{http://www.w3.org/2005/Atom}",
    "{http://arxiv.org/schemas/atom}",
    "{http://a9.com/-/spec/opensearch/1.1/}",
)
_MOST_CATEGORIES = 100
_MOST_DOIS = 20  # of one entry; each becomes a row
_ERROR_ID = "/api/errors"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a reply; ``changed_at`` is when its latest version came."""

    item: Item
    version: int
    changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply, read. ``next_start`` is where the next one begins."""

    entries: tuple[Entry, ...]
    rejections: tuple[Rejection, ...]
    next_start: int
    total: int | None

    @property
    def count(self) -> int:
        return len(self.entries) + len(self.rejections)

    @property
    def is_plausible(self) -> bool:
        """Not empty where the server itself says that there is more."""
        return self.count > 0 or self.total is None or self.total <= self.next_start

    @property
    def is_last(self) -> bool:
        return self.count == 0 or (self.total is not None and self.next_start >= self.total)

    @property
    def changes(self) -> list[datetime]:
        return [entry.changed_at for entry in self.entries if entry.changed_at]


def stated_error(root: Element) -> str | None:
    for entry in root.iterfind(f"{_ATOM}entry"):
        if _ERROR_ID in _text(entry, f"{_ATOM}id"):
            return one_line(_text(entry, f"{_ATOM}summary") or "the query was rejected", 300)
    return None


def read_answer(root: Element, asked_start: int) -> Answer:
    if root.tag != f"{_ATOM}feed":
        raise FetchError(FetchFailure.MALFORMED, "This is no reply of the arXiv API: it is no Atom feed.")
    entries, rejections = [], []
    now = timezone.now()
    for element in islice(root.iterfind(f"{_ATOM}entry"), MOST_ENTRIES):  # the next reply brings what is beyond
        read = _entry(element, now)
        if isinstance(read, Rejection):
            rejections.append(read)
        else:
            entries.append(read)
    count = len(entries) + len(rejections)
    end = (_number(root, f"{_OPENSEARCH}startIndex") or 0) + count
    return Answer(
        entries=tuple(entries),
        rejections=tuple(rejections),
        # The server may begin elsewhere than asked, at the edge of its own page; but it must go on.
        next_start=end if end > asked_start else asked_start + count,
        total=_number(root, f"{_OPENSEARCH}totalResults"),
    )


def _entry(element: Element, now: datetime) -> Entry | Rejection:
    stated_id = _text(element, f"{_ATOM}id")
    external_id = arxiv_id(stated_id)
    if external_id is None:
        return Rejection(one_line(stated_id, 200), "it has no arXiv id")
    title = one_line(_text(element, f"{_ATOM}title"), LONGEST_TITLE)
    if not title:
        return Rejection(external_id, "it has no title")
    version = arxiv_version(stated_id) or 1
    authors = _authors(element)
    published = moment(_text(element, f"{_ATOM}published"), now=now)
    updated = moment(_text(element, f"{_ATOM}updated"), now=now)
    dois = [found for part in _text(element, f"{_ARXIV}doi").split()[:_MOST_DOIS] if (found := doi(part))]
    item = Item(
        external_id=external_id,
        kind=ArtifactKind.PREPRINT,
        url=canonical_url(f"https://arxiv.org/abs/{external_id}"),
        title=title,
        text=one_line(_text(element, f"{_ATOM}summary"), LONGEST_TEXT),
        published_at=published,
        updated_at=updated,
        authors=authors[:MOST_AUTHORS],
        identifiers=((IdentifierScheme.ARXIV, external_id), *((IdentifierScheme.DOI, found) for found in dois)),
        metadata=_metadata(element, version, len(authors)),
        raw=_raw(element),
    )
    return Entry(item, version, updated or published)


def _authors(element: Element) -> tuple[Author, ...]:
    found = (
        Author(
            name=one_line(_text(author, f"{_ATOM}name"), 300),
            affiliation=one_line("; ".join(one.text or "" for one in author.iterfind(f"{_ARXIV}affiliation")), 500),
        )
        for author in element.iterfind(f"{_ATOM}author")
    )
    return tuple(author for author in found if author.name)


def _metadata(element: Element, version: int, author_count: int) -> dict[str, Any]:
    primary = element.find(f"{_ARXIV}primary_category")
    categories = [one_line(one.get("term", ""), 100) for one in element.iterfind(f"{_ATOM}category")]
    pdf = next((link for link in element.iterfind(f"{_ATOM}link") if link.get("title") == "pdf"), None)
    found: dict[str, Any] = {
        "version": version,
        "doi": one_line(_text(element, f"{_ARXIV}doi"), 500),
        "comment": one_line(_text(element, f"{_ARXIV}comment"), 5_000),
        "journal_ref": one_line(_text(element, f"{_ARXIV}journal_ref"), 1_000),
        "categories": list(dict.fromkeys(filter(None, categories)))[:_MOST_CATEGORIES],
        "primary_category": one_line(primary.get("term", ""), 100) if primary is not None else "",
        "pdf_url": one_line(pdf.get("href", ""), 500) if pdf is not None else "",
        "authors_total": author_count if author_count > MOST_AUTHORS else 0,
    }
    return {name: value for name, value in found.items() if value}


def _raw(element: Element) -> dict[str, Any]:
    raw = as_json(element, _local_name)
    return bounded_raw(raw) if isinstance(raw, dict) else {}


def _local_name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _text(element: Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _number(element: Element, tag: str) -> int | None:
    written = _text(element, tag)
    return int(written) if written.isascii() and written.isdigit() and len(written) < 12 else None
