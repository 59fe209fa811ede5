"""Reads any feed: RSS, Atom, RDF, JSON Feed, well-formed or not, in whatever encoding.

An entry is known by its guid or id, else by its link, else by a hash of its title and date. Entries with the same id
are one: the one updated last counts, else the first in the document (RFC 4287, 4.1.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from django.utils import timezone

from harvester.clients.http import HttpClient, Reply
from harvester.errors import SourceConfigError
from harvester.models import ArtifactKind, Source
from harvester.sources.addresses import require_web_address
from harvester.sources.base import Item, Page, Rejection, in_short
from harvester.sources.feed.items import items
from harvester.sources.feed.parsing import parse
from harvester.sources.replies import status_error

__all__ = ["fetch", "parse", "validate"]

PAGE_SIZE = 200

_ACCEPTED = (
    "application/atom+xml, application/rss+xml, application/feed+json, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"
)
# GitHub's lists of releases and tags.
_RELEASES = ("/releases.atom", "/tags.atom")
_SENDABLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,498}[\x21-\x7e])?")


def validate(url: str, query: str) -> None:
    """Raise SourceConfigError when no fetch could ever work with these; no network."""
    if not url:
        raise SourceConfigError("url", "A feed needs its web address: --url https://…")
    require_web_address(url)
    if query:
        raise SourceConfigError("query", "A feed has no query; leave it out.")


def fetch(source: Source, client: HttpClient, *, since: datetime | None, limit: int | None) -> Iterator[Page]:
    """Yield the feed's entries in pages of PAGE_SIZE.

    ``since`` compares with the later of an entry's dates; an entry without date is kept. When ``since`` or ``limit``
    left something out, the validators are not passed on, so that the next fetch reads the feed again and finds it.
    Raises FetchError; a feed that is gone (410) is gone for good.
    """
    validators = _validators(source)
    reply = client.get(source.url, headers={"Accept": _ACCEPTED, **validators})
    if reply.status == HTTPStatus.NOT_MODIFIED and validators:
        yield Page((), source.cursor, not_modified=True)
        return
    if reply.status != HTTPStatus.OK:
        raise _failure(reply)
    feed = parse(reply.body, content_type=reply.headers.get("content-type", ""), url=reply.url)
    all_items, rejections = items(feed.entries, kind=_kind(source.url, reply.url), now=timezone.now())
    kept = [item for item in all_items if since is None or not _is_before(item, since)][:limit]
    yield from _pages(
        kept,
        in_short(rejections, left_out=feed.left_out),
        source.cursor,
        reply,
        min_interval_seconds=feed.min_interval_seconds,
        is_complete=len(kept) == len(all_items),
    )


def _pages(
    kept: list[Item],
    rejections: tuple[Rejection, ...],
    cursor: Mapping[str, object],
    reply: Reply,
    *,
    min_interval_seconds: int,
    is_complete: bool,
) -> Iterator[Page]:
    last = max(0, len(kept) - 1) // PAGE_SIZE * PAGE_SIZE
    for start in range(0, last, PAGE_SIZE):
        yield Page(tuple(kept[start : start + PAGE_SIZE]), cursor)
    yield Page(
        tuple(kept[last:]),
        cursor,
        rejections,
        etag=_sendable(reply.headers.get("etag", "")) if is_complete else "",
        last_modified=_sendable(reply.headers.get("last-modified", "")) if is_complete else "",
        min_interval_seconds=min_interval_seconds,
    )


def _validators(source: Source) -> dict[str, str]:
    """The headers of a conditional GET (RFC 9110, 13.1)."""
    headers = {"If-None-Match": source.etag, "If-Modified-Since": source.last_modified}
    return {name: value for name, value in headers.items() if value}


def _sendable(validator: str) -> str:
    """A validator we can keep whole and send back; empty for others."""
    return validator if _SENDABLE.fullmatch(validator) else ""


def _failure(reply: Reply) -> Exception:
    if reply.status == HTTPStatus.GONE:
        return status_error(reply, permanent=True, advice="The feed is gone for good; remove the source.")
    return status_error(reply, permanent=False)


def _kind(*urls: str) -> ArtifactKind:
    is_release = any(urlsplit(url).path.rstrip("/").endswith(_RELEASES) for url in urls)
    return ArtifactKind.RELEASE if is_release else ArtifactKind.ARTICLE


def _is_before(item: Item, since: datetime) -> bool:
    dates = [date for date in (item.published_at, item.updated_at) if date]
    return bool(dates) and max(dates) < since
