"""The ids of arXiv, old and new, bare and in addresses."""

from __future__ import annotations

import re
from urllib.parse import unquote

from harvester.sources.identifiers.web_address import ARXIV_HOST, DOI_HOST, LONGEST_URL, known_host, split

# https://info.arxiv.org/help/arxiv_identifier.html: YYMM.NNNN since April 2007, YYMM.NNNNN since January 2015; before
# that archive/YYMMNNN, with or without a subject class (math.GT/0309136) that is no part of the identity.
_NEW_ID = r"(?P<new>(?P<new_month>[0-9]{2}(?:0[1-9]|1[0-2]))\.[0-9]{4,5})"
_ARCHIVES = (
    "acc-phys adap-org alg-geom ao-sci astro-ph atom-ph bayes-an chao-dyn chem-ph cmp-lg comp-gas cond-mat cs dg-ga "
    "funct-an gr-qc hep-ex hep-lat hep-ph hep-th math math-ph mtrl-th nlin nucl-ex nucl-th patt-sol physics plasm-ph "
    "q-alg q-bio quant-ph solv-int supr-con"
)
_OLD_ID = (
    rf"(?P<archive>{'|'.join(_ARCHIVES.split())})(?:\.[a-z-]{{2,20}})?/"
    r"(?P<number>[0-9]{2}(?:0[1-9]|1[0-2])[0-9]{3})"
)
_ARXIV_ID = re.compile(rf"(?:{_NEW_ID}|{_OLD_ID})(?:v(?P<version>[1-9][0-9]{{0,3}}))?", re.IGNORECASE)
_ARXIV_PREFIX = re.compile(r"(?:arxiv:|oai:arxiv\.org:|info:arxiv/|10\.48550/arxiv\.)\s*", re.IGNORECASE)
_ARXIV_PATH = re.compile(r"/(?:abs|pdf|html|format|ps|e-print|src|tex)/(.+?)(?:\.pdf|\.ps(?:\.gz)?)?/?", re.IGNORECASE)
_FIRST_NEW_MONTH, _FIRST_FIVE_DIGIT_MONTH = "0704", "1501"


def arxiv_id(text: str) -> str | None:
    """The id without version of a bare arXiv id, ``arXiv:…``, arXiv URL or arXiv DOI; None for anything else.

    Old ids come without their subject class: ``math.GT/0309136v2`` gives ``math/0309136``.
    """
    match = _arxiv_match(text)
    if match is None:
        return None
    if match["new"] is None:
        return f"{match['archive'].lower()}/{match['number']}"
    is_five_digit = len(match["new"]) == len("1501.00001")
    month = match["new_month"]
    if month < _FIRST_NEW_MONTH or is_five_digit != (month >= _FIRST_FIVE_DIGIT_MONTH):
        return None
    return str(match["new"])


def arxiv_version(text: str) -> int | None:
    """The version that an arXiv id or URL names; None where it names none."""
    if arxiv_id(text) is None:
        return None
    match = _arxiv_match(text)
    return int(match["version"]) if match and match["version"] else None


def _arxiv_match(text: str) -> re.Match[str] | None:
    candidate = text.strip()
    if len(candidate) > LONGEST_URL:
        return None
    if "://" in candidate:
        candidate = _arxiv_path(candidate)
    return _ARXIV_ID.fullmatch(_ARXIV_PREFIX.sub("", candidate, count=1))


def _arxiv_path(url: str) -> str:
    """The part of an arXiv URL or of an arXiv DOI's URL that should be an id; empty for other URLs."""
    parts = split(url)
    host = known_host(parts) if parts else ""
    if not parts or not host:
        return ""
    if host == DOI_HOST:
        return unquote(parts.path.lstrip("/")) if "arxiv." in parts.path.lower() else ""
    path = _ARXIV_PATH.fullmatch(unquote(parts.path))
    return path[1] if host == ARXIV_HOST and path else ""
