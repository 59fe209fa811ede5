"""Answers for the hosts of the sample world, in process, as the real services would.

The anchor day is part of every address (``https://lab-nord.sample.invalid/2026-11-23/feed.xml``), so the world behind a
source stays as it was when the source was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import sha256
from urllib.parse import parse_qsl, urlsplit

from harvester.clients.http import Reply
from harvester.sample import arxiv, atom, json_feed, outlets, rdf, rss
from harvester.sample.outlets import Outlet
from harvester.sample.world import Entry, World, build


@dataclass(frozen=True, slots=True)
class _Feed:
    outlet: Outlet
    content_type: str
    render: Callable[[Outlet, Sequence[Entry], date], bytes]


_FEEDS = {
    (feed.outlet.host, feed.outlet.path): feed
    for feed in (
        _Feed(outlets.LAB_NORD, rss.CONTENT_TYPE, rss.render),
        _Feed(outlets.JUNCTION, rss.CONTENT_TYPE, rss.render),
        _Feed(outlets.QUBIT_NOTES, atom.CONTENT_TYPE, atom.render_blog),
        _Feed(outlets.ENGRAM, atom.CONTENT_TYPE, atom.render_releases),
        _Feed(outlets.HELIX, json_feed.CONTENT_TYPE, json_feed.render),
        _Feed(outlets.ANNALS, rdf.CONTENT_TYPE, rdf.render),
    )
}


def answer(url: str, headers: Mapping[str, str]) -> Reply:
    """The reply to a GET. ``headers`` of the request have lower-case names."""
    parts = urlsplit(url)
    first, _, path = parts.path.removeprefix("/").partition("/")
    place = (parts.hostname or "", path)
    world = _world(first)
    if world is None:
        return _text(url, 404, "There is no sample world of this day.")
    if place == (outlets.ARXIV.host, outlets.ARXIV.path):
        status, body = arxiv.answer(world, dict(parse_qsl(parts.query, keep_blank_values=True)))
        return Reply(url, status, {"content-type": arxiv.CONTENT_TYPE}, body)
    if place in _FEEDS:
        return _feed(url, _FEEDS[place], world, headers)
    return _text(url, 404, "Not found.")


def _world(written: str) -> World | None:
    try:
        anchor = date.fromisoformat(written)
        return build(anchor) if written == anchor.isoformat() else None
    except ValueError:
        return None


def _feed(url: str, feed: _Feed, world: World, headers: Mapping[str, str]) -> Reply:
    entries = world.at(feed.outlet)
    body = feed.render(feed.outlet, entries, world.anchor)
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    modified = format_datetime(entries[0].published, usegmt=True)
    validators = {"etag": etag, "last-modified": modified}
    if _is_unchanged(headers, etag, modified):
        return Reply(url, 304, validators, b"")
    return Reply(url, 200, {"content-type": feed.content_type, **validators}, body)


def _is_unchanged(headers: Mapping[str, str], etag: str, modified: str) -> bool:
    """RFC 9110, 13.2.2: a known ETag decides, whatever the date says."""
    if "if-none-match" in headers:
        known = {part.strip().removeprefix("W/") for part in headers["if-none-match"].split(",")}
        return etag in known or "*" in known
    try:
        return parsedate_to_datetime(headers.get("if-modified-since", "")) >= parsedate_to_datetime(modified)
    except (TypeError, ValueError):
        return False


def _text(url: str, status: int, sentence: str) -> Reply:
    return Reply(url, status, {"content-type": "text/plain; charset=utf-8"}, sentence.encode())
