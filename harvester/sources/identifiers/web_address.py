"""Takes an http(s) address apart and writes its parts in one way; knows the hosts that have several names."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import SplitResult, quote, urlsplit

LONGEST_URL = 2000
ARXIV_HOST, DOI_HOST, GITHUB_HOST = "arxiv.org", "doi.org", "github.com"
PATH_SAFE = "/%:@!$&'()*+,;=~[]"  # RFC 3986, 3.3, and brackets, which many servers want as they are

_ALIASES = {
    "www.arxiv.org": ARXIV_HOST,
    "export.arxiv.org": ARXIV_HOST,
    "browse.arxiv.org": ARXIV_HOST,
    "ar5iv.labs.arxiv.org": ARXIV_HOST,
    "ar5iv.org": ARXIV_HOST,
    "xxx.lanl.gov": ARXIV_HOST,
    "dx.doi.org": DOI_HOST,
    "www.doi.org": DOI_HOST,
    "www.github.com": GITHUB_HOST,
}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[^\s\x00-\x20\x7f-\x9f/?#@\\:\[\]%]{1,253}|\[[0-9a-f:.]{2,45}\]")
_ESCAPE = re.compile("%([0-9a-fA-F]{2})")
_LONE_PERCENT = re.compile("%(?![0-9a-fA-F]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")  # RFC 3986, 2.3


def split(url: str) -> SplitResult | None:
    """The parts, with the host in lower case under its own name and without its default port or a user name, and the
    path normalised; None for what is no http(s) URL.
    """
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
    host = _ALIASES.get(host, host)
    return parts._replace(netloc=host, path=_without_dots(escaped(parts.path)))


def known_host(parts: SplitResult) -> str:
    """ARXIV_HOST, DOI_HOST or GITHUB_HOST where this is one of their names, else the empty string."""
    return parts.netloc if parts.netloc in (ARXIV_HOST, DOI_HOST, GITHUB_HOST) else ""


def escaped(text: str, also_safe: str = "") -> str:
    """Percent-encoded where it must be and only there (RFC 3986, 6.2.2)."""
    return _ESCAPE.sub(_normal_escape, quote(_LONE_PERCENT.sub("%25", text), safe=PATH_SAFE + also_safe))


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
