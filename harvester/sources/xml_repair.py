"""Makes well-formed XML of a feed that is not: what browsers do for HTML, in time proportional to its length.

A lone “&” or “<” becomes text, HTML's entities become characters, missing end tags are added, those too many dropped,
prefixes that nobody declared are declared, characters that XML forbids are removed.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from html.entities import html5
from typing import Final

from harvester.sources.xml_guard import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_ELEMENTS,
    refused_attributes,
    refused_depth,
    refused_dtd,
    refused_size,
)

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_.-]*+(?::[A-Za-z_][A-Za-z0-9_.-]*+)?+"
# As in html_text: nothing runs past the next “<”, nothing is given back.
_TAG = re.compile(rf"""<(/?)({_NAME})((?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+)>""")
_MARKUP_START = re.compile("<(?=[A-Za-z_/!?])")
_ATTRIBUTE = re.compile(rf"""(?<![A-Za-z0-9_.:-])({_NAME})\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++))""")
_AMPERSAND = re.compile(r"&(?:#([0-9]{1,7}|[xX][0-9a-fA-F]{1,6});|([A-Za-z][A-Za-z0-9]{1,31};))?")
_MOST_MARKUPS = 2 * MAX_ELEMENTS  # each element has a start and an end
_DECLARATION = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_RESERVED = frozenset(
    ("", "xmlns:xml", "xmlns:xmlns", "http://www.w3.org/XML/1998/namespace", "http://www.w3.org/2000/xmlns/")
)
_OF_XML = frozenset(("amp;", "lt;", "gt;", "quot;", "apos;"))

# HTML that was not escaped: elements that have no end tag, and those that end where the next one begins.
_VOID = frozenset(("br", "hr", "img", "input", "meta", "wbr"))
_NEVER_IN_THEIR_LIKE = frozenset(("p", "li", "dt", "dd", "td", "tr", "option"))
_ENTRIES = frozenset(("item", "entry"))
_FIELDS = frozenset(("title", "link", "guid", "id", "pubdate", "published", "updated", "description", "summary"))


def repaired(text: str, namespaces: Mapping[str, str]) -> str:
    """A well-formed document without XML declaration; ``namespaces`` are the URIs of prefixes that are well known.

    Raises FetchError for what no repair may let through: a DTD, elements nested too deeply, too many elements
    or attributes.
    """
    return _Repair(_FORBIDDEN.sub("", text), namespaces).document()


class _Repair:
    def __init__(self, text: str, namespaces: Mapping[str, str]) -> None:
        self._text = text
        self._namespaces = namespaces
        self._pieces: list[str] = []
        self._open: list[str] = []
        self._prefixes: set[str] = set()
        self._root: tuple[str, str] | None = None

    def document(self) -> str:
        position = count = 0
        while found := _MARKUP_START.search(self._text, position):
            self._add_text(self._text[position : found.start()])
            position = self._markup(found.start())
            count += 1
            if count > _MOST_MARKUPS:
                raise refused_size()
        self._add_text(self._text[position:])
        self._close_down_to(0)
        return "".join((self._root_tag(), *self._pieces)) if self._root else ""

    def _markup(self, start: int) -> int:
        """Take in what begins with the “<” at ``start``; where it ends."""
        if self._text.startswith("<![CDATA[", start):
            end = self._text.find("]]>", start)
            self._add_escaped(self._text[start + 9 : end if end >= 0 else len(self._text)])
            return end + 3 if end >= 0 else len(self._text)
        for opening, closing in (("<!--", "-->"), ("<?", "?>")):
            if self._text.startswith(opening, start):
                end = self._text.find(closing, start + len(opening))
                return end + len(closing) if end >= 0 else len(self._text)
        if _DECLARATION.match(self._text, start):
            raise refused_dtd()
        tag = _TAG.match(self._text, start)
        if tag is None or tag[2].startswith("xmlns:"):
            self._add_escaped("<")
            return start + 1
        is_end, name, attributes = bool(tag[1]), tag[2], tag[3]
        if is_end:
            self._end(name)
        else:
            self._begin(name, attributes)
        return tag.end()

    def _begin(self, name: str, attributes: str) -> None:
        if self._root and not self._open:
            return  # after the root's end
        plain = name.lower()
        if plain in _ENTRIES:
            self._end(name)
        elif self._open and _ends_where_begins(self._open[-1].lower(), plain):
            self._close_down_to(len(self._open) - 1)
        if len(self._open) >= MAX_DEPTH:
            raise refused_depth()
        written = self._attributes(attributes)
        self._note_prefix(name)
        if self._root is None:
            self._root = name, written
        else:
            self._pieces.append(f"<{name}{written}>")
        self._open.append(name)
        if attributes.rstrip().endswith("/") or plain in _VOID:
            self._close_down_to(len(self._open) - 1)

    def _end(self, name: str) -> None:
        """Close the innermost open element of this name, whatever the case, and all inside it; none: nothing."""
        for index in range(len(self._open) - 1, -1, -1):
            if self._open[index].lower() == name.lower():
                self._close_down_to(index)
                return

    def _close_down_to(self, depth: int) -> None:
        while len(self._open) > depth:
            self._pieces.append(f"</{self._open.pop()}>")

    def _attributes(self, written: str) -> str:
        found: dict[str, str] = {}
        for match in _ATTRIBUTE.finditer(written):
            value = next((value for value in match.groups()[1:] if value is not None), "")
            name = match[1]
            is_declaration = name.partition(":")[0] == "xmlns"
            if name in found or (is_declaration and (name in _RESERVED or value in _RESERVED)):
                continue
            if not is_declaration:
                self._note_prefix(name)
            if len(found) >= MAX_ATTRIBUTES:
                raise refused_attributes()
            found[name] = _AMPERSAND.sub(_reference, value).replace("<", "&lt;").replace('"', "&quot;")
        return "".join(f' {name}="{value}"' for name, value in found.items())

    def _note_prefix(self, name: str) -> None:
        prefix, colon, _ = name.partition(":")
        if colon and prefix != "xml":
            self._prefixes.add(prefix)

    def _add_text(self, text: str) -> None:
        if self._open and text:
            self._pieces.append(_AMPERSAND.sub(_reference, text).replace("<", "&lt;").replace("]]>", "]]&gt;"))

    def _add_escaped(self, text: str) -> None:
        if self._open:
            self._pieces.append(html.escape(text, quote=False))

    def _root_tag(self) -> str:
        """The root's start tag; it declares every prefix that occurs, so that none is left undeclared further down."""
        name, attributes = self._root or ("", "")
        declared = "".join(
            f' xmlns:{prefix}="{self._namespaces.get(prefix, f"urn:undeclared:{prefix}")}"'
            for prefix in sorted(self._prefixes)
            if f" xmlns:{prefix}=" not in attributes
        )
        return f"<{name}{attributes}{declared}>"


def _ends_where_begins(innermost: str, name: str) -> bool:
    """Whether an element that was left open cannot have this one inside it."""
    return (name in _NEVER_IN_THEIR_LIKE and innermost == name) or (name in _FIELDS and innermost in _FIELDS)


def _reference(match: re.Match[str]) -> str:
    """A reference that XML knows, in place of one that it may not."""
    number, name = match[1], match[2]
    if number:
        code = int(number[1:], 16) if number[0] in "xX" else int(number)
        character = chr(code) if code <= 0x10FFFF else ""
        return f"&#{code};" if character and not _FORBIDDEN.match(character) else ""
    if name in _OF_XML:
        return match[0]
    if name and name in html5:
        return html.escape(html5[name])
    return "&amp;" + (name or "")
