"""Canonical forms: when two addresses, ids or titles mean the same work, they become the same string here."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from urllib.parse import SplitResult, quote, unquote, urlsplit

from harvester.models import ArtifactKind, IdentifierScheme
from harvester.sources.base import Item
from harvester.sources.text import bounded_id

LONGEST_URL = 2000
LONGEST_IDENTIFIER = 500

# --- arXiv ---------------------------------------------------------------------------------------------------------

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
    parts = _split(url)
    host = _known_host(parts) if parts else ""
    if not parts or not host:
        return ""
    if host == _DOI_HOST:
        return unquote(parts.path.lstrip("/")) if "arxiv." in parts.path.lower() else ""
    path = _ARXIV_PATH.fullmatch(unquote(parts.path))
    return path[1] if host == _ARXIV_HOST and path else ""


# --- DOI -----------------------------------------------------------------------------------------------------------

# The DOI handbook leaves the suffix almost free; Crossref's own advice is the shape below. Their case means nothing.
_DOI = re.compile(r"10\.[0-9]{4,9}(?:\.[0-9]+)*/[^\s\x00-\x1f\x7f\"<>\ud800-\udfff]+")
_DOT_SEGMENT = re.compile(r"/\.{1,2}/")  # as part of a URL it would be swallowed
_DOI_PREFIX = re.compile(r"(?:doi:|info:doi/|urn:doi:|(?:www\.)?(?:dx\.)?doi\.org/)\s*", re.IGNORECASE)
_DOI_PAGE = re.compile(r"/doi/(?:(?:abs|full|pdf|epdf|epub|pdfdirect|book|suppl)/)?(10\.[0-9]{4,9}/.+)", re.IGNORECASE)
_DOI_SCHEME = re.compile(r"^\s*(?:doi:|info:doi/|urn:doi:)\s*", re.IGNORECASE)
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
    if not found or len(found) > LONGEST_IDENTIFIER or _DOT_SEGMENT.search(found):
        return None
    return found


def _doi_path(url: str) -> str:
    parts = _split(url)
    if not parts:
        return ""
    path = unquote(parts.path)
    if _known_host(parts) == _DOI_HOST:
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


# --- URLs ----------------------------------------------------------------------------------------------------------

_ARXIV_HOST, _DOI_HOST, _GITHUB_HOST = "arxiv.org", "doi.org", "github.com"
_ALIASES = {
    "www.arxiv.org": _ARXIV_HOST,
    "export.arxiv.org": _ARXIV_HOST,
    "browse.arxiv.org": _ARXIV_HOST,
    "ar5iv.labs.arxiv.org": _ARXIV_HOST,
    "ar5iv.org": _ARXIV_HOST,
    "xxx.lanl.gov": _ARXIV_HOST,
    "dx.doi.org": _DOI_HOST,
    "www.doi.org": _DOI_HOST,
    "www.github.com": _GITHUB_HOST,
}
#: Hosts that answer http with the same page over https, with all that ends in a dot and one of the suffixes.
_SECURE_HOSTS = frozenset(
    (
        "arxiv.org", "doi.org", "github.com", "gist.github.com", "gitlab.com", "huggingface.co", "openreview.net",
        "aclanthology.org", "news.ycombinator.com", "medium.com", "pypi.org", "zenodo.org", "www.nature.com",
        "www.science.org", "dl.acm.org", "ieeexplore.ieee.org", "link.springer.com", "www.biorxiv.org",
        "www.medrxiv.org", "proceedings.mlr.press", "papers.nips.cc", "www.semanticscholar.org", "www.youtube.com",
        "youtu.be", "twitter.com", "x.com", "www.reddit.com", "stackoverflow.com", "www.bbc.com", "www.nytimes.com",
        "www.theguardian.com", "lwn.net",
    )
)  # fmt: skip
_SECURE_SUFFIXES = ("github.io", "wikipedia.org", "readthedocs.io", "substack.com", "medium.com", "stackexchange.com")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_TRACKING = frozenset(
    (
        "fbclid", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "msclkid", "yclid", "twclid", "ttclid",
        "li_fat_id", "igsh", "igshid", "mc_cid", "mc_eid", "_ga", "_gl", "_hsenc", "_hsmi", "__hssc", "__hstc",
        "__hsfp", "hsctatracking", "vero_id", "vero_conv", "oly_anon_id", "oly_enc_id", "mkt_tok", "wt_mc",
        "wt_zmc", "at_medium", "at_campaign", "at_custom1", "at_custom2", "at_custom3", "at_custom4", "ref_src",
        "ref_url", "cmpid", "s_cid", "ncid", "ns_mchannel", "ns_campaign", "ns_source", "ns_linkname",
        "pk_campaign", "pk_kwd", "pk_source", "pk_medium", "mtm_campaign", "mtm_source", "mtm_medium", "mtm_kwd",
        "rss_id", "__twitter_impression", "share_id", "trk",
    )
)  # fmt: skip
_TRACKING_PREFIX = "utm_"
_HOST = re.compile(r"[^\s\x00-\x20\x7f/?#@\\:\[\]%]{1,253}|\[[0-9a-f:.]{2,45}\]")
_ESCAPE = re.compile("%([0-9a-fA-F]{2})")
_LONE_PERCENT = re.compile("%(?![0-9a-fA-F]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")  # RFC 3986, 2.3
_PATH_SAFE = "/%:@!$&'()*+,;=~[]"
_GITHUB_REPOSITORY = re.compile(r"/([A-Za-z0-9-]{1,100})/([A-Za-z0-9._-]{1,100}?)(?:\.git)*(/.*)?", re.IGNORECASE)


def canonical_url(url: str) -> str:
    """The one form of all addresses that mean the same page; empty for what is no http(s) URL. Idempotent.

    Lower-case scheme and host, no default port, user name, tracking parameters or fragment (but ``#!…`` and ``#/…``,
    which name a page of its own), no slash at the end of a path, https where the host is known to have it. Forms of
    arXiv, GitHub and DOI addresses become ``https://arxiv.org/abs/ID``, ``https://github.com/owner/name`` and
    ``https://doi.org/DOI``.
    """
    parts = _split(_DOI_SCHEME.sub("https://doi.org/", url))
    if parts is None:
        return ""
    found = _of_known_host(parts) or _general(parts)
    return found if len(found) <= LONGEST_URL else ""


def _split(url: str) -> SplitResult | None:
    candidate = url.strip()
    if len(candidate) > 4 * LONGEST_URL or re.search("[\x00-\x1f\x7f\ud800-\udfff]", candidate):
        return None
    try:
        parts = urlsplit(candidate)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    host = unicodedata.normalize("NFC", f"[{host}]" if ":" in host else host).lower().rstrip(".")
    if parts.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host):
        return None
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        host = f"{host}:{port}"
    return parts._replace(netloc=host, path=_without_dots(_escaped(parts.path)))


def _known_host(parts: SplitResult) -> str:
    """The host's own name where it is one we know under several, else the empty string."""
    host = _ALIASES.get(parts.netloc, parts.netloc)
    return host if host in (_ARXIV_HOST, _DOI_HOST, _GITHUB_HOST) else ""


def _of_known_host(parts: SplitResult) -> str:
    host = _known_host(parts)
    if host == _ARXIV_HOST:
        return _arxiv_url(parts.geturl())
    if host == _DOI_HOST:
        return _arxiv_url(parts.geturl()) or _url_of_doi(parts)
    return _github_url(parts) if host == _GITHUB_HOST else ""


def _arxiv_url(url: str) -> str:
    found = arxiv_id(url)
    return f"https://{_ARXIV_HOST}/abs/{found}" if found else ""


def _url_of_doi(parts: SplitResult) -> str:
    found = doi(parts.geturl())
    return f"https://{_DOI_HOST}/{quote(found, safe=_PATH_SAFE.replace('%', ''))}" if found else ""


def _github_url(parts: SplitResult) -> str:
    match = _GITHUB_REPOSITORY.fullmatch(parts.path)
    if not match:
        return ""
    repository = f"https://{_GITHUB_HOST}/{match[1].lower()}/{match[2].lower()}"
    below = (match[3] or "").rstrip("/")
    return _general(urlsplit(f"{repository}{below}?{parts.query}")) if below else repository


def _general(parts: SplitResult) -> str:
    host = _ALIASES.get(parts.netloc, parts.netloc)
    is_secure = host in _SECURE_HOSTS or host.endswith(tuple(f".{suffix}" for suffix in _SECURE_SUFFIXES))
    scheme = "https" if is_secure else parts.scheme
    path = parts.path.rstrip("/") or "/"
    kept = [piece for piece in parts.query.split("&") if piece and not _is_tracking(piece)]
    query = _escaped("&".join(kept), also_safe="?")
    fragment = _escaped(parts.fragment, also_safe="?#") if parts.fragment.startswith(("!", "/")) else ""
    return f"{scheme}://{host}{path}{query and '?'}{query}{fragment and '#'}{fragment}"


def _is_tracking(piece: str) -> bool:
    name = unquote(piece.partition("=")[0]).lower()
    return name in _TRACKING or name.startswith(_TRACKING_PREFIX)


def _escaped(text: str, also_safe: str = "") -> str:
    """Percent-encoded where it must be and only there (RFC 3986, 6.2.2)."""
    return _ESCAPE.sub(_normal_escape, quote(_LONE_PERCENT.sub("%25", text), safe=_PATH_SAFE + also_safe))


def _normal_escape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _without_dots(path: str) -> str:
    """RFC 3986, 5.2.4, for absolute paths."""
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)


# --- titles --------------------------------------------------------------------------------------------------------

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
    return key if len(key) <= LONGEST_IDENTIFIER else f"{hashlib.sha256(key.encode()).hexdigest()}|{year}"


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


# --- items ---------------------------------------------------------------------------------------------------------

_OF_ONE_WORK = frozenset((ArtifactKind.PREPRINT, ArtifactKind.ARTICLE))


def identifiers_of(item: Item) -> tuple[tuple[IdentifierScheme, str], ...]:
    """What an item states, and what its address and title yield; no pair twice, strongest scheme first.

    The front page of a site identifies no work, and titles of posts and releases repeat, so neither counts.
    """
    stated = {(scheme, value) for scheme, value in item.identifiers if 0 < len(value) <= LONGEST_IDENTIFIER}
    found = {(IdentifierScheme.DOI, doi(item.url) or ""), (IdentifierScheme.ARXIV, arxiv_id(item.url) or "")}
    found |= {
        (IdentifierScheme.ARXIV, arxiv_id(value) or "") for scheme, value in stated if scheme == IdentifierScheme.DOI
    }
    url = canonical_url(item.url)
    if url and not _is_front_page(url):
        found.add((IdentifierScheme.URL, bounded_id(url, LONGEST_IDENTIFIER)))
    if item.kind in _OF_ONE_WORK and item.authors and item.published_at:
        key = title_key(item.title, item.authors[0].name, item.published_at.year)
        found.add((IdentifierScheme.TITLE, key))
    pairs = stated | {(scheme, value) for scheme, value in found if value}
    strength = list(IdentifierScheme)
    return tuple(sorted(pairs, key=lambda pair: (strength.index(pair[0]), pair[1])))


def _is_front_page(url: str) -> bool:
    parts = urlsplit(url)
    return parts.path == "/" and not parts.query and not parts.fragment
