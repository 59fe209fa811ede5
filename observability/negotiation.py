"""What the reader wants: a format by Accept (RFC 9110, 12.5.1), compression by Accept-Encoding (12.5.3)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from django.http.request import MediaType
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.exposition import ALLOWUTF8, DOTS, UNDERSCORES, VALUES

from observability.page import Format

_LONGEST_HEADER = 2_000
"""Prometheus sends less than 400 characters; a longer list is not worth the time to weigh it."""
_OPEN_METRICS, _PLAIN = "application/openmetrics-text", "text/plain"
_VERSIONS = {_OPEN_METRICS: ("", "1.0.0"), _PLAIN: ("", "0.0.4", "1.0.0")}
_ESCAPINGS = (ALLOWUTF8, UNDERSCORES, DOTS, VALUES)


def format_for(accept: str) -> Format:
    """The format that is wanted most; plain text where none of ours is. Never raises."""
    for wish in sorted(_wishes(accept), key=lambda wish: -wish.quality):
        name, version = f"{wish.main_type}/{wish.sub_type}", wish.params.get("version", "")
        if name in ("*/*", "text/*"):
            break
        if version in _VERSIONS.get(name, ()):
            escaping = wish.params.get("escaping", "")
            return _format(name, version, escaping if escaping in _ESCAPINGS else "")
    return _format(_PLAIN, "", "")


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip is among what is wanted, by name or by ``*``. Never raises."""
    qualities = {wish.main_type.lower(): wish.quality for wish in _wishes(accept_encoding, even_unwanted=True)}
    return qualities.get("gzip", qualities.get("*", 0)) > 0


@cache
def _format(name: str, version: str, escaping: str) -> Format:
    """As prometheus_client knows it, which by itself knows no weights and stumbles over versions it does not expect."""
    return Format(*choose_encoder(f"{name};version={version};escaping={escaping}"))


def _wishes(header: str, *, even_unwanted: bool = False) -> Iterator[MediaType]:
    for part in header[:_LONGEST_HEADER].split(","):
        try:
            wish = MediaType(part.strip())
        except (LookupError, ValueError):  # a parameter in a charset that nobody knows
            continue
        if wish.quality > 0 or even_unwanted:
            yield wish
