"""JSON Feed 1.1 (https://www.jsonfeed.org/version/1.1/)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from harvester.sample.markup import html, rfc3339
from harvester.sample.outlets import Outlet
from harvester.sample.world import Entry

CONTENT_TYPE = "application/feed+json"


def render(outlet: Outlet, entries: Sequence[Entry], anchor: date) -> bytes:
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": outlet.title,
        "description": outlet.description,
        "home_page_url": outlet.home,
        "feed_url": outlet.address(anchor),
        "items": [_item(entry) for entry in entries],
    }
    return json.dumps(feed, ensure_ascii=False, indent=1).encode()


def _item(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.guid,
        "url": entry.url,
        "title": entry.title,
        "content_html": html(entry.work.paragraphs),
        "summary": entry.work.paragraphs[0],
        "date_published": rfc3339(entry.published),
        "authors": [{"name": credit.written} for credit in entry.work.credits],
        "tags": [entry.work.topic],
    }
