"""How tests read a page: its elements as a browser would see them, not as text."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Reader(HTMLParser):
    """Collects every element with its attributes and the text directly and indirectly inside it."""

    elements: list[Element] = field(default_factory=list)

    _BLOCKS = frozenset({"td", "th", "small", "li", "p", "dt", "dd"})  # what a browser sets apart
    _VOID = frozenset({"meta", "link", "input", "br", "rect"})

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._set_apart(tag)
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in self._VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().tag != tag:
            pass
        self._set_apart(tag)

    def _set_apart(self, tag: str) -> None:
        if tag in self._BLOCKS:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data


def elements(html: bytes, tag: str = "", **attributes: str) -> list[Element]:
    """The elements with this tag and these attributes; ``class_`` stands for class, ``_`` for a hyphen."""
    reader = Reader()
    reader.feed(html.decode())
    wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    return [
        element
        for element in reader.elements
        if (not tag or element.tag == tag)
        and all(element.attributes.get(name) == value for name, value in wanted.items())
    ]


def text_of(html: bytes, tag: str = "main") -> str:
    """The words of the page's main part, white space folded."""
    return " ".join(" ".join(element.text for element in elements(html, tag)).split())
