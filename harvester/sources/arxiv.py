"""Reads arXiv through its query API: searches walked from the latest change downwards, and look-ups by id.

A search is walked in the order of ``lastUpdatedDate``, not ``submittedDate``: only there does a new version of an old
paper come up again. While a walk goes on, new papers push the others down, so pages overlap but nothing slips through;
a paper that is revised meanwhile leaves its place for the top, where the next walk finds it.

The cursor of a search is ``{"newest": TIME}`` after a walk that came to its end: the latest change it saw. The next
walk ends where it meets entries older than that by a day, since arXiv announces late. As long as a walk is unfinished
the cursor is ``{"walk": {"start": N, "newest": TIME, "until": TIME or null}}``: how far down it came, the latest change
at its beginning, and the ``newest`` of the walk before. An unfinished walk is taken up at the top, for what is new
since then, and leaps from what it knows to its ``start``.

A walk is unfinished when its process died, after MAX_REQUESTS, and when the caller cut it with ``limit`` or ``since``;
so what lies below is not lost, it comes with a later fetch. The first walk of a source has no ``until`` and ends at
FIRST_HARVEST_DEPTH. Look-ups are short and keep no cursor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree.ElementTree import Element

from django.utils import timezone

from harvester.clients.http import HttpClient, Reply
from harvester.errors import FetchError, FetchFailure, SourceConfigError
from harvester.models import ArtifactKind, IdentifierScheme, Source
from harvester.sources.addresses import require_web_address
from harvester.sources.base import Author, Item, Page, Rejection
from harvester.sources.courtesy import Courtesy
from harvester.sources.identifiers import arxiv_id, arxiv_version, canonical_url, doi
from harvester.sources.moments import moment
from harvester.sources.replies import blames_the_request, status_error
from harvester.sources.text import LONGEST_TEXT, LONGEST_TITLE, one_line
from harvester.sources.xml_guard import as_json, parse_xml

BASE_URL = "https://export.arxiv.org/api/query"
LOOK_UP = "id_list:"
PAGE_SIZE = 100
MAX_REQUESTS = 20  # a fetch; with the courtesy delay about two minutes
FIRST_HARVEST_DEPTH = MAX_REQUESTS * PAGE_SIZE
OVERLAP = timedelta(days=1)
EMPTY_PAGE_ATTEMPTS = 3

# https://info.arxiv.org/help/api/tou.html: no more than one request every three seconds.
_COURTESY = Courtesy(3.0)
_ATOM, _ARXIV, _OPENSEARCH = (
    "{http://www.w3.org/2005/Atom}",
    "{http://arxiv.org/schemas/atom}",
    "{http://a9.com/-/spec/opensearch/1.1/}",
)
_ERROR_ID = "/api/errors"


def validate(url: str, query: str) -> None:
    """Raise SourceConfigError when no fetch could ever work with these; no network."""
    if url:
        require_web_address(url)
    if not query.strip():
        raise SourceConfigError(
            "query",
            'Say what to ask arXiv for: a search such as cat:cs.LG or all:"agent memory", or id_list: with ids.',
        )
    if query.startswith(LOOK_UP) and not _ids(query):
        raise SourceConfigError(
            "query", "Write the ids after id_list:, separated by commas: id_list:2104.12255,1605.08386"
        )


def fetch(
    source: Source,
    client: HttpClient,
    *,
    since: datetime | None,
    limit: int | None,
    courtesy: Courtesy = _COURTESY,
) -> Iterator[Page]:
    """Yield the pages of one walk or look-up; see above for how they follow each other.

    ``since`` compares with an entry's last change. Raises FetchError: QUERY_REJECTED for what arXiv calls an error.
    """
    validate(source.url, source.query)
    asker = _Asker(source.url or BASE_URL, source.query, client, courtesy)
    is_look_up = source.query.startswith(LOOK_UP)
    place = _Place() if is_look_up else _Place.read(source.cursor)
    for page in _Walk(asker, place, since=since, limit=limit).pages():
        yield replace(page, cursor={}) if is_look_up else page


# --- asking --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a reply; ``changed_at`` is when its latest version came."""

    item: Item
    version: int
    changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Answer:
    """One reply, read. ``next_start`` is where the next one begins."""

    entries: tuple[_Entry, ...]
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


@dataclass(frozen=True, slots=True)
class _Asker:
    base_url: str
    query: str
    client: HttpClient
    courtesy: Courtesy

    def ask(self, start: int) -> _Answer:
        """The answer from ``start`` on. arXiv is known to send an empty page now and then; that is asked for again."""
        answer = self._ask_once(start)
        for _ in range(EMPTY_PAGE_ATTEMPTS - 1):
            if answer.is_plausible:
                break
            answer = self._ask_once(start)
        if not answer.is_plausible:
            sentence = f"arXiv says that {answer.total:,} papers match but sent none from number {start} on."
            raise FetchError(FetchFailure.MALFORMED, sentence)
        return answer

    def _ask_once(self, start: int) -> _Answer:
        if _is_arxiv(self.base_url):
            self.courtesy.wait()
        reply = self.client.get(self._url(start))
        root = _root(reply)
        error = _stated_error(root)
        if error is not None:
            raise FetchError(FetchFailure.QUERY_REJECTED, f"arXiv: {error}", permanent=True, status=reply.status)
        if reply.status != 200:
            raise status_error(reply, permanent=blames_the_request(reply.status))
        return _answer(root, start)

    def _url(self, start: int) -> str:
        ids = _ids(self.query)
        parameters = {
            "search_query": "" if ids else " ".join(self.query.split()),
            "id_list": ",".join(ids),
            "sortBy": "lastUpdatedDate",
            "sortOrder": "descending",
            "start": start,
            "max_results": PAGE_SIZE,
        }
        return f"{self.base_url}{'&' if '?' in self.base_url else '?'}{urlencode(parameters)}"


def _ids(query: str) -> list[str]:
    if not query.startswith(LOOK_UP):
        return []
    return [one for one in (part.strip() for part in query.removeprefix(LOOK_UP).split(",")) if one]


def _is_arxiv(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "arxiv.org" or host.endswith(".arxiv.org")


# --- walking -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """The cursor, read. ``until`` is where the next walk ends; the other two are what an unfinished one has seen."""

    until: datetime | None = None
    known_from: datetime | None = None
    known_to: int = 0

    @classmethod
    def read(cls, cursor: Any) -> _Place:
        """A cursor that says nothing usable is the beginning."""
        if not isinstance(cursor, dict):
            return cls()
        walk = cursor.get("walk")
        if not isinstance(walk, dict):
            return cls(until=_time(cursor.get("newest")))
        start = walk.get("start")
        return cls(
            until=_time(walk.get("until")),
            known_from=_time(walk.get("newest")),
            known_to=start if isinstance(start, int) and start > 0 else 0,
        )


class _Walk:
    """One walk from the latest change down to what is known, or as far as it may go."""

    def __init__(self, asker: _Asker, place: _Place, *, since: datetime | None, limit: int | None) -> None:
        self._asker = asker
        self._since = since
        self._left = limit
        self._until = place.until
        self._known_from = place.known_from
        self._known_to = place.known_to
        self._newest = place.known_from or place.until
        self._seen: dict[str, int] = {}

    def pages(self) -> Iterator[Page]:
        start = 0
        for _ in range(MAX_REQUESTS):
            answer = self._asker.ask(start)
            self._newest = max(filter(None, (self._newest, *answer.changes)), default=None)
            fresh = self._fresh(answer.entries)
            kept = [entry for entry in fresh if not self._is_too_old(entry)]
            if self._is_cut(fresh, kept):
                yield self._page(kept[: self._left], self._unfinished(start), answer)
                return
            if self._left is not None:
                self._left -= len(kept)
            next_start = self._next_start(answer)
            is_end = answer.is_last or not fresh or self._is_down(answer, next_start)
            yield self._page(kept, self._finished() if is_end else self._unfinished(next_start), answer)
            if is_end or self._left == 0:
                return
            start = next_start

    def _fresh(self, entries: Sequence[_Entry]) -> list[_Entry]:
        """Those this walk has not met in this or a higher version; of several versions in a page the highest."""
        found: dict[str, _Entry] = {}
        for entry in entries:
            if entry.version > self._seen.get(entry.item.external_id, 0):
                self._seen[entry.item.external_id] = entry.version
                found[entry.item.external_id] = entry
        return list(found.values())

    def _is_too_old(self, entry: _Entry) -> bool:
        return self._since is not None and entry.changed_at is not None and entry.changed_at < self._since

    def _is_cut(self, fresh: Sequence[_Entry], kept: Sequence[_Entry]) -> bool:
        """Whether the caller's ``since`` or ``limit`` leaves out something that was not seen before."""
        if self._left is not None and len(kept) > self._left:
            return True
        left_out = (entry.changed_at for entry in fresh if self._is_too_old(entry))
        return any(self._until is None or (changed_at and changed_at >= self._until) for changed_at in left_out)

    def _next_start(self, answer: _Answer) -> int:
        """Below this page, or below what the unfinished walk has seen once this one has come to that."""
        if self._known_from and _reaches(answer, self._known_from):
            self._known_from = None
            return max(answer.next_start, self._known_to)
        return answer.next_start

    def _is_down(self, answer: _Answer, next_start: int) -> bool:
        return _reaches(answer, self._until) if self._until else next_start >= FIRST_HARVEST_DEPTH

    def _finished(self) -> Mapping[str, Any]:
        return {"newest": _iso(self._newest)} if self._newest else {}

    def _unfinished(self, start: int) -> Mapping[str, Any]:
        return {"walk": {"start": start, "newest": _iso(self._newest), "until": _iso(self._until)}}

    def _page(self, entries: Sequence[_Entry], cursor: Mapping[str, Any], answer: _Answer) -> Page:
        return Page(tuple(entry.item for entry in entries), cursor, answer.rejections)


def _reaches(answer: _Answer, known: datetime) -> bool:
    """Whether a page, in the order of changes, goes so far below ``known`` that nothing late can be missing."""
    return bool(answer.changes) and answer.changes[-1] < known - OVERLAP


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def _time(value: Any) -> datetime | None:
    return moment(value, now=timezone.now()) if isinstance(value, str) else None


# --- reading -------------------------------------------------------------------------------------------------------


def _root(reply: Reply) -> Element:
    """The reply as XML; where the status says that it failed, that matters more than what else came."""
    try:
        return parse_xml(reply.body)
    except FetchError:
        if reply.status == 200:
            raise
        raise status_error(reply, permanent=blames_the_request(reply.status)) from None


def _stated_error(root: Element) -> str | None:
    for entry in root.iterfind(f"{_ATOM}entry"):
        if _ERROR_ID in _text(entry, f"{_ATOM}id"):
            return one_line(_text(entry, f"{_ATOM}summary") or "the query was rejected", 300)
    return None


def _answer(root: Element, asked_start: int) -> _Answer:
    if root.tag != f"{_ATOM}feed":
        raise FetchError(FetchFailure.MALFORMED, "This is no reply of the arXiv API: it is no Atom feed.")
    entries, rejections = [], []
    now = timezone.now()
    for element in root.iterfind(f"{_ATOM}entry"):
        read = _entry(element, now)
        if isinstance(read, Rejection):
            rejections.append(read)
        else:
            entries.append(read)
    start = max(asked_start, _number(root, f"{_OPENSEARCH}startIndex") or 0)
    return _Answer(
        entries=tuple(entries),
        rejections=tuple(rejections),
        next_start=start + len(entries) + len(rejections),
        total=_number(root, f"{_OPENSEARCH}totalResults"),
    )


def _entry(element: Element, now: datetime) -> _Entry | Rejection:
    stated_id = _text(element, f"{_ATOM}id")
    external_id = arxiv_id(stated_id)
    if external_id is None:
        return Rejection(one_line(stated_id, 200), "it has no arXiv id")
    title = one_line(_text(element, f"{_ATOM}title"), LONGEST_TITLE)
    if not title:
        return Rejection(external_id, "it has no title")
    version = arxiv_version(stated_id) or 1
    published = moment(_text(element, f"{_ATOM}published"), now=now)
    updated = moment(_text(element, f"{_ATOM}updated"), now=now)
    dois = [found for part in _text(element, f"{_ARXIV}doi").split() if (found := doi(part))]
    item = Item(
        external_id=external_id,
        kind=ArtifactKind.PREPRINT,
        url=canonical_url(f"https://arxiv.org/abs/{external_id}"),
        title=title,
        text=one_line(_text(element, f"{_ATOM}summary"), LONGEST_TEXT),
        published_at=published,
        updated_at=updated,
        authors=_authors(element),
        identifiers=((IdentifierScheme.ARXIV, external_id), *((IdentifierScheme.DOI, found) for found in dois)),
        metadata=_metadata(element, version),
        raw=_raw(element),
    )
    return _Entry(item, version, updated or published)


def _authors(element: Element) -> tuple[Author, ...]:
    found = (
        Author(
            name=one_line(_text(author, f"{_ATOM}name"), 300),
            affiliation=one_line("; ".join(one.text or "" for one in author.iterfind(f"{_ARXIV}affiliation")), 500),
        )
        for author in element.iterfind(f"{_ATOM}author")
    )
    return tuple(author for author in found if author.name)


def _metadata(element: Element, version: int) -> dict[str, Any]:
    primary = element.find(f"{_ARXIV}primary_category")
    categories = [one_line(one.get("term", ""), 100) for one in element.iterfind(f"{_ATOM}category")]
    pdf = next((link for link in element.iterfind(f"{_ATOM}link") if link.get("title") == "pdf"), None)
    found: dict[str, Any] = {
        "version": version,
        "doi": one_line(_text(element, f"{_ARXIV}doi"), 500),
        "comment": one_line(_text(element, f"{_ARXIV}comment"), 5_000),
        "journal_ref": one_line(_text(element, f"{_ARXIV}journal_ref"), 1_000),
        "categories": list(dict.fromkeys(filter(None, categories))),
        "primary_category": one_line(primary.get("term", ""), 100) if primary is not None else "",
        "pdf_url": one_line(pdf.get("href", ""), 500) if pdf is not None else "",
    }
    return {name: value for name, value in found.items() if value}


def _raw(element: Element) -> dict[str, Any]:
    raw = as_json(element, _local_name)
    return raw if isinstance(raw, dict) else {}


def _local_name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _text(element: Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _number(element: Element, tag: str) -> int | None:
    written = _text(element, tag)
    return int(written) if written.isascii() and written.isdigit() and len(written) < 12 else None
