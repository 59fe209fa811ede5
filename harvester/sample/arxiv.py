"""arXiv's query API over the sample world, with its paging, its order and its way to refuse.

See https://info.arxiv.org/help/api/user-manual.html. Of the search language it knows ``field:word`` with the fields
cat, ti, au, abs and all, joined by AND, OR and ANDNOT from left to right; what it does not know finds nothing.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from hashlib import sha256
from xml.etree.ElementTree import Element

from harvester.sample.markup import add, document, rfc3339
from harvester.sample.outlets import ARXIV
from harvester.sample.works import Work
from harvester.sample.world import World

CONTENT_TYPE = "application/atom+xml; charset=utf-8"

_DEFAULT_PAGE = 10
_NAMESPACES = {
    "xmlns": "http://www.w3.org/2005/Atom",
    "xmlns:arxiv": "http://arxiv.org/schemas/atom",
    "xmlns:opensearch": "http://a9.com/-/spec/opensearch/1.1/",
}
_ID = re.compile(r"(?P<id>\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})(?:v(?P<version>[1-9]\d*))?")
_OPERATOR = re.compile(r"\s+(AND|OR|ANDNOT)\s+")


@dataclass(frozen=True, slots=True)
class _Hit:
    """A paper in one of its versions, counted from 1."""

    work: Work
    version: int

    @property
    def updated(self) -> datetime:
        return self.work.versions[self.version - 1]


class _RefusedError(Exception):
    """What arXiv answers with status 400 and an entry that names the error."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def answer(world: World, parameters: Mapping[str, str]) -> tuple[int, bytes]:
    """Status and Atom document for a query."""
    moment = datetime.combine(world.anchor, time(), UTC)
    try:
        start = _number(parameters, "start", 0)
        count = _number(parameters, "max_results", _DEFAULT_PAGE)
        hits = _found(world, parameters)
    except _RefusedError as refusal:
        return 400, _error(refusal.sentence, moment)
    key = {
        "lastUpdatedDate": lambda hit: (hit.updated, hit.work.arxiv_id),
        "submittedDate": lambda hit: (hit.work.published, hit.work.arxiv_id),
    }.get(parameters.get("sortBy", ""))
    ordered = sorted(hits, key=key, reverse=parameters.get("sortOrder") != "ascending") if key else hits
    return 200, _page(ordered[start : start + count], len(hits), start, count, parameters, moment)


def _number(parameters: Mapping[str, str], name: str, default: int) -> int:
    written = parameters.get(name) or str(default)
    if not re.fullmatch(r"-?\d{1,9}", written):
        raise _RefusedError(f"{name} must be an integer")
    if int(written) < 0:
        raise _RefusedError(f"{name} must be non-negative")
    return int(written)


# --- searching -----------------------------------------------------------------------------------------------------


def _found(world: World, parameters: Mapping[str, str]) -> list[_Hit]:
    """Newest first."""
    query, ids = parameters.get("search_query", "").strip(), parameters.get("id_list", "").strip()
    papers = [entry.work for entry in world.at(ARXIV)]
    hits = _looked_up(papers, ids.split(",")) if ids else [_Hit(work, len(work.versions)) for work in papers]
    if not query:
        return hits if ids else []
    return [hit for hit in hits if _matches(hit.work, query)]


def _looked_up(papers: Sequence[Work], ids: Sequence[str]) -> list[_Hit]:
    by_id = {work.arxiv_id: work for work in papers}
    hits = []
    for asked in ids:
        match = _ID.fullmatch(asked.strip())
        if match is None:
            raise _RefusedError(f"incorrect id format for {asked.strip()}")
        work = by_id.get(match["id"])
        if work is not None and int(match["version"] or 1) <= len(work.versions):
            hits.append(_Hit(work, int(match["version"] or len(work.versions))))
    return hits


def _matches(work: Work, query: str) -> bool:
    first, *rest = _OPERATOR.split(query)
    found = _has(work, first)
    for operator, term in zip(rest[::2], rest[1::2], strict=True):
        has_term = _has(work, term)
        found = {"AND": found and has_term, "OR": found or has_term, "ANDNOT": found and not has_term}[operator]
    return found


def _has(work: Work, term: str) -> bool:
    field, colon, words = term.strip().rpartition(":")
    wanted = words.strip('"').casefold()
    if field == "cat":
        return wanted in (category.casefold() for category in work.categories)
    texts = {
        "ti": work.title,
        "abs": work.paragraphs[0],
        "au": " ".join(credit.written for credit in work.credits),
    }
    searched = " ".join(texts.values()) if field == "all" or not colon else texts.get(field, "")
    return wanted in searched.casefold()


# --- writing -------------------------------------------------------------------------------------------------------


def _page(
    hits: Sequence[_Hit], total: int, start: int, count: int, parameters: Mapping[str, str], moment: datetime
) -> bytes:
    query, ids = parameters.get("search_query", ""), parameters.get("id_list", "")
    asked = f"search_query={query}&id_list={ids}&start={start}&max_results={count}"
    name = b64encode(sha256(asked.encode()).digest()[:20]).decode().rstrip("=")
    root = Element("feed", _NAMESPACES)
    add(root, "id", f"https://arxiv.org/api/{name}")
    add(root, "title", f"arXiv Query: {asked}")
    add(root, "updated", rfc3339(moment))
    add(root, "link", href=f"https://arxiv.org/api/query?{asked}", type_="application/atom+xml")
    _add_counts(root, count, total, start)
    for hit in hits:
        _add_entry(root, hit)
    return document(root)


def _error(sentence: str, moment: datetime) -> bytes:
    name = f"https://arxiv.org/api/errors#{sentence.replace(' ', '_')}"
    root = Element("feed", _NAMESPACES)
    add(root, "id", "https://arxiv.org/")
    add(root, "title", "arXiv Search Results")
    add(root, "updated", rfc3339(moment))
    _add_counts(root, 1, 1, 0)
    entry = add(root, "entry")
    add(entry, "id", name)
    add(entry, "title", "Error")
    add(entry, "updated", rfc3339(moment))
    add(entry, "link", href=name, rel="alternate", type_="text/html")
    add(entry, "summary", sentence)
    add(add(entry, "author"), "name", "arXiv api core")
    return document(root)


def _add_counts(root: Element, per_page: int, total: int, start: int) -> None:
    add(root, "opensearch:itemsPerPage", str(per_page))
    add(root, "opensearch:totalResults", str(total))
    add(root, "opensearch:startIndex", str(start))


def _add_entry(root: Element, hit: _Hit) -> None:
    work, written_id = hit.work, f"{hit.work.arxiv_id}v{hit.version}"
    entry = add(root, "entry")
    add(entry, "id", f"http://arxiv.org/abs/{written_id}")
    add(entry, "title", work.title)
    add(entry, "updated", rfc3339(hit.updated))
    add(entry, "link", href=f"https://arxiv.org/abs/{written_id}", rel="alternate", type_="text/html")
    pdf = f"https://arxiv.org/pdf/{written_id}"
    add(entry, "link", href=pdf, rel="related", type_="application/pdf", title="pdf")
    add(entry, "summary", work.paragraphs[0])
    for category in work.categories:
        add(entry, "category", term=category, scheme="http://arxiv.org/schemas/atom")
    add(entry, "published", rfc3339(work.published))
    if work.comment:
        add(entry, "arxiv:comment", work.comment)
    add(entry, "arxiv:primary_category", term=work.categories[0])
    if work.journal:
        add(entry, "arxiv:journal_ref", work.journal)
    for credit in work.credits:
        author = add(entry, "author")
        add(author, "name", credit.written)
        if credit.affiliation:
            add(author, "arxiv:affiliation", credit.affiliation)
    if work.doi:
        add(entry, "arxiv:doi", work.doi)
        add(entry, "link", rel="related", href=f"https://doi.org/{work.doi}", title="doi")
