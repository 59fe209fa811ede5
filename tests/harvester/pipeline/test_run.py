"""A run goes through the stages in order, tells how it went, and is found when its worker dies."""

from __future__ import annotations

import subprocess
from datetime import timedelta

import pytest
from django.utils import timezone

from harvester.clients.http import Reply
from harvester.errors import FetchError, FetchFailure
from harvester.models import Artifact, ArtifactStage, Run, RunStatus, Source, SourceState
from harvester.pipeline.run import STAGES, claim, harvest, sweep, worker_name
from tests.fakes import FakeWeb, rss, rss_item

pytestmark = pytest.mark.django_db

URL = "https://a.example/rss"
TWO = rss(rss_item("1"), rss_item("2"))


@pytest.fixture
def feed() -> Source:
    return Source.objects.create(name="A feed", kind="feed", url=URL)


def a_run(**parameters: object) -> Run:
    run = Run.objects.create(parameters=parameters)
    assert claim(run)
    return run


def test_a_run_takes_entries_through_every_stage(feed: Source) -> None:
    run = harvest(a_run(), FakeWeb({URL: TWO}))
    assert run.status == RunStatus.SUCCEEDED
    assert [report["stage"] for report in run.stage_reports] == list(STAGES)
    assert [report["processed"] for report in run.stage_reports] == [2, 2, 2]
    assert Artifact.objects.filter(stage=ArtifactStage.SCORED).count() == 2


def test_a_second_run_adds_nothing(feed: Source) -> None:
    harvest(a_run(), FakeWeb({URL: TWO}))
    run = harvest(a_run(), FakeWeb({URL: TWO}))
    assert [(report["created"], report["updated"]) for report in run.source_reports] == [(0, 0)]
    assert Artifact.objects.count() == 2


def test_one_stage_can_be_run_alone(feed: Source) -> None:
    harvest(a_run(stage="ingest"), FakeWeb({URL: TWO}))
    assert set(Artifact.objects.values_list("stage", flat=True)) == {ArtifactStage.INGESTED}
    harvest(a_run(stage="same_work"), FakeWeb())
    assert set(Artifact.objects.values_list("stage", flat=True)) == {ArtifactStage.LINKED}


def test_a_general_run_leaves_out_what_is_paused(feed: Source) -> None:
    Source.objects.update(state=SourceState.PAUSED)
    assert harvest(a_run(), FakeWeb()).source_reports == []


def test_a_run_that_names_a_source_fetches_it_even_when_paused(feed: Source) -> None:
    Source.objects.update(state=SourceState.PAUSED)
    run = harvest(a_run(source="a FEED"), FakeWeb({URL: TWO}))
    assert run.source_reports[0]["created"] == 2


def test_a_scheduled_run_fetches_what_is_due_only(feed: Source) -> None:
    Source.objects.update(next_fetch_at=timezone.now() + timedelta(hours=1))
    assert harvest(a_run(only="due"), FakeWeb()).source_reports == []


def test_a_run_fails_when_every_source_fails(feed: Source) -> None:
    run = harvest(a_run(), FakeWeb({URL: FetchError(FetchFailure.TIMED_OUT, "Too slow.")}))
    assert run.status == RunStatus.FAILED
    assert run.error == "Every source failed."


def test_a_run_succeeds_when_some_source_does(feed: Source) -> None:
    Source.objects.create(name="Other", kind="feed", url="https://b.example/rss")
    run = harvest(a_run(), FakeWeb({URL: TWO}))
    assert run.status == RunStatus.SUCCEEDED


def test_what_was_left_by_a_dead_run_is_finished_by_the_next(feed: Source) -> None:
    harvest(a_run(stage="ingest"), FakeWeb({URL: TWO}))
    run = harvest(a_run(), FakeWeb({URL: TWO}))
    assert run.source_reports[0]["created"] == 0
    assert Artifact.objects.filter(stage=ArtifactStage.SCORED).count() == 2


def test_an_interrupted_run_is_cancelled_and_frees_its_sources(feed: Source) -> None:
    class Interrupted(FakeWeb):
        def get(self, url: str, *, headers: object = None) -> None:
            raise KeyboardInterrupt

    run = a_run()
    with pytest.raises(KeyboardInterrupt):
        harvest(run, Interrupted())
    run.refresh_from_db()
    feed.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    assert feed.claimed_by is None


def test_a_run_for_a_source_that_is_gone_says_so(feed: Source) -> None:
    run = harvest(a_run(source="Another"), FakeWeb())
    assert run.status == RunStatus.FAILED
    assert "no source named “Another”" in run.error


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.CANCELLED])
def test_a_run_that_somebody_ended_stays_ended(feed: Source, status: RunStatus) -> None:
    class EndedMeanwhile(FakeWeb):
        def get(self, url: str, *, headers: object = None) -> Reply:
            Run.objects.update(status=status, error="by somebody")
            return Reply(url, 200, {}, TWO.encode())

    run = harvest(a_run(), EndedMeanwhile())
    run.refresh_from_db()
    assert (run.status, run.error) == (status, "by somebody")


# --- claiming and sweeping ------------------------------------------------------------------------------------------


def test_a_run_is_claimed_once() -> None:
    run = Run.objects.create()
    again = Run.objects.get(pk=run.pk)
    assert claim(run)
    assert not claim(again)
    assert run.worker == worker_name()


def test_a_silent_run_is_ended_and_its_sources_are_free(feed: Source) -> None:
    run = a_run()
    Run.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=5), worker="elsewhere:1")
    Source.objects.update(claimed_by=run)
    assert sweep() == 1
    run.refresh_from_db()
    feed.refresh_from_db()
    assert run.status == RunStatus.FAILED
    assert "worker died" in run.error
    assert feed.claimed_by is None


def test_a_run_of_a_process_that_is_gone_is_ended_at_once() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    run = a_run()
    Run.objects.update(worker=f"{worker_name().rpartition(':')[0]}:{gone.pid}")
    assert sweep() == 1
    run.refresh_from_db()
    assert run.status == RunStatus.FAILED


def test_a_working_run_is_left_alone() -> None:
    a_run()
    assert sweep() == 0


def test_a_fresh_run_of_another_machine_is_left_alone() -> None:
    a_run()
    Run.objects.update(worker="elsewhere:1")
    assert sweep() == 0


def test_a_lost_run_is_shown_as_failed_before_anybody_sweeps() -> None:
    run = a_run()
    run.heartbeat_at = timezone.now() - timedelta(minutes=5)
    assert run.shown_status == RunStatus.FAILED
    assert run.is_finished
