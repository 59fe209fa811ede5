"""Builds the documents of the sample world: XML with the prefixes real services use, and paragraphs as HTML.

Tags are written with their prefix (``dc:creator``) and namespaces as plain attributes of the root, because
ElementTree would otherwise invent prefixes of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from html import escape
from xml.etree.ElementTree import Element, SubElement, tostring

#: A full stop after an address ends the sentence.
_ADDRESS = re.compile(r"https?://[^\s<]+?(?=[.,;]?(?:\s|$))")


def add(parent: Element, tag: str, text: str = "", **attributes: str) -> Element:
    """Append a child and return it; a trailing underscore of an attribute's name is dropped (``type_``)."""
    child = SubElement(parent, tag, {name.rstrip("_"): value for name, value in attributes.items()})
    child.text = text or None
    return child


def document(root: Element) -> bytes:
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def html(paragraphs: Sequence[str]) -> str:
    """Paragraphs as HTML, with addresses as links."""
    return "\n".join(f"<p>{_ADDRESS.sub(_linked, escape(text, quote=False))}</p>" for text in paragraphs)


def rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _linked(match: re.Match[str]) -> str:
    return f'<a href="{match[0]}">{match[0]}</a>'
