"""RSS 2.0 as WordPress writes it, with the full text and the number of comments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from email.utils import format_datetime
from xml.etree.ElementTree import Element

from harvester.sample.markup import add, document, html
from harvester.sample.outlets import Outlet
from harvester.sample.world import Entry

CONTENT_TYPE = "application/rss+xml; charset=UTF-8"

_NAMESPACES = {
    "xmlns:atom": "http://www.w3.org/2005/Atom",
    "xmlns:content": "http://purl.org/rss/1.0/modules/content/",
    "xmlns:dc": "http://purl.org/dc/elements/1.1/",
    "xmlns:slash": "http://purl.org/rss/1.0/modules/slash/",
}


def render(outlet: Outlet, entries: Sequence[Entry], anchor: date) -> bytes:
    root = Element("rss", {"version": "2.0", **_NAMESPACES})
    channel = add(root, "channel")
    add(channel, "title", outlet.title)
    add(channel, "atom:link", href=outlet.address(anchor), rel="self", type_="application/rss+xml")
    add(channel, "link", outlet.home)
    add(channel, "description", outlet.description)
    add(channel, "lastBuildDate", format_datetime(entries[0].published, usegmt=True))
    add(channel, "language", "en")
    for entry in entries:
        _item(channel, entry)
    return document(root)


def _item(channel: Element, entry: Entry) -> None:
    item = add(channel, "item")
    add(item, "title", entry.title)
    add(item, "link", entry.url)
    for credit in entry.work.credits:
        add(item, "dc:creator", credit.written)
    add(item, "pubDate", format_datetime(entry.published, usegmt=True))
    if entry.work.topic:
        add(item, "category", entry.work.topic)
    add(item, "guid", entry.guid, isPermaLink="true" if entry.guid == entry.url else "false")
    add(item, "description", entry.work.paragraphs[0])
    add(item, "content:encoded", html(entry.work.paragraphs))
    if entry.comments is not None:
        add(item, "slash:comments", str(entry.comments))
