"""Stand-ins that keep the promise of what they replace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harvester.clients.http import Reply
from harvester.errors import FetchError, FetchFailure

Answer = Reply | bytes | str | FetchError


@dataclass
class FakeWeb:
    """An HttpClient that knows its answers by heart and remembers what was asked of it.

    They are looked up by URL, or given by a function of it. An answer is a body (status 200), a Reply, or an error to
    raise.
    """

    answers: dict[str, Answer] | Callable[[str], Answer] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        self.asked.append((url, dict(headers or {})))
        if callable(self.answers):
            answer = self.answers(url)
        else:
            unknown = FetchError(FetchFailure.NAME_NOT_RESOLVED, f"{url} is not known here.")
            answer = self.answers.get(url, unknown)
        if isinstance(answer, FetchError):
            raise answer
        if isinstance(answer, Reply):
            return answer
        return Reply(url=url, status=200, headers={}, body=answer.encode() if isinstance(answer, str) else answer)


def web_of(body: bytes | str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> FakeWeb:
    """A web that has one reply for every address."""
    content = body.encode() if isinstance(body, str) else body
    return FakeWeb(lambda url: Reply(url, status, dict(headers or {}), content))


def rss(*entries: str, title: str = "A feed") -> str:
    """An RSS 2.0 document around ready-made ``<item>`` elements."""
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>{title}</title>{"".join(entries)}</channel></rss>'


def rss_item(
    guid: str, *, title: str = "", link: str = "", published: str = "", text: str = "", extra: str = ""
) -> str:
    """One ``<item>``; ``published`` as RFC 822."""
    parts = {
        "guid": guid,
        "title": title or f"Title of {guid}",
        "link": link,
        "pubDate": published,
        "description": text,
    }
    return "<item>" + "".join(f"<{tag}>{value}</{tag}>" for tag, value in parts.items() if value) + f"{extra}</item>"
