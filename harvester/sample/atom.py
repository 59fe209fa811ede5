"""Atom: as a blog writes it, with the number of comments, and as GitHub lists releases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from xml.etree.ElementTree import Element

from harvester.sample.markup import add, document, html, rfc3339
from harvester.sample.outlets import Outlet
from harvester.sample.world import Entry

CONTENT_TYPE = "application/atom+xml; charset=utf-8"

_ATOM = "http://www.w3.org/2005/Atom"


def render_blog(outlet: Outlet, entries: Sequence[Entry], anchor: date) -> bytes:
    root = Element("feed", {"xmlns": _ATOM, "xmlns:thr": "http://purl.org/syndication/thread/1.0", "xml:lang": "en"})
    add(root, "id", outlet.home)
    add(root, "title", outlet.title)
    add(root, "subtitle", outlet.description)
    add(root, "updated", rfc3339(entries[0].published))
    add(root, "link", rel="self", type_="application/atom+xml", href=outlet.address(anchor))
    add(root, "link", rel="alternate", type_="text/html", href=outlet.home)
    for entry in entries:
        node = add(root, "entry")
        add(node, "id", entry.guid)
        add(node, "title", entry.title)
        add(node, "published", rfc3339(entry.published))
        add(node, "updated", rfc3339(entry.published))
        add(node, "link", rel="alternate", type_="text/html", href=entry.url)
        _add_authors(node, entry)
        if entry.work.topic:
            add(node, "category", term=entry.work.topic)
        add(node, "summary", entry.work.paragraphs[0])
        add(node, "content", html(entry.work.paragraphs), type_="html")
        if entry.comments is not None:
            add(node, "thr:total", str(entry.comments))
    return document(root)


def render_releases(outlet: Outlet, entries: Sequence[Entry], anchor: date) -> bytes:
    """GitHub gives ``updated`` only."""
    repository = outlet.base.removesuffix("/tag/")
    root = Element("feed", {"xmlns": _ATOM, "xmlns:media": "http://search.yahoo.com/mrss/", "xml:lang": "en-US"})
    add(root, "id", f"tag:github.com,2008:{repository}")
    add(root, "link", type_="text/html", rel="alternate", href=repository)
    add(root, "link", type_="application/atom+xml", rel="self", href=outlet.address(anchor))
    add(root, "title", outlet.title)
    add(root, "updated", rfc3339(entries[0].published))
    for entry in entries:
        node = add(root, "entry")
        add(node, "id", entry.guid)
        add(node, "updated", rfc3339(entry.published))
        add(node, "link", rel="alternate", type_="text/html", href=entry.url)
        add(node, "title", entry.title)
        add(node, "content", html(entry.work.paragraphs), type_="html")
        _add_authors(node, entry)
    return document(root)


def _add_authors(node: Element, entry: Entry) -> None:
    for credit in entry.work.credits:
        add(add(node, "author"), "name", credit.written)
