"""Strings from outside made fit to store: no characters a database refuses, one line where one is meant, bounded."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

LONGEST_EXTERNAL_ID = 500
LONGEST_TITLE = 1000
LONGEST_RAW = 64 * 1024  # characters of an entry as it was read, written as JSON
LONGEST_TEXT = 50_000  # characters; what is read and analysed of an entry, about twenty printed pages
LONGEST_READ = 4 * LONGEST_TEXT  # characters looked at to find LONGEST_TEXT of them; the others may be white space

# Control characters drive terminals (ECMA-48); of them only the tab and the line break mean something in a text. Those
# from 80 to 9f stay all the same: in recorded replies they are the halves of wrongly decoded letters, not ours to lose.
# PostgreSQL stores neither NUL nor half of a surrogate pair, in text and in JSON alike.
_UNSTORABLE = re.compile("[\0-\x08\x0e-\x1f\x7f\ud800-\udfff]")
_TERMINAL_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f]")
_LINE_BREAK = re.compile("\r\n|[\r\v\f\x85]")
_DEEPEST_JSON = 64
_MOST_NAMED_LEFT_OUT = 20


def storable(text: str) -> str:
    """The text without ASCII control characters but tabs and line breaks, all ``\\n``, and without lone surrogates."""
    return _UNSTORABLE.sub("", _LINE_BREAK.sub("\n", text))


def for_terminal(text: str) -> str:
    """Without anything that could drive the terminal it is printed on; line breaks and tabs stay."""
    return _TERMINAL_CONTROL.sub("", text)


def one_line(text: str, longest: int | None = None) -> str:
    """Storable, runs of white space made one space, cut with an ellipsis to at most ``longest`` characters."""
    line = " ".join(storable(text[:LONGEST_READ]).split())
    return line if longest is None else shortened(line, longest)


def shortened(text: str, longest: int) -> str:
    """At most ``longest`` characters; what was cut shows as an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def bounded_id(identifier: str, longest: int = LONGEST_EXTERNAL_ID) -> str:
    """An identifier of at most ``longest`` characters: a longer one keeps its beginning and gets its SHA-256."""
    if len(identifier) <= longest:
        return identifier
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{identifier[: longest - len(digest) - 1]}#{digest}"


def storable_json(value: Any, _depth: int = 0) -> Any:
    """The same JSON value with storable strings, and null for what JSON cannot say or nests too deeply."""
    if _depth > _DEEPEST_JSON:
        return None
    if isinstance(value, str):
        return storable(value)[:LONGEST_TEXT]
    if isinstance(value, dict):
        return {storable(str(key)): storable_json(inner, _depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [storable_json(inner, _depth + 1) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool | int) else None


def bounded_raw(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a JSON object that fit into LONGEST_RAW, the small ones first; ``#left_out`` names the others."""
    if _length(entry) <= LONGEST_RAW:
        return dict(entry)
    kept: dict[str, Any] = {}
    left_out: list[str] = []
    left = LONGEST_RAW
    for length, name in sorted((_length(value) + len(name), name) for name, value in entry.items()):
        if length <= left:
            kept[name] = entry[name]
            left -= length
        else:
            left_out.append(shortened(name, 100))
    return kept | {"#left_out": left_out[:_MOST_NAMED_LEFT_OUT]}


def _length(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False))
