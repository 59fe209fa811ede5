"""JSON Feed is read, and wrong types cost only themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harvester.errors import FetchError, FetchFailure
from harvester.sources.base import Author
from harvester.sources.feed.entry import FeedEntry
from harvester.sources.feed.parsing import parse

URL = "https://blog.example/feed.json"
VERSION = "https://jsonfeed.org/version/1.1"


def read(document: Any) -> tuple[FeedEntry, ...]:
    return parse(json.dumps(document).encode(), content_type="application/feed+json", url=URL).entries


def one(**item: Any) -> FeedEntry:
    (entry,) = read({"version": VERSION, "items": [item]})
    return entry


def test_an_entry_is_read() -> None:
    entry = one(
        id=7,
        url="/posts/7",
        title="Hello\nworld",
        content_html="<p>One &amp; two</p>",
        content_text="never mind",
        date_published="2024-05-06T07:08:09Z",
        date_modified="2024-05-07T07:08:09Z",
        authors=[{"name": "Ann Lee"}, {"url": "https://nameless.example"}],
        tags=["a", "b", "a"],
    )
    assert (entry.id, entry.link, entry.title) == ("7", "https://blog.example/posts/7", "Hello world")
    assert entry.text == "One & two"
    assert entry.published == ("2024-05-06T07:08:09Z", "2024-05-07T07:08:09Z")
    assert entry.updated == "2024-05-07T07:08:09Z"
    assert entry.authors == (Author("Ann Lee"),)
    assert entry.categories == ("a", "b")
    assert entry.raw["content_text"] == "never mind"


def test_version_1_has_one_author_and_a_feed_speaks_for_its_entries() -> None:
    document = {"version": "https://jsonfeed.org/version/1", "author": {"name": "Ed"}, "items": [{"id": "1"}]}
    assert read(document)[0].authors == (Author("Ed"),)
    assert one(id="1", author={"name": "Ann"}).authors == (Author("Ann"),)


def test_plain_text_stays_as_it_is() -> None:
    assert one(id="1", content_text="a <b> &amp;\nc").text == "a <b> &amp;\nc"


def test_an_id_that_is_an_address_is_the_link() -> None:
    assert one(id="https://blog.example/1").link == "https://blog.example/1"
    assert one(id="1", external_url="https://x.example/").link == "https://x.example/"
    assert one(id="1").link == ""
    assert one(url="javascript:alert(1)//").link == ""


@pytest.mark.parametrize("value", [None, 5, [], {}, True, [[]], {"name": {}}, "x\ud800"])
def test_wrong_types_cost_only_themselves(value: Any) -> None:
    entry = one(
        id=value,
        url=value,
        title="Kept",
        content_html=value,
        authors=value,
        author=value,
        tags=value,
        date_published=value,
    )
    assert entry.title == "Kept"


@pytest.mark.parametrize("items", [None, {}, "x", [1, "x", None]])
def test_items_that_are_no_objects_are_no_entries(items: Any) -> None:
    assert read({"version": VERSION, "items": items}) == ()


@pytest.mark.parametrize("document", [[], {}, {"version": 1}, {"version": "https://other.example"}])
def test_other_json_is_no_feed(document: Any) -> None:
    with pytest.raises(FetchError) as caught:
        read(document)
    assert caught.value.reason == FetchFailure.NOT_A_FEED


@pytest.mark.parametrize("body", ["{", "{" * 100_000, '{"a":' * 50_000, '{"version": ' + "1" * 10_000 + "}"])
def test_what_cannot_be_read_is_malformed(body: str) -> None:
    with pytest.raises(FetchError) as caught:
        parse(body.encode(), content_type="", url=URL)
    assert caught.value.reason == FetchFailure.MALFORMED


def test_numbers_that_json_does_not_know_are_left_out_of_raw() -> None:
    body = f'{{"version": "{VERSION}", "items": [{{"id": "1", "x": NaN, "y": [1e999], "z\\u0000": "\\ud800"}}]}}'
    (entry,) = parse(body.encode(), content_type="", url=URL).entries
    assert entry.raw == {"id": "1", "x": None, "y": [None], "z": ""}
