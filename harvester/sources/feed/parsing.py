"""A reply to a feed: finds out what came, and says so where it is no feed."""

from __future__ import annotations

import html
import re
from urllib.parse import urljoin

from harvester.errors import FetchError, FetchFailure
from harvester.sources.feed import json_feed, xml_feed
from harvester.sources.feed.decoding import decode
from harvester.sources.feed.entry import Feed
from harvester.sources.identifiers import canonical_url
from harvester.sources.text import one_line
from harvester.sources.xml_guard import IllFormedXmlError, parse_xml, refused_dtd
from harvester.sources.xml_repair import repaired

# What may stand before the root element.
_SPACE = re.compile(r"[\s\ufeff\0]+")
_DOCTYPE = re.compile(
    r"""<!DOCTYPE\s+(?P<root>[^\s>\[]*)(?P<rest>(?:[^>\["']|"[^"]*"|'[^']*')*+)(?P<end>.?)""", re.IGNORECASE | re.DOTALL
)
_HTML_START = re.compile(r"<(?:html|head|body|title|meta)\b", re.IGNORECASE)
# Some servers print warnings or blank lines first.
_FEED_START = re.compile(r"<(?:\?xml\s|rss[\s>]|feed[\s>]|rdf:RDF[\s>])", re.IGNORECASE)
_LONGEST_PREAMBLE = 20_000

_LINK_TAG = re.compile(r"<link\b([^<>]{1,2000})>", re.IGNORECASE)
_LINK_ATTRIBUTE = re.compile(r"""(?<![\w-])(rel|type|href)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_FEED_TYPES = frozenset(("application/rss+xml", "application/atom+xml", "application/feed+json", "application/rdf+xml"))


def parse(body: bytes, *, content_type: str, url: str) -> Feed:
    """The feed in a reply; ``url`` is where it came from. No network.

    Raises FetchError: NOT_A_FEED (permanent) for pages and other documents, MALFORMED for what cannot be read even
    after repair, and for hostile XML.
    """
    text = decode(body, content_type)
    text = text[_after_space(text, 0) :]
    if not text:
        raise FetchError(FetchFailure.MALFORMED, "The reply is empty.")
    if text[0] in "{[":
        return json_feed.read(text, url)
    if text[0] != "<":
        text = _from_feed_start(text)
    document = _without_prolog(text, url)
    try:
        root = parse_xml(document)
    except IllFormedXmlError:
        root = parse_xml(repaired(document, xml_feed.NAMESPACES))
    if xml_feed.is_feed(root):
        return xml_feed.read(root, url)
    name = one_line(root.tag.rpartition("}")[2], 100)
    if name.lower() == "html":
        raise _html_page(text, url)
    raise _not_a_feed(f"This is XML, but no feed: its root element is <{name}>, not <rss>, <feed> or <rdf:RDF>.")


def _from_feed_start(text: str) -> str:
    start = _FEED_START.search(text, 0, _LONGEST_PREAMBLE)
    if start is None:
        raise _not_a_feed("This is neither XML nor JSON, so it is no feed.")
    return text[start.start() :]


def _without_prolog(text: str, url: str) -> str:
    """The document from its root element on. Raises FetchError for an HTML page and for a DTD inside the document.

    RSS 0.91 begins with a DOCTYPE that only names a DTD elsewhere; nobody fetches that, so it is dropped.
    """
    position = 0
    while True:
        position = _after_space(text, position)
        for opening, closing in (("<?", "?>"), ("<!--", "-->")):
            if text.startswith(opening, position):
                end = text.find(closing, position + len(opening))
                position = end + len(closing) if end >= 0 else len(text)
                break
        else:
            doctype = _DOCTYPE.match(text, position)
            if doctype is None:
                break
            if doctype["root"].lower() == "html":
                raise _html_page(text, url)
            if doctype["end"] != ">":
                raise refused_dtd()
            position = doctype.end()
    if _HTML_START.match(text, position):
        raise _html_page(text, url)
    return text[position:]


def _after_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _not_a_feed(sentence: str) -> FetchError:
    return FetchError(FetchFailure.NOT_A_FEED, sentence, permanent=True)


def _html_page(text: str, url: str) -> FetchError:
    found = _named_feed(text, url)
    advice = f"The page names its feed: {found}" if found else "Look for the address of the feed, often near “RSS”."
    return _not_a_feed(f"This is an HTML page, not a feed. {advice}")


def _named_feed(page: str, url: str) -> str:
    """The address in the page's first ``<link rel="alternate">`` to a feed; empty without one."""
    for tag in _LINK_TAG.finditer(page):
        attributes = {
            match[1].lower(): match[2] or match[3] or match[4] or "" for match in _LINK_ATTRIBUTE.finditer(tag[1])
        }
        is_feed = attributes.get("type", "").strip().lower() in _FEED_TYPES
        if not is_feed or "alternate" not in attributes.get("rel", "").lower().split():
            continue
        try:
            address = urljoin(url, html.unescape(attributes.get("href", "")).strip())
        except ValueError:
            continue
        if canonical_url(address) and len(address) <= 300:
            return one_line(address)
    return ""
