"""The one form of all addresses that mean the same page."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, unquote, urlsplit

from harvester.sources.identifiers.arxiv_ids import arxiv_id
from harvester.sources.identifiers.dois import DOI_SCHEME, doi
from harvester.sources.identifiers.web_address import (
    ARXIV_HOST,
    DOI_HOST,
    GITHUB_HOST,
    LONGEST_URL,
    PATH_SAFE,
    escaped,
    known_host,
    split,
)

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
_GITHUB_REPOSITORY = re.compile(r"/([a-z0-9-]{1,100})/([a-z0-9._-]{1,100}?)(?:\.git)*(/.*)?", re.IGNORECASE)
_GITHUB_OWNER = re.compile(r"/[a-z0-9-]{1,100}/*", re.IGNORECASE)


def canonical_url(url: str) -> str:
    """The one form of all addresses that mean the same page; empty for what is no http(s) URL. Idempotent.

    Lower-case scheme and host, no default port, user name, tracking parameters or fragment (but ``#!…`` and ``#/…``,
    which name a page of its own), no slash at the end of a path, https where the host is known to have it. Forms of
    arXiv, GitHub and DOI addresses become ``https://arxiv.org/abs/ID``, ``https://github.com/owner/name`` and
    ``https://doi.org/DOI``.
    """
    parts = split(DOI_SCHEME.sub("https://doi.org/", url))
    if parts is None:
        return ""
    found = _of_known_host(parts) or _general(parts)
    return found if len(found) <= LONGEST_URL else ""


def _of_known_host(parts: SplitResult) -> str:
    host = known_host(parts)
    if host == ARXIV_HOST:
        return _arxiv_url(parts.geturl())
    if host == DOI_HOST:
        return _arxiv_url(parts.geturl()) or _url_of_doi(parts)
    return _github_url(parts) if host == GITHUB_HOST else ""


def _arxiv_url(url: str) -> str:
    found = arxiv_id(url)
    return f"https://{ARXIV_HOST}/abs/{found}" if found else ""


def _url_of_doi(parts: SplitResult) -> str:
    found = doi(parts.geturl())
    return f"https://{DOI_HOST}/{quote(found, safe=PATH_SAFE.replace('%', ''))}" if found else ""


def _github_url(parts: SplitResult) -> str:
    match = _GITHUB_REPOSITORY.fullmatch(parts.path)
    if not match:
        return _general(parts._replace(path=parts.path.lower())) if _GITHUB_OWNER.fullmatch(parts.path) else ""
    repository = f"https://{GITHUB_HOST}/{match[1].lower()}/{match[2].lower()}"
    below = (match[3] or "").rstrip("/")
    return _general(urlsplit(f"{repository}{below}?{parts.query}")) if below else repository


def _general(parts: SplitResult) -> str:
    host = parts.netloc
    is_secure = host in _SECURE_HOSTS or host.endswith(tuple(f".{suffix}" for suffix in _SECURE_SUFFIXES))
    scheme = "https" if is_secure else parts.scheme
    path = parts.path.rstrip("/") or "/"
    kept = [piece for piece in parts.query.split("&") if piece and not _is_tracking(piece)]
    query = escaped("&".join(kept), also_safe="?")
    fragment = escaped(parts.fragment, also_safe="?#") if parts.fragment.startswith(("!", "/")) else ""
    return f"{scheme}://{host}{path}{query and '?'}{query}{fragment and '#'}{fragment}"


def _is_tracking(piece: str) -> bool:
    name = unquote(piece.partition("=")[0]).lower()
    return name in _TRACKING or name.startswith(_TRACKING_PREFIX)
