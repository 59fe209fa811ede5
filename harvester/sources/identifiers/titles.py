"""Titles as identifiers, together with who and when."""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONGEST_KEY = 500
_FEWEST_WORDS = 3  # “Untitled”, “Error”, “Weekly links” say nothing about which work it is
_GENERATIONS = frozenset(("jr", "sr", "ii", "iii", "iv"))


def title_key(title: str, first_author: str, year: int | None) -> str:
    """Title, first author's surname and year as one key of at most 500 characters; case, accents and signs ignored.

    Empty where any of the three is unknown, or the title has fewer than three words.
    """
    words, surname = _words(title), _surname(first_author)
    if len(words) < _FEWEST_WORDS or not surname or not year or year < 0:
        return ""
    key = f"{' '.join(words)}|{surname}|{year}"
    return key if len(key) <= LONGEST_KEY else f"{hashlib.sha256(key.encode()).hexdigest()}|{year}"


def _surname(name: str) -> str:
    before_comma, comma, _ = name.partition(",")
    words = _words(before_comma if comma else name)
    while len(words) > 1 and words[-1] in _GENERATIONS:
        words.pop()
    return words[-1] if words else ""


def _words(text: str) -> list[str]:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    unaccented = "".join(character for character in decomposed if not unicodedata.combining(character))
    return re.findall(r"[^\W_]+", unaccented)
