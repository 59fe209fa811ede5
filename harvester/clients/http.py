"""The one door to the web."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the final URL, the status, lower-case header names, the decompressed body."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient(Protocol):
    """What a source needs of the web."""

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """Return the reply whatever its status; raise FetchError when there is none."""
