"""An item is identified by what it states and what its address and title yield."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from harvester.models import ArtifactKind, IdentifierScheme
from harvester.sources.base import Author, Item
from harvester.sources.identifiers import identifiers_of

ITEM = Item(
    external_id="1",
    kind=ArtifactKind.ARTICLE,
    url="https://example.org/post",
    title="Memory for tool-using agents",
    text="",
    published_at=datetime(2024, 5, 1, tzinfo=UTC),
    authors=(Author("Ann Lee"), Author("Bo Chen")),
)
TITLE = (IdentifierScheme.TITLE, "memory for tool using agents|lee|2024")


def test_address_and_title_identify_an_article() -> None:
    assert identifiers_of(ITEM) == ((IdentifierScheme.URL, "https://example.org/post"), TITLE)


def test_what_an_item_states_comes_with_what_its_address_yields_once() -> None:
    item = replace(
        ITEM,
        url="https://arxiv.org/abs/2104.12255",
        identifiers=((IdentifierScheme.ARXIV, "2104.12255"), (IdentifierScheme.DOI, "10.1000/abc")),
    )
    assert identifiers_of(item) == (
        (IdentifierScheme.DOI, "10.1000/abc"),
        (IdentifierScheme.ARXIV, "2104.12255"),
        (IdentifierScheme.URL, "https://arxiv.org/abs/2104.12255"),
        TITLE,
    )


def test_the_doi_of_a_preprint_is_its_arxiv_id_too() -> None:
    item = replace(ITEM, url="", identifiers=((IdentifierScheme.DOI, "10.48550/arxiv.2104.12255"),))
    assert (IdentifierScheme.ARXIV, "2104.12255") in identifiers_of(item)


def test_a_publishers_page_yields_its_doi() -> None:
    item = replace(ITEM, url="https://dl.acm.org/doi/10.1145/3395363.3397376")
    assert (IdentifierScheme.DOI, "10.1145/3395363.3397376") in identifiers_of(item)


def test_a_front_page_identifies_nothing() -> None:
    assert identifiers_of(replace(ITEM, url="https://example.org/")) == (TITLE,)


def test_titles_of_releases_and_posts_identify_nothing() -> None:
    for kind in (ArtifactKind.RELEASE, ArtifactKind.POST, ArtifactKind.REPOSITORY):
        assert TITLE not in identifiers_of(replace(ITEM, kind=kind))


def test_without_author_or_date_a_title_identifies_nothing() -> None:
    assert TITLE not in identifiers_of(replace(ITEM, authors=()))
    assert TITLE not in identifiers_of(replace(ITEM, published_at=None))


def test_a_long_address_is_shortened_to_the_column_and_stays_its_own() -> None:
    first, second = (identifiers_of(replace(ITEM, title="x", url=f"https://example.org/{'a' * 900}{n}")) for n in "12")
    assert len(first[0][1]) == 500
    assert first != second
