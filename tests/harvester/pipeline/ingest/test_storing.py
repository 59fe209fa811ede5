"""Each entry is stored once, with what it has, and the place is kept with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from harvester.models import (
    Artifact,
    ArtifactKind,
    ArtifactStage,
    Identifier,
    IdentifierScheme,
    Relationship,
    Source,
)
from harvester.pipeline import same_work
from harvester.pipeline.ingest import storing
from harvester.sources.base import Author, Item, Page

pytestmark = pytest.mark.django_db

PUBLISHED = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_source(name: str = "A feed", **fields: object) -> Source:
    return Source.objects.create(
        **{"name": name, "kind": "feed", "url": f"https://{name[0].lower()}.example/rss"} | fields
    )


def an_item(external_id: str = "1", **fields: object) -> Item:
    defaults = {
        "external_id": external_id,
        "kind": ArtifactKind.ARTICLE,
        "url": f"https://a.example/{external_id}",
        "title": f"A title worth reading, number {external_id}",
        "text": "Text.",
        "published_at": PUBLISHED,
        "authors": (Author("Ada Example"),),
    }
    return Item(**defaults | fields)


def store(source: Source, *items: Item, cursor: dict[str, str] | None = None) -> storing.Stored:
    return storing.store(source, items, Page(items=items, cursor=cursor or {}))


def test_a_new_entry_is_stored_with_what_it_has() -> None:
    source = a_source()
    stored = store(source, an_item("1", engagement={"comments": 3}, metadata={"doi": "10.5555/1"}))
    assert (stored.created, stored.updated) == (1, 0)
    artifact = Artifact.objects.get()
    assert artifact.source == source
    assert artifact.authors == [{"name": "Ada Example", "affiliation": ""}]
    assert artifact.engagement == {"comments": 3}
    assert artifact.published_at == PUBLISHED
    assert artifact.stage == ArtifactStage.INGESTED


def test_the_same_entry_again_changes_nothing() -> None:
    source = a_source()
    store(source, an_item())
    Artifact.objects.update(stage=ArtifactStage.SCORED)
    assert store(source, an_item()) == storing.Stored()
    assert Artifact.objects.get().stage == ArtifactStage.SCORED


def test_a_changed_entry_is_written_over_and_waits_for_the_stages_again() -> None:
    source = a_source()
    store(source, an_item())
    seen = Artifact.objects.get().first_seen_at
    Artifact.objects.update(stage=ArtifactStage.SCORED, attempts=2, error="old")
    stored = store(source, an_item(title="Another title that is worth it"))
    artifact = Artifact.objects.get()
    assert (stored.created, stored.updated) == (0, 1)
    assert artifact.title == "Another title that is worth it"
    assert (artifact.stage, artifact.attempts, artifact.error) == (ArtifactStage.INGESTED, 0, "")
    assert artifact.first_seen_at == seen


def test_a_change_in_raw_alone_is_no_news() -> None:
    source = a_source()
    store(source, an_item(raw={"position": 1}))
    assert store(source, an_item(raw={"position": 2})) == storing.Stored()


def test_a_new_stamp_alone_is_no_news() -> None:
    source = a_source()
    store(source, an_item(updated_at=PUBLISHED))
    assert store(source, an_item(updated_at=PUBLISHED + timedelta(days=1))) == storing.Stored()


def test_an_older_version_never_replaces_a_newer() -> None:
    source = a_source()
    store(source, an_item(title="The third version", updated_at=PUBLISHED + timedelta(days=3)))
    assert store(source, an_item(title="The first version", updated_at=PUBLISHED)) == storing.Stored()
    assert Artifact.objects.get().title == "The third version"


def test_the_same_id_in_two_sources_is_two_artifacts() -> None:
    store(a_source("A"), an_item())
    store(a_source("B"), an_item())
    assert Artifact.objects.count() == 2


def test_an_id_twice_in_a_page_is_stored_once() -> None:
    stored = store(a_source(), an_item("1"), an_item("1", title="The later one of the two wins"))
    assert stored.created == 1
    assert Artifact.objects.get().title == "The later one of the two wins"


def test_an_undated_entry_is_dated_by_our_first_sight_and_says_so() -> None:
    source = a_source()
    store(source, an_item(published_at=None))
    first = Artifact.objects.get()
    assert first.published_at == first.first_seen_at
    assert not first.is_dated
    assert store(source, an_item(published_at=None)) == storing.Stored()


def test_an_undated_entry_that_changes_does_not_become_new() -> None:
    source = a_source()
    store(source, an_item(published_at=None))
    first = Artifact.objects.get().published_at
    store(source, an_item(published_at=None, text="Changed."))
    again = Artifact.objects.get()
    assert (again.text, again.published_at, again.is_dated) == ("Changed.", first, False)


def test_an_entry_that_loses_its_date_keeps_it_here() -> None:
    source = a_source()
    store(source, an_item())
    store(source, an_item(published_at=None, text="Changed."))
    again = Artifact.objects.get()
    assert (again.published_at, again.is_dated) == (PUBLISHED, True)


def test_the_place_is_kept_with_the_items() -> None:
    source = a_source()
    store(source, an_item(), cursor={"page": "2"})
    source.refresh_from_db()
    assert source.cursor == {"page": "2"}


def test_an_entry_the_database_refuses_costs_only_itself() -> None:
    source = a_source()
    unstorable = an_item("2", title="x" * 2000 + "\0") if connection.vendor == "postgresql" else an_item("")
    stored = store(source, an_item("1"), unstorable, an_item("3"), cursor={"page": "2"})
    assert stored.created == 2
    assert [rejection.reason for rejection in stored.rejections] == ["the database cannot hold it"]
    source.refresh_from_db()
    assert source.cursor == {"page": "2"}


def test_storing_takes_a_fixed_number_of_queries() -> None:
    counts = []
    for size in (5, 45):
        source = a_source(f"{size}")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            store(source, *(an_item(f"{size}-{n}") for n in range(size)))
        counts.append(len(queries))
    assert counts[1] <= counts[0] + 1  # SQLite splits a large insert


def test_identifiers_are_stated_and_withdrawn_with_the_entry() -> None:
    source = a_source()
    store(source, an_item(identifiers=((IdentifierScheme.DOI, "10.5555/a"),)))
    assert Identifier.objects.filter(scheme="doi").values_list("value", flat=True)[0] == "10.5555/a"
    store(source, an_item(identifiers=((IdentifierScheme.DOI, "10.5555/b"),)))
    assert list(Identifier.objects.filter(scheme="doi").values_list("value", flat=True)) == ["10.5555/b"]


def test_links_that_rested_on_a_withdrawn_identifier_fall() -> None:
    doi = {"identifiers": ((IdentifierScheme.DOI, "10.5555/a"),)}
    one, two = a_source("A"), a_source("B")
    store(one, an_item("1", title="Some title", url="", **doi))
    store(two, an_item("2", title="Other title", url="", **doi))
    same_work.run()
    assert Relationship.objects.count() == 1
    store(two, an_item("2", title="Other title", url=""))
    same_work.run()
    assert Relationship.objects.count() == 0


def test_the_hash_covers_what_is_kept() -> None:
    item = an_item()
    changes = [
        {"kind": ArtifactKind.POST},
        {"url": "https://a.example/other"},
        {"title": "Other"},
        {"text": "Other"},
        {"authors": (Author("Ada Example", "Lab"),)},
        {"published_at": PUBLISHED + timedelta(seconds=1)},
        {"identifiers": ((IdentifierScheme.DOI, "10.5555/a"),)},
        {"engagement": {"comments": 1}},
        {"metadata": {"version": 2}},
    ]
    hashes = {storing.content_hash(replace(item, **change)) for change in changes}
    assert len(hashes | {storing.content_hash(item)}) == len(changes) + 1
