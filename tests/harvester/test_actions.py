"""What a person may do, and what is refused with which words."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from harvester import actions
from harvester.errors import FetchError, IdempotencyConflictError, SourceConfigError, UnknownSourceError
from harvester.models import Artifact, Run, RunStatus, Source, SourceState, User
from harvester.pipeline.run import claim, harvest
from tests.fakes import FakeWeb, rss, rss_item

pytestmark = pytest.mark.django_db

URL = "https://a.example/rss"


@pytest.fixture
def feed() -> Source:
    return actions.add_source(kind="feed", name="A feed", url=URL)


@pytest.fixture
def anna() -> User:
    return User.objects.create_user("anna", is_staff=True)


# --- sources --------------------------------------------------------------------------------------------------------


def test_a_source_is_added_and_due_at_once(feed: Source) -> None:
    assert feed.next_fetch_at <= timezone.now()


@pytest.mark.parametrize(
    ("fields", "culprit"),
    [
        ({"kind": "fax"}, "kind"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "nul\0"}, "name"),
        ({"url": ""}, "url"),
        ({"url": "ftp://a.example/rss"}, "url"),
        ({"url": "not a url"}, "url"),
        ({"url": "https://a.example/" + "x" * 2000}, "url"),
        ({"url": "https://a.example/\r\nHost: b"}, "url"),
        ({"kind": "arxiv", "url": "", "query": ""}, "query"),
        ({"kind": "arxiv", "url": "gopher://x", "query": "cat:cs.LG"}, "url"),
    ],
)
def test_what_cannot_work_is_refused_by_field_and_nothing_is_added(fields: dict[str, str], culprit: str) -> None:
    with pytest.raises(SourceConfigError) as refusal:
        actions.add_source(**{"kind": "feed", "name": "A feed", "url": URL} | fields)
    assert refusal.value.field == culprit
    assert len(refusal.value.message) > 10
    assert not Source.objects.exists()


def test_a_name_is_taken_whatever_its_case(feed: Source) -> None:
    with pytest.raises(SourceConfigError, match="already"):
        actions.add_source(kind="feed", name="a FEED", url=URL)
    assert Source.objects.count() == 1


def test_an_edited_source_is_read_from_the_beginning(feed: Source) -> None:
    Source.objects.update(
        cursor={"page": 3}, etag='"x"', last_modified="yesterday", consecutive_failures=2,
        leave_alone_until=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    feed.refresh_from_db()
    actions.edit_source(feed, url="https://b.example/rss")
    feed.refresh_from_db()
    assert (feed.url, feed.cursor, feed.etag, feed.last_modified) == ("https://b.example/rss", {}, "", "")
    assert (feed.consecutive_failures, feed.leave_alone_until) == (0, None)


def test_a_refused_edit_changes_nothing(feed: Source) -> None:
    with pytest.raises(SourceConfigError):
        actions.edit_source(feed, url="nonsense")
    feed.refresh_from_db()
    assert feed.url == URL


def test_pause_and_resume(feed: Source) -> None:
    actions.pause_source(feed)
    feed.refresh_from_db()
    assert feed.state == SourceState.PAUSED
    actions.resume_source(feed)
    feed.refresh_from_db()
    assert feed.next_fetch_at <= timezone.now()


def test_removing_a_source_takes_its_artifacts_with_it(feed: Source) -> None:
    run = Run.objects.create()
    claim(run)
    harvest(run, FakeWeb({URL: rss(rss_item("1"), rss_item("2"))}))
    assert actions.remove_source(feed) == 2
    assert not Artifact.objects.exists()


def test_checking_stores_nothing(feed: Source) -> None:
    titles = actions.check_source(feed, FakeWeb({URL: rss(*(rss_item(str(n)) for n in range(20)))}))
    assert len(titles) == 5
    assert not Artifact.objects.exists()
    feed.refresh_from_db()
    assert feed.last_fetch_at is None


def test_checking_a_source_that_fails_says_why(feed: Source) -> None:
    with pytest.raises(FetchError, match="not known here"):
        actions.check_source(feed, FakeWeb())


# --- runs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[int]]]:
    """The messages that went to the broker."""
    messages: list[tuple[str, list[int]]] = []
    monkeypatch.setattr(
        actions.current_app, "send_task", lambda name, args, **_: messages.append((name, args)), raising=False
    )
    return messages


def test_asking_for_a_harvest_queues_a_run_and_wakes_a_worker(
    anna: User, sent: list[object], django_capture_on_commit_callbacks: object
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        run = actions.request_harvest(owner=anna, trigger="api")
    assert run.status == RunStatus.QUEUED
    assert sent == [(actions.HARVEST_TASK, [run.pk])]


def test_a_broker_that_is_away_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, anna: User, django_capture_on_commit_callbacks: object
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(actions.current_app, "send_task", refuse, raising=False)
    with django_capture_on_commit_callbacks(execute=True):
        run = actions.request_harvest(owner=anna, trigger="api")
    assert Run.objects.get(pk=run.pk).status == RunStatus.QUEUED


def test_only_what_was_said_stands_in_the_parameters(feed: Source) -> None:
    run = actions.create_run(trigger="command", source="a feed", limit=5)
    assert run.parameters == {"source": "A feed", "limit": 5}


def test_an_unknown_source_is_refused_and_the_known_are_named(feed: Source) -> None:
    with pytest.raises(UnknownSourceError, match="A feed"):
        actions.create_run(trigger="command", source="B feed")
    assert not Run.objects.exists()


def test_an_unknown_stage_is_refused(db: None) -> None:
    with pytest.raises(SourceConfigError, match="Known stages: ingest"):
        actions.create_run(trigger="command", stage="fry")


def test_the_same_key_gives_the_same_run(anna: User) -> None:
    first = actions.create_run(owner=anna, trigger="api", idempotency_key="k")
    assert actions.create_run(owner=anna, trigger="api", idempotency_key="k") == first
    assert Run.objects.count() == 1


def test_the_same_key_for_another_request_is_a_conflict(anna: User, feed: Source) -> None:
    actions.create_run(owner=anna, trigger="api", idempotency_key="k")
    with pytest.raises(IdempotencyConflictError):
        actions.create_run(owner=anna, trigger="api", source="A feed", idempotency_key="k")


def test_a_key_is_one_owners_own(anna: User) -> None:
    bert = User.objects.create_user("bert")
    actions.create_run(owner=anna, trigger="api", idempotency_key="k")
    actions.create_run(owner=bert, trigger="api", idempotency_key="k")
    assert Run.objects.count() == 2


def test_a_key_is_free_again_after_a_day(anna: User) -> None:
    first = actions.create_run(owner=anna, trigger="api", idempotency_key="k")
    Run.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert actions.create_run(owner=anna, trigger="api", idempotency_key="k") != first
