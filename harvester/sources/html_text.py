"""The readable text of HTML from outside; reads hostile markup in time proportional to its length."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from harvester.sources.text import LONGEST_READ, LONGEST_TEXT, shortened, storable

# Python's own html.parser needs quadratic time for some malformed input (CVE-2025-6069), so this reads tags itself. No
# alternative below can run past the next “<”, and possessive quantifiers never give back: each character is seen once.
_TAG = re.compile(r"""</?([a-zA-Z][a-zA-Z0-9:-]*+)(?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+>""")
_TAG_BEGINNING = re.compile(r"</?([a-zA-Z][a-zA-Z0-9:-]*+)")
_SKIPPED = frozenset(("iframe", "math", "script", "style", "svg", "template"))
_END_OF = {name: re.compile(rf"</{name}\b", re.IGNORECASE) for name in _SKIPPED}
_BLOCKS = frozenset(
    (
        "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "dir", "div",
        "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
        "head", "header", "hgroup", "hr", "html", "legend", "li", "main", "menu", "nav", "ol", "p", "pre",
        "section", "summary", "table", "tbody", "tfoot", "thead", "title", "tr", "ul",
    )
)  # fmt: skip
_CELLS = frozenset(("td", "th"))
_INLINE = frozenset(
    (
        "a", "abbr", "acronym", "applet", "area", "audio", "b", "base", "basefont", "bdi", "bdo", "big", "br", "button",
        "canvas", "caption", "cite", "code", "col", "colgroup", "data", "datalist", "del", "dfn", "em", "embed",
        "font", "frame", "frameset", "i", "img", "input", "ins", "kbd", "label", "link", "map", "mark", "meta",
        "meter", "noframes", "noscript", "object", "optgroup", "option", "output", "param", "picture", "progress",
        "q", "rp", "rt", "ruby", "s", "samp", "select", "slot", "small", "source", "span", "strike", "strong",
        "sub", "sup", "textarea", "time", "track", "tt", "u", "var", "video", "wbr",
    )
)  # fmt: skip
_ELEMENTS = _SKIPPED | _BLOCKS | _CELLS | _INLINE

_SPACES = re.compile(r"[ \t\r\f\v\xa0\u2000-\u200b\u3000]+")
_AROUND_BREAK = re.compile(r" ?\n ?")
_BLANK_LINES = re.compile(r"\n{3,}")
# html.unescape turns digits into a number before it looks at their size, which fails for thousands of them.
_ENDLESS_REFERENCE = re.compile(r"&#[xX]?[0-9a-fA-F]{9,};?")


def plain_text(markup: str, longest: int = LONGEST_TEXT) -> str:
    """Paragraphs separated by blank lines, entities decoded, scripts and styles left out, at most ``longest`` long.

    Only names of HTML elements (and those with a hyphen or colon) count as tags, so that “Vec<T>” stays what it is.
    """
    markup = storable(markup).replace("<![CDATA[", "").replace("]]>", "")  # some feeds wrap twice
    text = "".join(_bounded(_pieces(markup), LONGEST_READ))[:LONGEST_READ]
    text = _AROUND_BREAK.sub("\n", _SPACES.sub(" ", text))
    return shortened(_BLANK_LINES.sub("\n\n", text).strip(), longest)


def _bounded(pieces: Iterator[str], longest: int) -> Iterator[str]:
    """The pieces until they are ``longest`` characters or more: what lies far beyond what is kept is not even read."""
    length = 0
    for piece in pieces:
        yield piece
        length += len(piece)
        if length >= longest:
            return


def _pieces(markup: str) -> Iterator[str]:
    position, is_preformatted = 0, False
    while position < len(markup):
        start = markup.find("<", position)
        if start < 0:
            start = len(markup)
        if start > position:
            run = markup[position : min(start, position + LONGEST_READ)]
            yield _unescaped(run if is_preformatted else _folded(run))
        if start == len(markup):
            return
        position, name, is_end = _after_markup(markup, start)
        if not name:
            yield markup[start:position]
            continue
        if name == "pre":
            is_preformatted = not is_end
        yield _space_for(name, is_end)


def _after_markup(markup: str, start: int) -> tuple[int, str, bool]:
    """Where what begins at ``start`` ends, the element's name and whether it is its end tag; no name: it is text."""
    for opening, closing in (("<!--", "-->"), ("<!", ">"), ("<?", ">")):
        if markup.startswith(opening, start):
            end = markup.find(closing, start + len(opening))
            return (end + len(closing) if end >= 0 else len(markup)), "comment", False
    tag = _TAG.match(markup, start) or _TAG_BEGINNING.match(markup, start)
    name = tag[1].lower() if tag else ""
    if tag is None or not (name in _ELEMENTS or "-" in name or ":" in name):
        return start + 1, "", False
    end = tag.end() if markup[tag.end() - 1] == ">" else (markup.find(">", start) + 1 or len(markup))
    is_end = markup.startswith("/", start + 1)
    if name in _SKIPPED and not is_end and not markup.startswith("/", end - 2):
        closing_tag = _END_OF[name].search(markup, end)
        return (closing_tag.start() if closing_tag else len(markup)), name, is_end
    return end, name, is_end


def _space_for(name: str, is_end: bool) -> str:
    if name in _BLOCKS:
        return "\n" if name in ("li", "tr", "dt", "dd") else "\n\n"
    if name in _CELLS:
        return " "
    return "\n" if name == "br" and not is_end else ""


def _folded(text: str) -> str:
    """Line breaks in HTML are spaces."""
    return text.replace("\r", " ").replace("\n", " ")


def _unescaped(text: str) -> str:
    return storable(html.unescape(_ENDLESS_REFERENCE.sub("", text))) if "&" in text else text
