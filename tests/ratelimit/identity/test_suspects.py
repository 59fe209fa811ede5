"""Ten failed look-ups a minute for each address, and no more memory than that takes."""

from __future__ import annotations

import pytest

from ratelimit.identity import suspects as module
from ratelimit.identity.suspects import FAILED_LOOKUPS, Suspects

MINUTE_NS = 60 * 10**9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    now = [10**15]
    monkeypatch.setattr(module, "monotonic_ns", lambda: now[0])
    return now


def turns_left(suspects: Suspects, address: str) -> int:
    turns = 0
    while suspects.take_turn(address):
        turns += 1
    return turns


def test_ten_turns_are_given_and_then_one_every_six_seconds(clock: list[int]) -> None:
    suspects = Suspects()
    assert turns_left(suspects, "a") == FAILED_LOOKUPS.requests
    clock[0] += MINUTE_NS // 10
    assert turns_left(suspects, "a") == 1


def test_turns_that_are_given_back_cost_nothing_and_leave_nothing(clock: list[int]) -> None:
    suspects = Suspects()
    for _ in range(100):
        assert suspects.take_turn("a")
        suspects.give_back_turn("a")
    assert suspects._arrivals_us == {}


def test_a_turn_given_back_is_one_turn(clock: list[int]) -> None:
    suspects = Suspects()
    turns_left(suspects, "a")
    suspects.give_back_turn("a")
    assert turns_left(suspects, "a") == 1


def test_no_more_turns_come_back_than_there_were(clock: list[int]) -> None:
    suspects = Suspects()
    for _ in range(100):
        suspects.give_back_turn("a")
    assert turns_left(suspects, "a") == FAILED_LOOKUPS.requests


def test_turns_that_are_refused_make_no_debt(clock: list[int]) -> None:
    suspects = Suspects()
    for _ in range(1000):
        suspects.take_turn("a")
    clock[0] += MINUTE_NS // 10
    assert suspects.take_turn("a")


def test_the_address_whose_last_turn_is_oldest_is_forgotten_first(
    clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_ADDRESSES", 3)
    suspects = Suspects()
    for _ in range(9):
        for address in "abc":
            suspects.take_turn(address)
    for address in "bcad":
        suspects.take_turn(address)
    assert list(suspects._arrivals_us) == ["c", "a", "d"]
    assert [suspects.take_turn(address) for address in "ca"] == [False, False]


def test_a_forked_child_does_not_wait_for_its_parents_lock() -> None:
    suspects = Suspects()
    suspects._lock.acquire()
    suspects.after_fork()
    suspects.take_turn("a")
