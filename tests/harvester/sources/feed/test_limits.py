"""A hostile feed costs a bounded amount of memory and rows, and what was left out is said."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable

import pytest

from harvester.clients.transport import DEFAULT_LIMITS
from harvester.errors import FetchError, FetchFailure
from harvester.models import Source
from harvester.sources import feed
from harvester.sources.base import MOST_AUTHORS, MOST_ENTRIES, Page
from harvester.sources.feed.entry import MOST_FEED_AUTHORS, MOST_STATED_IDS
from harvester.sources.text import LONGEST_RAW
from tests.fakes import web_of

VERSION = '"version": "https://jsonfeed.org/version/1.1"'
LARGEST = DEFAULT_LIMITS.body_bytes - 1000
MOST_MEMORY = 100 * 1024 * 1024  # bytes


def read(document: str) -> list[Page]:
    source = Source(kind="feed", url="https://blog.example/feed", cursor={})
    return list(feed.fetch(source, web_of(document), since=None, limit=None))


def json_feed(items: str) -> str:
    return f'{{{VERSION}, "items": [{items}]}}'


def rss(inside: str) -> str:
    return f"<rss><channel>{inside}</channel></rss>"


def filled(piece: str, last: str = "") -> str:
    """As often as the largest reply holds."""
    return piece * (LARGEST // len(piece.encode())) + last


BOMBS: dict[str, Callable[[], str]] = {
    "objects": lambda: json_feed(filled("{},", "{}")),
    "objects below the cap": lambda: json_feed("{}," * 290_000 + "{}"),
    "lists in an entry": lambda: json_feed('{"a": [' + "[1]," * 190_000 + "1]}"),
    "numbers": lambda: json_feed('{"a": [' + filled("1.5,", "1]}")),
    "strings": lambda: json_feed('{"a": [' + filled('"ā",', "1]}")),
    "a long text": lambda: json_feed('{"content_html": "' + filled("ā ", '"}')),
    "entries": lambda: rss(filled("<item><title>abcd</title></item>")),
    "entries below the cap": lambda: rss("<item><title>abcd</title></item>" * 120_000),
    "elements in an entry": lambda: rss("<item>" + "<a>abc</a>" * 240_000 + "</item>"),
    "attributes": lambda: rss("<item" + "".join(f" a{n}='{n}'" for n in range(500_000)) + "/>"),
    "attributes without quotes": lambda: rss("<item" + "".join(f" a{n}={n}" for n in range(500_000)) + "/>"),
    "lines": lambda: rss("<item><title>" + filled("\nā") + "</title></item>"),
    "references": lambda: rss("<item><title>" + filled("&#1234;") + "</title></item>"),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_no_document_takes_more_than_a_hundred_megabytes(bomb: Callable[[], str]) -> None:
    document = bomb()
    assert len(document.encode()) <= DEFAULT_LIMITS.body_bytes
    tracemalloc.start()
    try:
        pages = read(document)
    except FetchError as error:
        assert error.reason == FetchFailure.TOO_LARGE  # noqa: PT017 - which bombs are refused is not the point
    else:
        assert sum(len(page.rejections) for page in pages) <= 5
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < MOST_MEMORY


@pytest.mark.parametrize(
    "document",
    [
        json_feed(",".join(f'{{"id": {n}}}' for n in range(MOST_ENTRIES + 7))),
        rss("".join(f"<item><guid>{n}</guid></item>" for n in range(MOST_ENTRIES + 7))),
    ],
    ids=["json", "xml"],
)
def test_the_first_ten_thousand_entries_are_taken_and_the_others_counted(document: str) -> None:
    pages = read(document)
    found = [item.external_id for page in pages for item in page.items]
    assert found == [str(number) for number in range(MOST_ENTRIES)]
    (rejection,) = pages[-1].rejections
    assert (rejection.external_id, rejection.count) == ("7 more entries", 7)
    assert rejection.reason == "only the first 10,000 of a document are read"


def test_many_unusable_entries_are_named_once_and_counted() -> None:
    (page,) = read(json_feed(",".join(["{}"] * 500)))
    assert len(page.rejections) == 4
    assert sum(rejection.count for rejection in page.rejections) == 500
    assert page.rejections[-1].external_id == "497 more entries"


def test_of_endless_authors_the_first_are_kept_and_all_are_counted() -> None:
    people = "".join(f"<author>Person {number}</author>" for number in range(9_000))
    item = read(rss(f"<item><guid>1</guid>{people}</item><item><guid>2</guid><author>A</author></item>"))[0].items[0]
    assert len(item.authors) == MOST_AUTHORS == 1_000
    assert item.authors[-1].name == "Person 999"
    assert item.metadata == {"authors_total": 9_000}


def test_a_feeds_own_authors_are_not_repeated_endlessly() -> None:
    authors = [{"name": f"Person {number}"} for number in range(500)]
    document = {"version": "https://jsonfeed.org/version/1.1", "authors": authors, "items": [{"id": 1}]}
    assert len(read(json.dumps(document))[0].items[0].authors) == MOST_FEED_AUTHORS


def test_an_entry_states_a_bounded_number_of_identifiers() -> None:
    ids = "".join(f"<identifier xmlns='http://purl.org/dc/elements/1.1/'>10.1000/{n}</identifier>" for n in range(500))
    assert len(read(rss(f"<item><guid>1</guid>{ids}</item>"))[0].items[0].identifiers) == MOST_STATED_IDS


def test_of_a_large_entry_the_small_members_are_kept_as_read() -> None:
    (page,) = read(
        json_feed(json.dumps({"id": "1", "title": "Kept", "content_text": "x" * 49_000, "odd": ["y"] * 30_000}))
    )
    (item,) = page.items
    assert set(item.raw) == {"id", "title", "content_text", "#left_out"}
    assert item.raw["#left_out"] == ["odd"]
    assert len(json.dumps(item.raw)) < LONGEST_RAW + 5_000
