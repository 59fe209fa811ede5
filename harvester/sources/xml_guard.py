"""The guard before every XML document from outside: no DTD, a cap on depth, on elements and on attributes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from harvester.errors import FetchError, FetchFailure
from harvester.sources.text import LONGEST_TEXT, storable

MAX_DEPTH = 64  # feeds need about 20, XHTML inside them included
MAX_ELEMENTS = 250_000  # and attributes; ten thousand entries of a rich feed, while a full page of arXiv has some 5,000

MAX_ATTRIBUTES = 1_000  # of one element, which the parser gathers before anybody can count them

_MOST_RAW_CHILDREN = 5_000
_PIECES_JOINED = 1_000  # of text: the parser gives every line break and reference alone, each a string of its own

# Nothing runs past the next “<”, which no attribute may hold, and nothing is given back: linear.
_ATTRIBUTE = r"""\s++[^\s=<>/"']++\s*+=\s*+(?:"[^"<]*+"|'[^'<]*+')"""
_OVERLOADED_TAG = re.compile(rf"<[^\s<>/!?=]++(?:{_ATTRIBUTE}){{{MAX_ATTRIBUTES + 1}}}")
_OVERLOADED_TAG_IN_BYTES = re.compile(_OVERLOADED_TAG.pattern.encode())


class IllFormedXmlError(FetchError):
    """The document breaks the rules of XML; repairing it may help."""

    def __init__(self, where: str) -> None:
        super().__init__(FetchFailure.MALFORMED, f"This is no well-formed XML: {where}.")


def _refused(what: str) -> FetchError:
    """The error for XML, well-formed or not, that no repair may let through."""
    return FetchError(FetchFailure.MALFORMED, f"This XML is refused: {what}.")


def refused_dtd() -> FetchError:
    return _refused("it has a document type definition, which may hide an attack")


def refused_depth() -> FetchError:
    return _refused(f"its elements are nested more than {MAX_DEPTH} deep")


def refused_size() -> FetchError:
    return _too_large(f"it has more than {MAX_ELEMENTS:,} elements and attributes")


def refused_attributes() -> FetchError:
    return _too_large(f"one of its elements has more than {MAX_ATTRIBUTES:,} attributes")


def _too_large(what: str) -> FetchError:
    return FetchError(FetchFailure.TOO_LARGE, f"This XML is not read: {what}.")


def parse_xml(document: bytes | str) -> Element:
    """The root element.

    Bytes are decoded as their XML declaration says, text whatever it says. Raises IllFormedXmlError, or FetchError for
    a document that is refused.
    """
    is_text = isinstance(document, str)
    if _has_overloaded_tag(document):
        raise refused_attributes()
    parser = XMLParser(target=_GuardedBuilder(), encoding="utf-8" if is_text else None)  # noqa: S314 - the builder is the defence
    try:
        # In one piece: expat needs quadratic time for a long token that comes in many (CVE-2023-52425).
        parser.feed(document.encode("utf-8", "replace") if isinstance(document, str) else document)
        root: Element = parser.close()
    except ParseError as error:
        raise IllFormedXmlError(storable(str(error))) from error
    except (ValueError, LookupError) as error:  # an encoding that is unknown, or has several bytes a character
        raise IllFormedXmlError("its declared encoding cannot be read") from error
    return root


def as_json(element: Element, name: Callable[[str], str]) -> Any:
    """An element as a JSON value: its text if it has nothing else, else an object of attributes (“@name”), text
    (“#text”) and children; a list where several children have one name. ``name`` shortens qualified names.
    """
    text = storable((element.text or "").strip())[:LONGEST_TEXT]
    if not len(element) and not element.attrib:
        return text
    found: dict[str, Any] = {f"@{name(key)}": storable(value)[:LONGEST_TEXT] for key, value in element.attrib.items()}
    if text:
        found["#text"] = text
    several: dict[str, list[Any]] = {}
    for child in element[:_MOST_RAW_CHILDREN]:
        several.setdefault(name(child.tag), []).append(as_json(child, name))
    return found | {key: values if len(values) > 1 else values[0] for key, values in several.items()}


def _has_overloaded_tag(document: bytes | str) -> bool:
    if isinstance(document, str):
        return _OVERLOADED_TAG.search(document) is not None
    return _OVERLOADED_TAG_IN_BYTES.search(document) is not None


class _GuardedBuilder(TreeBuilder):
    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._elements = 0
        self._pieces: list[str] = []

    def start(self, tag: Any, attrs: Mapping[Any, Any], /) -> Element:
        self._depth += 1
        self._elements += 1 + len(attrs)
        if self._depth > MAX_DEPTH:
            raise refused_depth()
        if self._elements > MAX_ELEMENTS:
            raise refused_size()
        self._join_pieces()
        return super().start(tag, dict(attrs))

    def end(self, tag: Any, /) -> Element:
        self._depth -= 1
        self._join_pieces()
        return super().end(tag)

    def data(self, data: str, /) -> None:
        self._pieces.append(data)
        if len(self._pieces) >= _PIECES_JOINED:
            self._join_pieces()

    def _join_pieces(self) -> None:
        if self._pieces:
            super().data("".join(self._pieces))
            self._pieces.clear()

    def doctype(self, *_: str | None) -> None:
        raise refused_dtd()
