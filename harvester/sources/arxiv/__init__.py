"""Reads arXiv through its query API: searches walked from the latest change downwards, and look-ups by id.

A search is walked in the order of ``lastUpdatedDate``, not ``submittedDate``: only there does a new version of an old
paper come up again. While a walk goes on, new papers push the others down, so pages overlap but nothing slips through;
a paper that is revised meanwhile leaves its place for the top, where the next walk finds it.

The cursor of a search is ``{"newest": TIME}`` after a walk that came to its end: the latest change it saw. The next
walk ends where it meets entries older than that by a day, since arXiv announces late. As long as a walk is unfinished
the cursor is ``{"walk": {"start": N, "newest": TIME, "until": TIME or null}}``: how far down it came, the latest change
at its beginning, and the ``newest`` of the walk before. An unfinished walk is taken up at the top, for what is new
since then, and leaps from what it knows to its ``start``.

A walk is unfinished when its process died, after MAX_REQUESTS, when arXiv kept sending an empty page in the middle, and
when the caller cut it with ``limit`` or ``since``; so what lies below is not lost, it comes with a later fetch. The
first walk of a source has no ``until`` and ends at FIRST_HARVEST_DEPTH. Look-ups are short and keep no cursor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from harvester.clients.http import HttpClient
from harvester.errors import SourceConfigError
from harvester.models import Source
from harvester.sources.addresses import require_web_address
from harvester.sources.arxiv.asking import LOOK_UP, Asker, looked_up_ids
from harvester.sources.arxiv.walk import Place, Walk
from harvester.sources.base import Page
from harvester.sources.courtesy import Courtesy

__all__ = ["BASE_URL", "fetch", "validate"]

BASE_URL = "https://export.arxiv.org/api/query"

# https://info.arxiv.org/help/api/tou.html: no more than one request every three seconds.
_COURTESY = Courtesy(3.0)


def validate(url: str, query: str) -> None:
    """Raise SourceConfigError when no fetch could ever work with these; no network."""
    if url:
        require_web_address(url)
    if not query.strip():
        raise SourceConfigError(
            "query",
            'Say what to ask arXiv for: a search such as cat:cs.LG or all:"agent memory", or id_list: with ids.',
        )
    if query.startswith(LOOK_UP) and not looked_up_ids(query):
        raise SourceConfigError(
            "query", "Write the ids after id_list:, separated by commas: id_list:2104.12255,1605.08386"
        )


def fetch(
    source: Source,
    client: HttpClient,
    *,
    since: datetime | None,
    limit: int | None,
    courtesy: Courtesy = _COURTESY,
) -> Iterator[Page]:
    """Yield the pages of one walk or look-up; see above for how they follow each other.

    ``since`` compares with an entry's last change. Raises FetchError: QUERY_REJECTED for what arXiv calls an error.
    """
    validate(source.url, source.query)
    asker = Asker(source.url or BASE_URL, source.query, client, courtesy)
    is_look_up = source.query.startswith(LOOK_UP)
    place = Place() if is_look_up else Place.read(source.cursor)
    for page in Walk(asker, place, since=since, limit=limit).pages():
        yield replace(page, cursor={}) if is_look_up else page
