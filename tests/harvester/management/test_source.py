"""`manage.py source` adds, lists, changes, pauses, checks and removes, in words and in JSON."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from harvester.management.commands import source as command
from harvester.models import Source, SourceState
from tests.fakes import FakeWeb, rss, rss_item

pytestmark = pytest.mark.django_db

URL = "https://a.example/rss"


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("source", *arguments, stdout=out)
    return out.getvalue()


def as_json(*arguments: str) -> object:
    return json.loads(printed(*arguments, "--json"))


@pytest.fixture
def feed() -> Source:
    printed("add", "feed", "--name", "A feed", "--url", URL)
    return Source.objects.get()


def test_add(feed: Source) -> None:
    assert (feed.kind, feed.name, feed.url) == ("feed", "A feed", URL)


def test_add_answers_in_json() -> None:
    added = as_json("add", "arxiv", "--name", "ML", "--query", "cat:cs.LG")
    assert added["name"] == "ML"
    assert added["query"] == "cat:cs.LG"


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "feed", "--name", "B", "--url", "nonsense"),
        ("add", "arxiv", "--name", "B"),
        ("add", "fax", "--name", "B"),
        ("add", "feed", "--name", "a feed", "--url", URL),
        ("edit", "A feed"),
        ("edit", "A feed", "--url", "nonsense"),
        ("pause", "Nobody"),
        ("resume", "Nobody"),
        ("remove", "Nobody"),
        ("check", "Nobody"),
    ],
)
def test_what_cannot_be_is_refused_with_code_2_and_changes_nothing(feed: Source, arguments: tuple[str, ...]) -> None:
    before = list(Source.objects.values())
    with pytest.raises(CommandError) as refusal:
        printed(*arguments)
    assert refusal.value.returncode == 2
    assert list(Source.objects.values()) == before


def test_list_in_words_and_in_json(feed: Source) -> None:
    assert "A feed  feed    new " in printed("list")
    (listed,) = as_json("list")
    assert (listed["name"], listed["artifacts"], listed["state"]) == ("A feed", 0, "active")


def test_an_empty_list_says_what_to_do() -> None:
    assert "source add" in printed("list")
    assert as_json("list") == []


def test_names_are_found_whatever_their_case(feed: Source) -> None:
    printed("pause", "A FEED")
    feed.refresh_from_db()
    assert feed.state == SourceState.PAUSED
    printed("resume", "a feed")
    feed.refresh_from_db()
    assert feed.state == SourceState.ACTIVE


def test_edit(feed: Source) -> None:
    printed("edit", "A feed", "--url", "https://b.example/rss")
    feed.refresh_from_db()
    assert feed.url == "https://b.example/rss"


def test_remove(feed: Source) -> None:
    assert as_json("remove", "A feed") == {"name": "A feed", "artifacts_removed": 0}
    assert not Source.objects.exists()


def test_check_shows_the_newest_titles(feed: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "build_client", lambda: FakeWeb({URL: rss(rss_item("1", title="Fresh"))}))
    assert "Fresh" in printed("check", "A feed")


def test_check_says_what_is_wrong_with_code_1(feed: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "build_client", FakeWeb)
    with pytest.raises(CommandError, match="not known here") as refusal:
        printed("check", "A feed")
    assert refusal.value.returncode == 1
