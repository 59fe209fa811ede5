"""`manage.py harvest` tells people and machines what happened, and ends with a code that can be trusted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from harvester import actions
from harvester.management.commands import harvest as command
from harvester.models import Run, RunStatus, Source
from tests.fakes import FakeWeb, rss, rss_item

pytestmark = pytest.mark.django_db

URL = "https://a.example/rss"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> FakeWeb:
    known = FakeWeb({URL: rss(rss_item("1"), rss_item("2"), rss_item("3"))})
    monkeypatch.setattr(command, "build_client", lambda: known)
    return known


@pytest.fixture
def feed() -> Source:
    return actions.add_source(kind="feed", name="A feed", url=URL)


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("harvest", *arguments, stdout=out)
    return out.getvalue()


def test_the_summary_counts_per_source(web: FakeWeb, feed: Source) -> None:
    text = printed()
    assert "A feed        3        3        0       0  fetched" in text
    assert "succeeded" in text


def test_json_has_what_machines_need(web: FakeWeb, feed: Source) -> None:
    result = json.loads(printed("--json"))
    run = Run.objects.get()
    assert (result["run_id"], result["status"]) == (run.pk, "succeeded")
    (source,) = result["sources"]
    assert {name: source[name] for name in ("name", "fetched", "created", "updated", "errors")} == {
        "name": "A feed", "fetched": 3, "created": 3, "updated": 0, "errors": 0,
    }  # fmt: skip


def test_limit_and_since_reach_the_source(web: FakeWeb, feed: Source) -> None:
    assert json.loads(printed("--json", "--limit", "2"))["sources"][0]["fetched"] == 2
    assert Run.objects.get().parameters == {"limit": 2}


def test_without_sources_it_says_what_to_do(web: FakeWeb) -> None:
    assert "manage.py source add" in printed()


def test_a_source_that_fails_is_explained(web: FakeWeb, feed: Source) -> None:
    actions.add_source(kind="feed", name="Other", url="https://b.example/rss")
    text = printed()
    assert "https://b.example/rss is not known here." in text
    assert "succeeded" in text


def test_when_everything_fails_so_does_the_command(web: FakeWeb, feed: Source) -> None:
    web.answers.clear()
    with pytest.raises(SystemExit) as ended:
        printed()
    assert ended.value.code == 1
    assert Run.objects.get().status == RunStatus.FAILED


@pytest.mark.parametrize(
    "arguments",
    [("--source", "Nobody"), ("--source", "nul\0")],
)
def test_an_unknown_source_is_a_usage_error_that_lists_the_known(
    web: FakeWeb, feed: Source, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(CommandError, match="Known sources: A feed") as refusal:
        printed(*arguments)
    assert refusal.value.returncode == 2
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("option", "value", "advice"),
    [
        ("--stage", "fry", "choose from"),
        ("--limit", "0", "Write a whole number from 1 up"),
        ("--limit", "-3", "Write a whole number from 1 up"),
        ("--limit", "many", "Write a whole number from 1 up"),
        ("--limit", "9" * 30, "Write a whole number from 1 up"),
        ("--since", "soon", "Write 2026-03-01"),
        ("--since", "2026-02-31", "Write 2026-03-01"),
        ("--since", "", "Write 2026-03-01"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_advice(web: FakeWeb, option: str, value: str, advice: str) -> None:
    with pytest.raises(CommandError, match=advice):
        printed(f"{option}={value}")
    assert not Run.objects.exists()


@pytest.mark.parametrize("written", ["2026-03-01", "2026-03-01T00:00Z", "2026-03-01T02:00+02:00"])
def test_since_is_utc_unless_it_says_otherwise(web: FakeWeb, written: str) -> None:
    printed("--since", written)
    since = datetime.fromisoformat(Run.objects.get().parameters["since"])
    assert since == datetime(2026, 3, 1, tzinfo=UTC)
