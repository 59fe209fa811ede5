"""Ingest stores each entry once, keeps its place with it, and lets nobody else's failure stop a source."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from harvester.errors import FetchError, FetchFailure
from harvester.models import (
    Artifact,
    ArtifactKind,
    ArtifactStage,
    Identifier,
    IdentifierScheme,
    Relationship,
    Run,
    RunStatus,
    Source,
    SourceState,
)
from harvester.pipeline import ingest, same_work
from harvester.sources.base import Author, Item, Page
from tests.fakes import FakeWeb, rss, rss_item

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


def store(source: Source, *items: Item, cursor: dict[str, str] | None = None) -> ingest.Stored:
    return ingest.store(source, items, Page(items=items, cursor=cursor or {}))


def a_run() -> Run:
    now = timezone.now()
    return Run.objects.create(status=RunStatus.RUNNING, started_at=now, heartbeat_at=now)


def fetch(web: FakeWeb, *sources: Source, **options: object) -> list[ingest.SourceReport]:
    return ingest.process(sources, web, run=a_run(), **options)


# --- storing --------------------------------------------------------------------------------------------------------


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
    assert store(source, an_item()) == ingest.Stored()
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
    assert store(source, an_item(raw={"position": 2})) == ingest.Stored()


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
    assert store(source, an_item(published_at=None)) == ingest.Stored()


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


# --- fetching -------------------------------------------------------------------------------------------------------


def test_one_failing_source_does_not_stop_the_others() -> None:
    bad, good = a_source("Bad"), a_source("Good")
    web = FakeWeb({good.url: rss(rss_item("1"), rss_item("2"))})
    first, second = fetch(web, bad, good)
    assert (first.outcome, first.errors) == ("failed", 1)
    assert (second.outcome, second.created) == ("fetched", 2)


def test_a_failure_is_kept_in_words_and_backs_off() -> None:
    source = a_source(interval_seconds=600)
    fetch(FakeWeb(), source)
    source.refresh_from_db()
    assert source.failure_reason == FetchFailure.NAME_NOT_RESOLVED
    assert "not known here" in source.failure_detail
    assert source.consecutive_failures == 1
    first_wait = source.next_fetch_at - timezone.now()
    fetch(FakeWeb(), source)
    source.refresh_from_db()
    assert source.next_fetch_at - timezone.now() > first_wait * 1.5


def test_a_success_forgets_the_failures() -> None:
    source = a_source(consecutive_failures=3, failure_reason="timed_out", failure_detail="slow")
    fetch(FakeWeb({source.url: rss(rss_item("1"))}), source)
    source.refresh_from_db()
    assert (source.consecutive_failures, source.failure_reason, source.failure_detail) == (0, "", "")
    assert source.state_word == "fine"


def test_a_permanent_failure_is_not_asked_again_for_a_day() -> None:
    source = a_source()
    fetch(FakeWeb({source.url: FetchError(FetchFailure.NOT_A_FEED, "This is a page.", permanent=True)}), source)
    source.refresh_from_db()
    assert source.next_fetch_at > timezone.now() + timedelta(hours=23)


def test_retry_after_is_obeyed_even_by_a_run_that_was_asked_for() -> None:
    source = a_source()
    busy = FetchError(FetchFailure.HTTP_STATUS, "Busy.", status=503, retry_after_seconds=3600)
    web = FakeWeb({source.url: busy})
    fetch(web, source)
    (report,) = fetch(web, source)
    assert report.outcome == "waiting"
    assert len(web.asked) == 1


def test_an_unexpected_error_is_a_failure_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    source = a_source()

    class Broken:
        def get(self, url: str, *, headers: object = None) -> None:
            raise ZeroDivisionError

    (report,) = fetch(Broken(), source)
    assert report.outcome == "failed"
    source.refresh_from_db()
    assert source.failure_reason == FetchFailure.UNEXPECTED


def test_a_source_that_another_run_fetches_is_left_to_it() -> None:
    source = a_source()
    Source.objects.update(claimed_by=a_run())
    (report,) = fetch(FakeWeb(), source)
    assert report.outcome == "busy"


def test_a_source_of_a_run_that_lost_its_worker_is_taken_over() -> None:
    source = a_source()
    dead = a_run()
    Run.objects.filter(pk=dead.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=6))
    Source.objects.update(claimed_by=dead)
    (report,) = fetch(FakeWeb({source.url: rss(rss_item("1"))}), source)
    assert report.created == 1


def test_the_claim_ends_with_the_fetch() -> None:
    source = a_source()
    fetch(FakeWeb({source.url: rss()}), source)
    fetch(FakeWeb(), source)
    source.refresh_from_db()
    assert source.claimed_by is None


def test_a_source_removed_meanwhile_is_no_failure() -> None:
    source = a_source()
    Source.objects.all().delete()
    (report,) = fetch(FakeWeb(), source)
    assert report.outcome == "gone"


def test_pending_is_what_is_active_and_due() -> None:
    due = a_source("Due")
    a_source("Later", next_fetch_at=timezone.now() + timedelta(hours=1))
    a_source("Paused", state=SourceState.PAUSED)
    assert list(ingest.pending()) == [due]


def test_the_hash_covers_every_field_but_raw() -> None:
    item = an_item()
    changes = [
        {"kind": ArtifactKind.POST},
        {"url": "https://a.example/other"},
        {"title": "Other"},
        {"text": "Other"},
        {"authors": (Author("Ada Example", "Lab"),)},
        {"published_at": PUBLISHED + timedelta(seconds=1)},
        {"updated_at": PUBLISHED},
        {"identifiers": ((IdentifierScheme.DOI, "10.5555/a"),)},
        {"engagement": {"comments": 1}},
        {"metadata": {"version": 2}},
    ]
    hashes = {ingest.content_hash(replace(item, **change)) for change in changes}
    assert len(hashes | {ingest.content_hash(item)}) == len(changes) + 1
