"""DOIs, bare and in addresses."""

from __future__ import annotations

import re
from urllib.parse import unquote

from harvester.sources.identifiers.web_address import DOI_HOST, LONGEST_URL, known_host, split

LONGEST_DOI = 500
#: A DOI written as the address of no particular resolver.
DOI_SCHEME = re.compile(r"^\s*(?:doi:|info:doi/|urn:doi:)\s*", re.IGNORECASE)

# The DOI handbook leaves the suffix almost free; Crossref's own advice is the shape below. Their case means nothing.
_DOI = re.compile(r"10\.[0-9]{4,9}(?:\.[0-9]+)*/[^\s\x00-\x1f\x7f-\x9f\"\ud800-\udfff]+")
_DOT_SEGMENT = re.compile(r"/\.{1,2}/")  # as part of a URL it would be swallowed
_DOI_PREFIX = re.compile(r"(?:doi:|info:doi/|urn:doi:|(?:www\.)?(?:dx\.)?doi\.org/)\s*", re.IGNORECASE)
_DOI_PAGE = re.compile(r"/doi/(?:(?:abs|full|pdf|epdf|epub|pdfdirect|book|suppl)/)?(10\.[0-9]{4,9}/.+)", re.IGNORECASE)
_BRACKETS = {")": "(", "]": "[", "}": "{"}


def doi(text: str) -> str | None:
    """The DOI in lower case of a bare DOI, ``doi:…``, doi.org URL or publisher's ``/doi/…`` page; None for others."""
    candidate = text.strip()
    if len(candidate) > LONGEST_URL:
        return None
    if "://" in candidate:
        candidate = _doi_path(candidate)
    match = _DOI.fullmatch(_without_tail(_DOI_PREFIX.sub("", candidate, count=1)))
    found = match[0].lower() if match else ""
    if not found or len(found) > LONGEST_DOI or _DOT_SEGMENT.search(found):
        return None
    return found


def _doi_path(url: str) -> str:
    parts = split(url)
    if not parts:
        return ""
    path = unquote(parts.path)
    if known_host(parts) == DOI_HOST:
        return path.lstrip("/")
    page = _DOI_PAGE.fullmatch(path)
    return page[1].rstrip("/") if page else ""


def _without_tail(candidate: str) -> str:
    """Without the punctuation of the sentence around it; a closing bracket belongs to it if it was opened in it."""
    while candidate:
        last = candidate[-1]
        is_stray_bracket = last in _BRACKETS and candidate.count(last) > candidate.count(_BRACKETS[last])
        if last not in ".,;:!?'" and not is_stray_bracket:
            break
        candidate = candidate[:-1]
    return candidate
