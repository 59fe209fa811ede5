"""What can be said of the address of a source without asking anybody."""

from __future__ import annotations

from urllib.parse import urlsplit

from harvester.errors import SourceConfigError


def require_web_address(url: str) -> None:
    """Raise SourceConfigError unless this is an http(s) URL with a host."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # raises for what is no port
    except ValueError:
        is_usable = False
    if not is_usable:
        raise SourceConfigError("url", "Write a web address that begins with https:// or http://.")
