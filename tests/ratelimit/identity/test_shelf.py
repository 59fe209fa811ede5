"""What a process remembers of rows, for how long it believes it, and that it never grows beyond its bounds."""

from __future__ import annotations

import pytest

from ratelimit.identity import shelf as module
from ratelimit.identity.shelf import ABSENT_SECONDS, IDLE_SECONDS, Shelf


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def shelf(clock: list[float]) -> Shelf[str, str]:
    return Shelf(lambda _: {}, "nothing", lambda reason: f"no answer: {reason}")


def test_what_was_read_is_found_while_it_is_believed(shelf: Shelf[str, str], clock: list[float]) -> None:
    shelf.learn(["a"], {"a": "fact"}, read_at=clock[0], seconds=3)
    assert shelf.find("a", is_answering=True) == "fact"
    clock[0] += 3
    assert shelf.find("a", is_answering=True) is None


def test_it_is_believed_from_the_beginning_of_the_query(shelf: Shelf[str, str], clock: list[float]) -> None:
    shelf.learn(["a"], {"a": "fact"}, read_at=clock[0] - 2, seconds=3)
    clock[0] += 1
    assert shelf.find("a", is_answering=True) is None


def test_while_the_database_is_silent_the_last_known_holds(shelf: Shelf[str, str], clock: list[float]) -> None:
    shelf.learn(["a"], {"a": "fact"}, read_at=clock[0], seconds=3)
    clock[0] += 3600
    assert shelf.find("a", is_answering=False) == "fact"
    assert shelf.without_answer("a", "lookup_failed") == "fact"


def test_without_an_answer_what_was_never_known_is_as_the_shelf_says(shelf: Shelf[str, str]) -> None:
    assert shelf.without_answer("a", "lookup_failed") == "no answer: lookup_failed"


def test_what_is_not_there_is_known_not_to_be_there_for_a_while(shelf: Shelf[str, str], clock: list[float]) -> None:
    shelf.learn(["a"], {}, read_at=clock[0], seconds=3)
    assert shelf.find("a", is_answering=True) == "nothing"
    clock[0] += ABSENT_SECONDS
    assert shelf.find("a", is_answering=True) is None


def test_a_row_that_went_is_gone(shelf: Shelf[str, str], clock: list[float]) -> None:
    shelf.learn(["a"], {"a": "fact"}, read_at=clock[0], seconds=3)
    shelf.learn(["a"], {}, read_at=clock[0], seconds=3)
    assert shelf.find("a", is_answering=True) == "nothing"


def test_a_row_that_came_is_there(shelf: Shelf[str, str], clock: list[float]) -> None:
    shelf.learn(["a"], {}, read_at=clock[0], seconds=3)
    shelf.learn(["a"], {"a": "fact"}, read_at=clock[0], seconds=3)
    assert shelf.find("a", is_answering=True) == "fact"


def test_rows_in_use_come_the_latest_first(shelf: Shelf[str, str], clock: list[float]) -> None:
    for name in "abcd":
        shelf.learn([name], {name: "fact"}, read_at=clock[0], seconds=3)
        clock[0] += IDLE_SECONDS / 3
    shelf.find("b", is_answering=True)
    assert [name for name, _ in shelf.in_use(10)] == ["b", "d", "c"]
    assert [name for name, _ in shelf.in_use(1)] == ["b"]


def test_the_least_recently_used_rows_make_room(
    shelf: Shelf[str, str], clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_ROWS", 100)
    for number in range(100):
        clock[0] += 1
        shelf.learn([str(number)], {str(number): "fact"}, read_at=clock[0], seconds=999)
    clock[0] += 1
    shelf.find("0", is_answering=True)
    shelf.learn(["new"], {"new": "fact"}, read_at=clock[0], seconds=999)
    known = [name for name in ("0", "1", "2", "new") if shelf.find(name, is_answering=True)]
    assert known == ["0", "2", "new"]


def test_made_up_keys_make_room_for_each_other_only(
    shelf: Shelf[str, str], clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_ABSENT", 100)
    shelf.learn(["good"], {"good": "fact"}, read_at=clock[0], seconds=999)
    for number in range(1000):
        shelf.learn([f"made up {number}"], {}, read_at=clock[0], seconds=999)
    assert len(shelf._absent_until) == 100
    assert shelf.find("made up 999", is_answering=True) == "nothing"
    assert shelf.find("good", is_answering=True) == "fact"


def test_what_is_forgotten_is_not_found(shelf: Shelf[str, str], clock: list[float]) -> None:
    shelf.learn(["a", "b"], {"a": "fact"}, read_at=clock[0], seconds=3)
    shelf.forget()
    assert shelf.find("a", is_answering=True) is None
    assert shelf.find("b", is_answering=True) is None
