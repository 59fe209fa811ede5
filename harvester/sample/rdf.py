"""RSS 1.0 (RDF) as journals write it, with Dublin Core and PRISM."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from xml.etree.ElementTree import Element

from harvester.sample.markup import add, document, rfc3339
from harvester.sample.outlets import Outlet
from harvester.sample.works import Credit
from harvester.sample.world import Entry

CONTENT_TYPE = "application/rdf+xml; charset=utf-8"

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_NAMESPACES = {
    "xmlns": "http://purl.org/rss/1.0/",
    "xmlns:rdf": _RDF,
    "xmlns:dc": "http://purl.org/dc/elements/1.1/",
    "xmlns:prism": "http://prismstandard.org/namespaces/basic/2.0/",
}


def render(outlet: Outlet, entries: Sequence[Entry], anchor: date) -> bytes:
    root = Element("rdf:RDF", _NAMESPACES)
    channel = add(root, "channel", **{"rdf:about": outlet.address(anchor)})
    add(channel, "title", outlet.title)
    add(channel, "link", outlet.home)
    add(channel, "description", outlet.description)
    add(channel, "dc:date", rfc3339(entries[0].published))
    contents = add(add(channel, "items"), "rdf:Seq")
    for entry in entries:
        add(contents, "rdf:li", **{"rdf:resource": entry.guid})
        _item(root, outlet, entry)
    return document(root)


def _item(root: Element, outlet: Outlet, entry: Entry) -> None:
    item = add(root, "item", **{"rdf:about": entry.guid})
    add(item, "title", entry.title)
    add(item, "link", entry.url)
    add(item, "description", " ".join(entry.work.paragraphs))
    for credit in entry.work.credits:
        add(item, "dc:creator", _family_first(credit))
    add(item, "dc:date", rfc3339(entry.published))
    add(item, "dc:identifier", f"doi:{entry.doi}")
    add(item, "prism:doi", entry.doi)
    add(item, "prism:publicationName", outlet.title)


def _family_first(credit: Credit) -> str:
    """``J. Müller`` as ``Müller, J.``."""
    return f"{credit.person.family}, {credit.written.removesuffix(credit.person.family).strip()}"
