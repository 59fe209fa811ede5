"""Entries become items that are known again, dated and named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from harvester.models import ArtifactKind, IdentifierScheme
from harvester.sources.base import Item, Rejection
from harvester.sources.feed.entry import FeedEntry
from harvester.sources.feed.items import items

NOW = datetime(2024, 6, 1, tzinfo=UTC)
ENTRY = FeedEntry(id="tag:1", link="https://blog.example/1?utm_source=rss", title="One", text="Text.")


def items_of(*entries: FeedEntry) -> tuple[Item, ...]:
    return items(entries, kind=ArtifactKind.ARTICLE, now=NOW)[0]


def item_of(entry: FeedEntry) -> Item:
    (item,) = items_of(entry)
    return item


def test_an_entry_is_known_by_its_id_else_its_link_else_title_and_date() -> None:
    assert item_of(ENTRY).external_id == "tag:1"
    assert item_of(replace(ENTRY, id="")).external_id == "https://blog.example/1"
    nameless = replace(ENTRY, id="", link="", published=("2024-05-06",))
    assert item_of(nameless).external_id.startswith("sha256:")
    assert item_of(nameless) == item_of(nameless)
    other_date, other_title = replace(nameless, published=("2024-05-07",)), replace(nameless, title="Two")
    assert len({item_of(one).external_id for one in (nameless, other_date, other_title)}) == 3


def test_another_way_to_write_the_date_is_the_same_date() -> None:
    first = replace(ENTRY, id="", link="", published=("2024-05-06T00:00:00Z",))
    second = replace(first, published=("Mon, 06 May 2024 00:00:00 GMT",))
    assert item_of(first).external_id == item_of(second).external_id


def test_a_long_id_fits_its_column() -> None:
    assert len(item_of(replace(ENTRY, id="x" * 3000)).external_id) == 500


def test_the_address_is_canonical() -> None:
    assert item_of(ENTRY).url == "https://blog.example/1"


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        (("2024-05-06", "2024-05-07"), datetime(2024, 5, 6, tzinfo=UTC)),
        (("nonsense", "2024-05-07"), datetime(2024, 5, 7, tzinfo=UTC)),
        (("2099-01-01",), None),
        (("1970-01-01T00:00:00Z",), None),
        ((), None),
    ],
)
def test_the_first_date_that_makes_sense_counts(published: tuple[str, ...], expected: datetime | None) -> None:
    assert item_of(replace(ENTRY, published=published)).published_at == expected


def test_a_missing_title_is_the_beginning_of_the_text_or_the_address() -> None:
    text = "word " * 40
    assert item_of(replace(ENTRY, title="", text=text)).title == " ".join(["word"] * 16) + "…"
    assert item_of(replace(ENTRY, title="", text="Short one.")).title == "Short one."
    assert item_of(replace(ENTRY, title="", text="x" * 300)).title == "x" * 79 + "…"
    assert item_of(replace(ENTRY, title="", text="")).title == "https://blog.example/1"
    assert len(item_of(replace(ENTRY, title="", text="", link=f"https://blog.example/{'a' * 1500}")).title) == 1000


def test_an_entry_with_nothing_but_a_date_is_identified_by_it() -> None:
    dated, other = (FeedEntry(id="", link="", title="", text="", published=(f"2024-05-0{day}",)) for day in (6, 7))
    found = items_of(dated, other, dated)
    assert [item.title for item in found] == ["(no title)", "(no title)"]
    assert len({item.external_id for item in found}) == 2


def test_an_empty_entry_is_rejected_and_the_others_stay() -> None:
    empty = FeedEntry(id="", link="", title="", text="")
    found, rejections = items([empty, ENTRY], kind=ArtifactKind.ARTICLE, now=NOW)
    assert [item.external_id for item in found] == ["tag:1"]
    assert rejections == (Rejection("", "it is empty"),)


def test_entries_with_the_same_id_are_one_and_the_latest_counts() -> None:
    old, new = replace(ENTRY, title="Old", updated="2024-05-06"), replace(ENTRY, title="New", updated="2024-05-07")
    assert [item.title for item in items_of(old, new)] == ["New"]
    assert [item.title for item in items_of(new, old)] == ["New"]
    assert [item.title for item in items_of(ENTRY, replace(ENTRY, title="Again"))] == ["One"]


def test_stated_identifiers_come_in_normal_form_once() -> None:
    entry = replace(
        ENTRY,
        link="https://arxiv.org/abs/2104.12255v2",
        stated_ids=("doi:10.1000/ABC", "10.1000/abc", "oai:arXiv.org:2104.12255v1", "tag:1"),
    )
    item = item_of(entry)
    assert item.identifiers == ((IdentifierScheme.DOI, "10.1000/abc"), (IdentifierScheme.ARXIV, "2104.12255"))
    assert item.metadata == {"doi": "10.1000/abc"}


def test_comments_are_engagement_and_categories_metadata() -> None:
    item = item_of(replace(ENTRY, comments=0, categories=("A", "B")))
    assert item.engagement == {"comments": 0}
    assert item.metadata == {"categories": ["A", "B"]}
    assert item_of(ENTRY).engagement == {}
