"""Every metric of the domain moves when what it measures happens, and by as much."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, transaction
from django.test import Client
from django.utils import timezone
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from harvester import metrics
from harvester.actions import add_source, edit_source, pause_source, remove_source, resume_source
from harvester.clients.http import Reply
from harvester.errors import FetchError, FetchFailure
from harvester.metrics import Mishap
from harvester.models import (
    Artifact,
    ArtifactStage,
    Relationship,
    RelationshipMethod,
    RelationshipType,
    Run,
    Score,
    User,
)
from harvester.pipeline import ingest, same_work, score
from harvester.pipeline.ingest import storing
from harvester.pipeline.run import STAGES, claim, harvest, sweep
from harvester.sources.base import Item, Page
from ratelimit import deny_cache, limiter, signals
from ratelimit.bucket import Decision
from ratelimit.stores.memory import MemoryStore
from ratelimit.stores.redis.store import RedisStore
from tests.factories import make_artifact, make_identifier, make_run, make_source
from tests.fakes import FakeWeb, rss, rss_item
from tests.harvester.moving import Watch, declared, forget, moves, proven, values_of
from tests.installation import Installation

URL = "https://a.example/rss"
TWO = rss(rss_item("1"), rss_item("2"))


@pytest.fixture(autouse=True)
def no_source_is_known() -> None:
    """Of the budget of names nothing is spent by the tests before, and nothing counted."""
    for family in (metrics.discoveries_fetched, metrics.discovery_fetch_duration):
        forget(family)


@pytest.fixture
def committed(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done at a commit is done at the end of each outermost block of the code, as outside of a test."""

    def at_once(function: Callable[[], object], using: str | None = None, robust: bool = False) -> None:
        function()

    monkeypatch.setattr(transaction, "on_commit", at_once)


def a_run(**parameters: object) -> Run:
    run = make_run(parameters=parameters)
    assert claim(run)
    return run


# --- nothing is left out ---------------------------------------------------------------------------------------------


def test_every_metric_and_every_mishap_has_a_test_that_moves_it() -> None:
    for name in ("test_wiring", "test_collectors"):
        import_module(f"tests.harvester.{name}")
    assert sorted({*declared(), *Mishap} - proven) == []
    assert sorted(proven - {*declared(), *Mishap}) == []


def test_what_labels_say_is_what_the_models_and_stages_say() -> None:
    assert metrics.STAGES == STAGES
    assert tuple(RelationshipType) == metrics.RELATIONSHIP_TYPES
    assert tuple(RelationshipMethod) == metrics.RELATIONSHIP_METHODS


def test_the_reasons_of_rejected_keys_are_those_that_the_limiter_lists() -> None:
    told = Path(signals.__file__).read_text(encoding="utf-8").partition("#: ``reason`` (str: ")[2].partition(")")[0]
    assert [word for word in told.replace("``", "").replace("\n#:", "").split(", ") if word.strip()] == list(
        metrics.REJECTIONS
    )


def test_deciders_are_those_that_the_limiter_names() -> None:
    stores = (MemoryStore, RedisStore)
    assert {*(store.name for store in stores), deny_cache.BACKEND, limiter.NOBODY} == set(metrics.DECIDERS)
    told = (Decision.__doc__ or "").partition("``backend`` is what decided: ")[2].partition(".")[0]
    assert tuple(re.findall("``([a-z_]+)``", told)) == metrics.DECIDERS


def test_what_is_closed_is_there_from_the_start() -> None:
    assert set(values_of(metrics.discovery_fetch_failures)) == {(reason,) for reason in FetchFailure}
    assert len(values_of(metrics.rate_limit_requests)) == 3 * len(values_of(metrics.rate_limit_denials))


def test_every_mishap_is_there_from_the_start(tmp_path: Path) -> None:
    page = Installation(tmp_path, f"sqlite:///{tmp_path}/none").manage("metrics", "--values", "errors_total").stdout
    told = {
        (sample.labels["type"], sample.labels["severity"]): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "errors_total"
    }
    expected = {(str(mishap), severity) for mishap in Mishap for severity in metrics.SEVERITIES[mishap]}
    assert {key for key, value in told.items() if value == 0} >= expected


# --- discovery -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@moves(
    metrics.discoveries_fetched,
    metrics.discovery_fetch_duration,
    metrics.discovery_score,
    metrics.discoveries_scored,
    metrics.discovery_pipeline_duration,
    metrics.discovery_pipeline_last_success,
    metrics.relationships_detected,
    metrics.relationship_confidence,
)
def test_a_harvest_of_the_sample_world_counts_what_it_finds() -> None:
    watch, began = Watch(), time.time()
    call_command("sample", "load", stdout=StringIO())
    run = Run.objects.get()
    fetched = {(report["name"],): report["fetched"] for report in run.source_reports if report["fetched"]}
    assert watch.all_of(metrics.discoveries_fetched) == fetched
    assert set(watch.all_of(metrics.discovery_fetch_duration).values()) == {1}
    scores = Score.objects.count()
    assert scores > 100
    assert watch.of(metrics.discoveries_scored) == watch.of(metrics.discovery_score) == scores
    assert watch.all_of(metrics.discovery_pipeline_duration) == {(stage,): 1 for stage in STAGES}
    assert all(began <= value <= time.time() for value in values_of(metrics.discovery_pipeline_last_success).values())
    found = Relationship.objects.count()
    assert found > 10
    assert sum(watch.all_of(metrics.relationships_detected).values()) == found
    assert watch.of(metrics.relationship_confidence) == found


@pytest.mark.django_db(transaction=True)
def test_a_second_harvest_of_the_same_finds_nothing_new() -> None:
    source = make_source("First", url=URL)
    other = make_source("Second", url="https://b.example/rss")
    web = FakeWeb({URL: TWO, other.url: TWO.replace("A feed", "Another")})
    harvest(a_run(), web)
    Artifact.objects.update(stage=ArtifactStage.INGESTED)
    watch = Watch()
    harvest(a_run(), web)
    assert watch.of(metrics.discoveries_fetched, source.name) == 2, "what was read, new or not"
    assert watch.all_of(metrics.relationships_detected) == {}
    assert watch.of(metrics.discoveries_scored) == 4, "given anew"


@pytest.mark.django_db
@pytest.mark.parametrize("reason", [FetchFailure.TIMED_OUT, FetchFailure.NOT_A_FEED])
@moves(metrics.discovery_fetch_failures, Mishap.FETCH_FAILED, Mishap.RUN_FAILED)
def test_a_source_that_fails_is_counted_with_its_reason(reason: FetchFailure) -> None:
    source, watch = make_source(url=URL), Watch()
    was = values_of(metrics.discovery_pipeline_last_success)["ingest",]
    harvest(a_run(), FakeWeb({URL: FetchError(reason, "No.")}))
    assert watch.all_of(metrics.discovery_fetch_failures) == {(reason,): 1}
    assert watch.of(metrics.discovery_fetch_duration, source.name) == 1
    assert watch.of(metrics.discovery_pipeline_duration, "ingest") == 1
    assert values_of(metrics.discovery_pipeline_last_success)["ingest",] == was, "nothing but failures is no success"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "has_succeeded"),
    [("waiting", False), ("busy", False), ("gone", False), ("unchanged", True), ("absent", True), ("fetched", True)],
)
def test_an_ingest_succeeds_when_it_has_heard_from_a_source_or_there_is_none(state: str, has_succeeded: bool) -> None:
    run, web = a_run(), FakeWeb({URL: TWO})
    if state == "waiting":
        make_source(url=URL, leave_alone_until=timezone.now() + timedelta(hours=1))
    elif state == "busy":
        make_source(url=URL, claimed_by=a_run())
    elif state == "unchanged":
        make_source(url=URL, etag='"known"')
        web = FakeWeb({URL: Reply(URL, 304, {}, b"")})
    elif state == "gone":
        source = make_source(url=URL)

        def is_removed_meanwhile(_url: str) -> str:
            remove_source(source)
            return TWO

        web = FakeWeb(is_removed_meanwhile)
    elif state == "fetched":
        make_source(url=URL)
        make_source("Another", url="https://b.example/rss", leave_alone_until=timezone.now() + timedelta(hours=1))
    metrics.discovery_pipeline_last_success.at("ingest").set(-1)
    harvest(run, web)
    assert [report["outcome"] for report in run.source_reports][:1] == ([] if state == "absent" else [state])
    assert (values_of(metrics.discovery_pipeline_last_success)["ingest",] > 0) is has_succeeded


@pytest.mark.django_db
@moves(Mishap.FETCH_FAILED)
def test_what_we_break_ourselves_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    make_source(url=URL)
    monkeypatch.setattr(ingest, "store", None)
    before = values_of(Mishap.FETCH_FAILED)
    harvest(a_run(), FakeWeb({URL: TWO}))
    after = values_of(Mishap.FETCH_FAILED)
    assert after["fetch_failed", "error"] == before.get(("fetch_failed", "error"), 0) + 1


@pytest.mark.django_db
def test_what_was_read_before_a_failure_counts() -> None:
    """The second page of an arXiv search fails."""
    source, watch = make_source(url=URL), Watch()

    class GivesOnePage:
        @staticmethod
        def fetch(*_: object, **__: object) -> Any:
            yield Page(items=(_item("1"),), cursor={})
            raise FetchError(FetchFailure.TIMED_OUT, "Too slow.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "source_module", lambda _kind: GivesOnePage)
        harvest(a_run(), FakeWeb())
    assert watch.of(metrics.discoveries_fetched, source.name) == 1


@pytest.mark.django_db
def test_a_source_that_cannot_be_claimed_is_not_fetched() -> None:
    holder = a_run()
    source = make_source(url=URL, claimed_by=holder)
    watch = Watch()
    harvest(a_run(), FakeWeb({URL: TWO}))
    assert watch.of(metrics.discovery_fetch_duration, source.name) == 0


@pytest.mark.django_db
def test_sources_beyond_the_budget_are_added_up() -> None:
    watch = Watch()
    for number in range(60):
        metrics.record_discovery_fetch(f"of many: {number}", 1, 0.1)
    moved = watch.all_of(metrics.discoveries_fetched)
    assert sum(moved.values()) == 60
    assert moved["other",] == 10


@pytest.mark.django_db
@moves(Mishap.ENTRY_REFUSED)
def test_an_entry_that_the_database_refuses_is_counted() -> None:
    storing.store(make_source(), [_item("1"), replace(_item("2"), external_id="")], Page(items=(), cursor={}))


@pytest.mark.django_db
@moves(Mishap.ARTIFACT_FAILED)
def test_an_artifact_on_which_a_stage_fails_is_counted(committed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts = [make_artifact(score=None, stage=ArtifactStage.LINKED) for _ in range(3)]
    real = score.components_of

    def fails_on_one(artifact: Artifact) -> tuple[score.Component, ...]:
        if artifact.pk == artifacts[1].pk:
            raise ValueError
        return real(artifact)

    monkeypatch.setattr(score, "components_of", fails_on_one)
    watch = Watch()
    score.run()
    assert watch.of(metrics.discoveries_scored) == 2


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch fails after all scores were written, and is done again one by one."""
    for _ in range(3):
        make_artifact(score=None, stage=ArtifactStage.LINKED)
    real, watch = score.process, Watch()

    def fails_at_the_end_of_a_batch(artifacts: list[Artifact]) -> None:
        real(artifacts)
        if len(artifacts) > 1:
            raise ValueError

    monkeypatch.setattr(score, "process", fails_at_the_end_of_a_batch)
    assert score.run().processed == 3
    assert watch.of(metrics.discoveries_scored) == 3


@pytest.mark.django_db
def test_a_stage_that_the_database_stops_has_not_succeeded(monkeypatch: pytest.MonkeyPatch) -> None:
    make_artifact(score=None)

    def is_away(*_: object, **__: object) -> None:
        raise OperationalError

    monkeypatch.setattr(same_work, "process", is_away)
    watch, was = Watch(), values_of(metrics.discovery_pipeline_last_success)["same_work",]
    with pytest.raises(OperationalError):
        harvest(a_run(), FakeWeb())
    assert values_of(metrics.discovery_pipeline_last_success)["same_work",] == was
    assert watch.of(metrics.discovery_pipeline_duration, "same_work") == 0


@pytest.mark.django_db
@moves(Mishap.RUN_LOST)
def test_a_run_that_lost_its_worker_is_counted() -> None:
    run = a_run()
    Run.objects.filter(pk=run.pk).update(worker="elsewhere:1", heartbeat_at=timezone.now() - 2 * Run.LOST_AFTER)
    assert sweep() == 1


@pytest.mark.django_db
def test_a_run_that_somebody_ended_is_no_failure_of_ours() -> None:
    before = values_of(Mishap.RUN_FAILED)
    run = a_run()
    Run.objects.update(status="cancelled")
    harvest(run, FakeWeb())
    assert values_of(Mishap.RUN_FAILED) == before


# --- relationships ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_only_links_that_are_new_count_each_with_its_method() -> None:
    first, second = make_artifact(score=None), make_artifact(score=None)
    for artifact in (first, second):
        make_identifier(artifact, "10.5555/1", "doi")
        make_identifier(artifact, "a title", "title")
    watch = Watch()
    same_work.run()
    assert watch.all_of(metrics.relationships_detected) == {("same_as", "doi"): 1}, "the title finds what is known"
    third = make_artifact(score=None)
    make_identifier(third, "10.5555/1", "doi")
    Artifact.objects.update(stage=ArtifactStage.INGESTED)
    same_work.run()
    assert watch.all_of(metrics.relationships_detected) == {("same_as", "doi"): 2}
    assert watch.of(metrics.relationship_confidence) == 2


@pytest.mark.django_db(transaction=True)
def test_a_link_that_another_worker_has_made_meanwhile_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row is there by the time ours is refused."""
    first, second = make_artifact(score=None), make_artifact(score=None)
    for artifact in (first, second):
        make_identifier(artifact, "10.5555/1", "doi")
    manager = Relationship.objects
    real = manager.bulk_create

    def after_another(links: list[Relationship], **options: Any) -> list[Relationship]:
        for link in links:
            manager.create(source=first, target=second, type="same_as", method="doi", confidence=0.99, evidence="")
            assert (link.source_id, link.target_id) == (first.pk, second.pk)
        return real(links, **options)

    monkeypatch.setattr(manager, "bulk_create", after_another)
    watch = Watch()
    same_work.run()
    assert Relationship.objects.count() == 1
    assert watch.all_of(metrics.relationships_detected) == {}


# --- models ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def written(db: None) -> Callable[[str], dict[str, float]]:
    """How many rows of a model were inserted, updated and deleted since."""

    def count(model: str) -> dict[str, float]:
        found = {
            operation: REGISTRY.get_sample_value(f"django_model_{operation}_total", {"model": model})
            for operation in ("inserts", "updates", "deletes")
        }
        assert None not in found.values(), "there from the start"
        return {operation: value or 0.0 for operation, value in found.items()}

    before = {model: count(model) for model in ("source", "user")}
    return lambda model: {operation: value - before[model][operation] for operation, value in count(model).items()}


def test_sources_that_come_change_and_go_are_counted(written: Callable[[str], dict[str, float]]) -> None:
    source = add_source(kind="feed", name="A feed", url=URL)
    assert written("source") == {"inserts": 1, "updates": 0, "deletes": 0}
    edit_source(source, url="https://b.example/rss")
    pause_source(source)
    resume_source(source)
    assert written("source") == {"inserts": 1, "updates": 3, "deletes": 0}
    remove_source(source)
    assert written("source") == {"inserts": 1, "updates": 3, "deletes": 1}


def test_accounts_that_come_change_and_go_are_counted(written: Callable[[str], dict[str, float]]) -> None:
    call_command("createsuperuser", username="anna", email="anna@a.example", interactive=False, stdout=StringIO())
    assert written("user") == {"inserts": 1, "updates": 0, "deletes": 0}
    operator = Client()
    operator.force_login(User.objects.get())  # notes the time of the login
    assert written("user") == {"inserts": 1, "updates": 1, "deletes": 0}
    account = {"username": "ben", "password1": "correct horse battery", "password2": "correct horse battery"}
    operator.post("/admin/harvester/user/add/", account | {"usable_password": "true"})
    ben = User.objects.get(username="ben")
    assert written("user")["inserts"] == 2
    was = written("user")["updates"]
    joined = {"date_joined_0": "2026-03-01", "date_joined_1": "10:00:00"}
    operator.post(f"/admin/harvester/user/{ben.pk}/change/", {"username": "bert", **joined})
    assert User.objects.get(pk=ben.pk).username == "bert"
    assert written("user")["updates"] == was + 1
    operator.post(f"/admin/harvester/user/{ben.pk}/delete/", {"post": "yes"})
    assert written("user")["deletes"] == 1


def test_nothing_counts_what_would_stay_at_zero(db: None) -> None:
    """A run changes in bulk only, and is never deleted."""
    assert REGISTRY.get_sample_value("django_model_updates_total", {"model": "run"}) is None


# --- what it costs ---------------------------------------------------------------------------------------------------


def test_ten_thousand_scores_cost_milliseconds() -> None:
    scores = [number % 100 + 0.5 for number in range(10_000)]
    began = time.perf_counter()
    metrics.record_discovery_scores(scores)
    assert time.perf_counter() - began < 0.1, "ten times the goal"


def _item(external_id: str, kind: str = "article") -> Item:
    return Item(
        external_id=external_id,
        kind=kind,
        url="",
        title=f"Title of {external_id}",
        text="",
        published_at=timezone.now(),
    )
