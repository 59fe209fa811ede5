"""Ten failed look-ups a minute for each address, and no more memory than that takes."""

from __future__ import annotations

import pytest

from ratelimit.identity import suspects as module
from ratelimit.identity.suspects import Suspects

MINUTE_NS = 60 * 10**9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    now = [10**15]
    monkeypatch.setattr(module, "monotonic_ns", lambda: now[0])
    return now


def test_ten_failures_are_let_pass_and_then_one_every_six_seconds(clock: list[int]) -> None:
    suspects = Suspects()
    for _ in range(10):
        assert suspects.may_ask("a")
        suspects.charge("a")
    assert not suspects.may_ask("a")
    clock[0] += MINUTE_NS // 10
    assert suspects.may_ask("a")
    suspects.charge("a")
    assert not suspects.may_ask("a")


def test_asking_alone_costs_nothing(clock: list[int]) -> None:
    suspects = Suspects()
    assert all(suspects.may_ask("a") for _ in range(100))


def test_failures_beyond_the_tenth_make_no_debt(clock: list[int]) -> None:
    suspects = Suspects()
    for _ in range(1000):
        suspects.charge("a")
    clock[0] += MINUTE_NS // 10
    assert suspects.may_ask("a")


def test_the_least_recently_charged_is_forgotten_first(clock: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_ADDRESSES", 3)
    suspects = Suspects()
    for _ in range(10):
        for address in "abc":
            suspects.charge(address)
    suspects.charge("a")
    suspects.charge("d")
    assert [suspects.may_ask(address) for address in "abcd"] == [False, True, False, True]


def test_a_forked_child_does_not_wait_for_its_parents_lock() -> None:
    suspects = Suspects()
    suspects._lock.acquire()
    suspects.after_fork()
    suspects.charge("a")
