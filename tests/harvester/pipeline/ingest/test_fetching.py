"""A source that fails says why, backs off, and stops nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from harvester.actions import edit_source, remove_source
from harvester.clients.http import Reply
from harvester.errors import FetchError, FetchFailure
from harvester.models import (
    Artifact,
    Run,
    RunStatus,
    Source,
    SourceState,
)
from harvester.pipeline import ingest
from tests.fakes import FakeWeb, rss, rss_item

pytestmark = pytest.mark.django_db


def a_source(name: str = "A feed", **fields: object) -> Source:
    return Source.objects.create(
        **{"name": name, "kind": "feed", "url": f"https://{name[0].lower()}.example/rss"} | fields
    )


def a_run() -> Run:
    now = timezone.now()
    return Run.objects.create(status=RunStatus.RUNNING, started_at=now, heartbeat_at=now)


def fetch(web: FakeWeb, *sources: Source, **options: object) -> list[ingest.SourceReport]:
    return ingest.process(sources, web, run=a_run(), **options)


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


@pytest.mark.parametrize("seconds", [10**8, 10**12, float(10**15)])
def test_no_service_keeps_us_away_for_years(seconds: float) -> None:
    source = a_source()
    busy = FetchError(FetchFailure.HTTP_STATUS, "Busy.", status=503, retry_after_seconds=seconds)
    fetch(FakeWeb({source.url: busy}), source)
    source.refresh_from_db()
    assert timedelta(days=6) < source.next_fetch_at - timezone.now() < timedelta(days=8)


def test_a_source_edited_while_it_is_fetched_keeps_nothing_of_the_old_address() -> None:
    source = a_source()

    class EditedMeanwhile(FakeWeb):
        def get(self, url: str, *, headers: object = None) -> Reply:
            edit_source(Source.objects.get(), url="https://elsewhere.example/rss")
            return Reply(url, 200, {"etag": '"old"'}, rss(rss_item("1")).encode())

    (report,) = fetch(EditedMeanwhile(), source)
    assert report.outcome == "gone"
    assert not Artifact.objects.exists()
    source.refresh_from_db()
    assert (source.url, source.etag, source.cursor) == ("https://elsewhere.example/rss", "", {})
    assert source.last_success_at is None


def test_a_source_removed_while_it_is_fetched_is_no_failure() -> None:
    source = a_source()

    class RemovedMeanwhile(FakeWeb):
        def get(self, url: str, *, headers: object = None) -> Reply:
            remove_source(Source.objects.get())
            return Reply(url, 200, {}, rss(rss_item("1")).encode())

    (report,) = fetch(RemovedMeanwhile(), source)
    assert (report.outcome, report.errors) == ("gone", 0)


def test_a_source_taken_over_by_another_run_is_left_to_it() -> None:
    source = a_source()
    other = a_run()

    class TakenMeanwhile(FakeWeb):
        def get(self, url: str, *, headers: object = None) -> Reply:
            Source.objects.update(claimed_by=other)
            return Reply(url, 200, {}, rss(rss_item("1")).encode())

    (report,) = fetch(TakenMeanwhile(), source)
    assert report.outcome == "gone"
    source.refresh_from_db()
    assert source.claimed_by == other


def test_of_two_scheduled_runs_one_fetches() -> None:
    source = a_source()
    web = FakeWeb({source.url: rss(rss_item("1"))})
    runs = [a_run(), a_run()]
    for run in runs:
        run.parameters = {"only": "due"}
    stale = list(ingest.pending())
    reports = [ingest.process(stale, web, run=run) for run in runs]
    assert [len(report) for report in reports] == [1, 0]
    assert len(web.asked) == 1


def test_a_database_that_is_away_is_not_the_sources_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    source = a_source()

    def locked(*_: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(ingest, "store", locked)
    with pytest.raises(OperationalError):
        fetch(FakeWeb({source.url: rss(rss_item("1"))}), source)
    source.refresh_from_db()
    assert source.consecutive_failures == 0


def test_every_entry_that_could_not_be_used_is_counted() -> None:
    source = a_source()
    (report,) = fetch(FakeWeb({source.url: rss(rss_item("1"), *["<item/>"] * 20)}), source)
    assert (report.created, report.errors) == (1, 20)
    assert len(report.messages) <= 5
