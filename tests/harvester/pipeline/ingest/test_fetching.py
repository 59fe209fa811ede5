"""A source that fails says why, backs off, and stops nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from harvester.errors import FetchError, FetchFailure
from harvester.models import (
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
