"""A web that answers from a dictionary and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harvester.clients.http import Reply


@dataclass
class FakeWeb:
    """An HttpClient whose ``answer`` takes a URL and gives the reply."""

    answer: Callable[[str], Reply]
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        self.asked.append((url, dict(headers or {})))
        return self.answer(url)


def web_of(body: bytes | str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> FakeWeb:
    """A web that has one reply for every address."""
    content = body.encode() if isinstance(body, str) else body
    return FakeWeb(lambda url: Reply(url, status, dict(headers or {}), content))
