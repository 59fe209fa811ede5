"""Reads RSS 0.9 to 2.0, RDF and Atom 0.3 and 1.0 from a parsed document."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from urllib.parse import urljoin
from xml.etree.ElementTree import Element

from harvester.sources.base import MOST_ENTRIES, Author
from harvester.sources.feed.entry import MOST_FEED_AUTHORS, MOST_STATED_IDS, Feed, FeedEntry
from harvester.sources.html_text import plain_text
from harvester.sources.identifiers import canonical_url
from harvester.sources.text import LONGEST_TEXT, LONGEST_TITLE, bounded_raw, one_line, shortened, storable
from harvester.sources.xml_guard import as_json

#: Prefixes as feeds use them; elements of these namespaces are known here as “prefix:name”.
NAMESPACES: Mapping[str, str] = {
    "arxiv": "http://arxiv.org/schemas/atom",
    "atom": "http://www.w3.org/2005/Atom",
    "content": "http://purl.org/rss/1.0/modules/content/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "feedburner": "http://rssnamespace.org/feedburner/ext/1.0",
    "itunes": "http://www.itunes.com/dtds/podcast-1.0.dtd",
    "media": "http://search.yahoo.com/mrss/",
    "prism": "http://prismstandard.org/namespaces/basic/2.0/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "slash": "http://purl.org/rss/1.0/modules/slash/",
    "sy": "http://purl.org/rss/1.0/modules/syndication/",
    "thr": "http://purl.org/syndication/thread/1.0",
    "xml": "http://www.w3.org/XML/1998/namespace",
}
_PREFIXES = {uri.lower(): prefix for prefix, uri in NAMESPACES.items() if prefix != "atom"}
# The formats' own namespaces over the years; their elements are known by their bare name.
_OWN_NAMESPACES = frozenset(
    (
        "",
        "http://www.w3.org/2005/atom",
        "http://purl.org/atom/ns#",
        "http://purl.org/rss/1.0/",
        "http://my.netscape.com/rdf/simple/0.9/",
        "http://channel.netscape.com/rdf/simple/0.9/",
        "http://blogs.law.harvard.edu/tech/rss",
        "http://backend.userland.com/rss",
        "http://backend.userland.com/rss2",
        "http://backend.userland.com/rss091",
        "http://backend.userland.com/rss092",
    )
)
_XML_BASE = f"{{{NAMESPACES['xml']}}}base"
_ROOTS = frozenset(("rss", "feed", "rdf:rdf"))
_ENTRIES = frozenset(("item", "entry"))

_MOST_CATEGORIES = 100
_LONGEST_INTERVAL_SECONDS = 24 * 60 * 60  # a feed may ask for more; a day is what we grant
_PERIODS_SECONDS = {"hourly": 3600, "daily": 86_400, "weekly": 604_800, "monthly": 2_592_000, "yearly": 31_536_000}

_MAIL_AND_NAME = re.compile(r"[^\s()<>]+@[^\s()<>]+\s*\((.+)\)")
_NAME_AND_MAIL = re.compile(r"([^<>]+?)\s*<[^<>\s]+@[^<>\s]+>")

_Children = Mapping[str, Sequence[Element]]


def is_feed(root: Element) -> bool:
    return _name(root.tag) in _ROOTS


def read(root: Element, url: str) -> Feed:
    """The feed in a document for which ``is_feed`` holds; ``url`` is where relative links start from."""
    heads = [root, *(child for child in root if _name(child.tag) == "channel")]
    head = _children(*heads)
    authors = _people(head.get("author", ()))[:MOST_FEED_AUTHORS]
    found = _entries(root, url)
    entries = tuple(_entry(element, base, authors) for element, base in islice(found, MOST_ENTRIES))
    return Feed(entries, left_out=sum(1 for _ in found), min_interval_seconds=_interval_seconds(head))


@lru_cache(maxsize=4096)
def _name(tag: str) -> str:
    """A qualified name the way feeds are read: “title”, “dc:creator”, in lower case; “other:name” where unknown."""
    namespace, _, local = tag.removeprefix("{").rpartition("}")
    uri, name = namespace.strip().lower(), local.lower()
    if uri in _OWN_NAMESPACES:
        return name
    if uri.startswith("http://prismstandard.org/namespaces/"):
        return f"prism:{name}"
    return f"{_PREFIXES.get(uri) or _PREFIXES.get(uri + '/') or 'other'}:{name}"


def _children(*elements: Element) -> _Children:
    found: dict[str, list[Element]] = {}
    for element in elements:
        for child in element:
            found.setdefault(_name(child.tag), []).append(child)
    return found


def _entries(element: Element, base: str) -> Iterator[tuple[Element, str]]:
    """Every entry with its base address, wherever a format or a repair put it."""
    base = _resolved(base, element.get(_XML_BASE, "")) or base
    for child in element:
        name = _name(child.tag)
        if name in _ENTRIES:
            yield child, _resolved(base, child.get(_XML_BASE, "")) or base
        if name in _ENTRIES or name in ("channel", "items"):
            yield from _entries(child, base)


def _entry(element: Element, base: str, feed_authors: tuple[Author, ...]) -> FeedEntry:
    children = _children(element)
    is_atom = _name(element.tag) == "entry"
    stated_id = _first(children, "guid", "id") or element.get(f"{{{NAMESPACES['rdf']}}}about", "").strip()
    raw = as_json(element, _name)
    return FeedEntry(
        id=storable(stated_id),
        link=_link(children, stated_id, base),
        title=one_line(_plain(children, is_atom, "title", "dc:title", "media:title"), LONGEST_TITLE),
        text=_text(children, is_atom),
        published=_written(
            children, "published", "pubdate", "issued", "dcterms:issued", "created", "dcterms:created",
            "updated", "modified", "dcterms:modified", "dc:date",
        ),
        updated=next(iter(_written(children, "updated", "modified", "dcterms:modified")), ""),
        authors=_authors(children) or (feed_authors if is_atom else ()),
        categories=_categories(children),
        comments=_comments(children),
        stated_ids=_written(children, "prism:doi", "arxiv:doi", "dc:identifier", "guid", "id")[:MOST_STATED_IDS],
        raw=bounded_raw(raw if isinstance(raw, dict) else {"#text": raw}),
    )  # fmt: skip


# --- text ----------------------------------------------------------------------------------------------------------


def _text(children: _Children, is_atom: bool) -> str:
    text = _plain(children, is_atom, "content:encoded", "content", "description", "summary", "dc:description")
    if text:
        return text
    groups = children.get("media:group", ())
    return _plain({**_children(*groups), **children}, False, "media:description")


def _plain(children: _Children, is_atom: bool, *names: str) -> str:
    """The plain text of the first of these children that has any."""
    texts = (_plain_one(element, is_atom) for name in names for element in children.get(name, ()))
    return next((text for text in texts if text), "")


def _plain_one(element: Element, is_atom: bool) -> str:
    if len(element):  # XHTML, or HTML that nobody escaped
        return plain_text(_markup(element))
    value, kind = element.text or "", element.get("type", "").strip().lower()
    if element.get("mode", "").lower() == "base64" or kind.startswith(("image/", "audio/", "video/")):
        return ""
    is_escaped = element.get("mode", "").lower() == "escaped"
    # Atom's default is text (RFC 4287, 3.1.1); an end tag in it shows that the author forgot to say “html”.
    is_text = kind in ("text", "text/plain") or (not kind and is_atom and "</" not in value)
    return shortened(storable(value).strip(), LONGEST_TEXT) if is_text and not is_escaped else plain_text(value)


def _markup(element: Element) -> str:
    """What is inside an element, as HTML."""
    pieces = [html.escape(element.text or "")]
    for child in element:
        name = child.tag.rpartition("}")[2]
        pieces.append(f"<{name}>{_markup(child)}</{name}>{html.escape(child.tail or '')}")
    return "".join(pieces)


def _first(children: _Children, *names: str) -> str:
    return next(iter(_written(children, *names)), "")


def _written(children: _Children, *names: str) -> tuple[str, ...]:
    """The texts of all children with these names that have any, as written."""
    texts = ("".join(element.itertext()).strip() for name in names for element in children.get(name, ()))
    return tuple(text for text in texts if text)


# --- links ---------------------------------------------------------------------------------------------------------


def _link(children: _Children, stated_id: str, base: str) -> str:
    """The address of what the entry is about, absolute; empty without one that is http(s)."""
    links = children.get("link", ())
    pages = [link for link in links if (link.get("rel") or "alternate").strip().lower() == "alternate"]
    pages.sort(key=lambda link: "html" not in (link.get("type") or "text/html"))
    candidates = [
        *_written(children, "feedburner:origlink"),
        *(text for link in pages if (text := (link.text or "").strip())),
        *(href for link in pages if (href := (link.get("href") or "").strip())),
    ]
    if not any(element.get("isPermaLink", "true").lower() == "false" for element in children.get("guid", ())):
        candidates += [stated_id] if stated_id.lower().startswith(("http://", "https://")) else []
    resolved = (_resolved(base, candidate) for candidate in candidates)
    return next((link for link in resolved if canonical_url(link)), "")


def _resolved(base: str, reference: str) -> str:
    """An absolute address; empty where the reference is empty or none at all."""
    if not reference.strip():
        return ""
    try:
        return urljoin(base, reference.strip())
    except ValueError:
        return ""


# --- people, categories, counts ------------------------------------------------------------------------------------


def _authors(children: _Children) -> tuple[Author, ...]:
    people = _people([*children.get("author", ()), *children.get("dc:creator", ())])
    if people:
        return people
    return _people(_children(*children.get("source", ())).get("author", ()))


def _people(elements: Sequence[Element]) -> tuple[Author, ...]:
    """Each person once, in order; of mail addresses only those that stand for a name."""
    names = (_person(_first(_children(element), "name") or "".join(element.itertext())) for element in elements)
    return tuple(Author(name) for name in dict.fromkeys(filter(None, names)))


def _person(written: str) -> str:
    name = one_line(written, 300)
    match = _MAIL_AND_NAME.fullmatch(name) or _NAME_AND_MAIL.fullmatch(name)
    return one_line(match[1]) if match else name


def _categories(children: _Children) -> tuple[str, ...]:
    found = (
        one_line(element.get("label") or element.get("term") or "".join(element.itertext()), 200)
        for name in ("category", "dc:subject")
        for element in children.get(name, ())
    )
    return tuple(dict.fromkeys(filter(None, found)))[:_MOST_CATEGORIES]


def _comments(children: _Children) -> int | None:
    return next((int(text) for text in _written(children, "slash:comments", "thr:total") if _is_count(text)), None)


def _interval_seconds(head: _Children) -> int:
    """RSS's ttl in minutes, or the syndication module's period divided by its frequency."""
    minutes = _first(head, "ttl")
    if _is_count(minutes):
        return min(int(minutes) * 60, _LONGEST_INTERVAL_SECONDS)
    frequency = _first(head, "sy:updatefrequency")
    period = _PERIODS_SECONDS.get(_first(head, "sy:updateperiod").lower(), 0)
    return min(period // max(int(frequency) if _is_count(frequency) else 1, 1), _LONGEST_INTERVAL_SECONDS)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9
