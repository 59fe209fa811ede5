"""Buckets in memory: bounded, quick, by share."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Thread

import pytest

from ratelimit.bucket import Limit
from ratelimit.stores.base import Charge
from ratelimit.stores.memory import MemoryStore

SLOW = Limit(10, 3600)


class Clock:
    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


def test_its_clock_is_handed_in_and_counts_microseconds() -> None:
    clock = Clock()
    store = MemoryStore(10, clock_ns=clock)
    store.take_one("a", Limit(1, 1))
    clock.ns = 999_999_999
    assert not store.take_one("a", Limit(1, 1)).allowed
    clock.ns = 1_000_000_000
    verdict = store.take_one("a", Limit(1, 1))
    assert (verdict.allowed, verdict.now_us, verdict.arrival_us) == (True, 1_000_000, 2_000_000)


def test_it_keeps_no_more_buckets_than_it_may() -> None:
    store = MemoryStore(100)
    for number in range(1_000):
        store.take_one(f"client-{number}", SLOW)
        store.take([Charge(f"client-{number}", SLOW), Charge(f"search-{number}", SLOW)])
    assert len(store) == 100


def test_of_the_buckets_asked_for_last_half_as_many_as_it_may_keep_are_there_always() -> None:
    for others in range(25):
        store = MemoryStore(100)
        for number in range(others):
            store.take_one(f"before-{number}", SLOW)
        store.take_one("a", SLOW, 10)
        for number in range(49):
            store.take([Charge(f"one-{number}", SLOW), Charge(f"other-{number}", SLOW)][: 1 + number % 2])
            assert not store.take_one("a", SLOW).allowed  # a refusal counts: nobody gets free by trying on
        for number in range(49):
            store.take_one(f"last-{number}", SLOW)
        assert not store.take_one("a", SLOW).allowed


def test_who_was_asked_for_longest_ago_is_dropped_first() -> None:
    store = MemoryStore(100)
    for key in ("a", "b"):
        store.take_one(key, SLOW, 10)
    for number in range(100):
        store.take_one(f"client-{number}", SLOW)
        store.take_one("a", SLOW)
    assert [store.take_one(key, SLOW).allowed for key in ("a", "b")] == [False, True]


def test_a_store_for_no_buckets_keeps_some_all_the_same() -> None:
    store = MemoryStore(0)
    assert [store.take_one("a", Limit(1, 3600)).allowed for _ in range(2)] == [True, False]


def test_looking_keeps_nothing() -> None:
    store = MemoryStore(3)
    store.peek([Charge("a", SLOW)])
    store.refund([Charge("a", SLOW)], "memory")
    assert len(store) == 0


def test_each_process_applies_its_share() -> None:
    store = MemoryStore(10, processes=4)
    verdicts = [store.take_one("a", Limit(10, 3600)) for _ in range(3)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, False]
    assert {verdict.limit for verdict in verdicts} == {Limit(2, 3600)}
    several = store.take([Charge("b", Limit(10, 3600)), Charge("c", Limit(3, 3600))])
    assert [verdict.limit for verdict in several] == [Limit(2, 3600), Limit(1, 3600)]
    assert store.peek([Charge("a", Limit(10, 3600))])[0].limit == Limit(2, 3600)
    store.refund([Charge("a", Limit(10, 3600), 1)], "memory")
    assert store.take_one("a", Limit(10, 3600)).allowed


def test_shares_of_ever_new_limits_are_not_kept_for_ever() -> None:
    store = MemoryStore(10, processes=2)
    for number in range(1, 5_000):
        assert store.take_one("a", Limit(number + 1, 3600)).limit.requests == (number + 1) // 2
    assert len(store._shares) <= 1_000


def test_first_use_is_told_once_in_each_process() -> None:
    told: list[str] = []
    store = MemoryStore(10, on_first_use=lambda one: told.append(one.name))
    assert told == []
    store.take_one("a", SLOW)
    store.take([Charge("a", SLOW), Charge("b", SLOW)])
    assert told == ["memory"]
    store.after_fork()
    store.take([Charge("a", SLOW), Charge("b", SLOW)])
    store.take_one("a", SLOW)
    assert told == ["memory"] * 2


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_is_not_locked_out_by_a_thread_it_does_not_have() -> None:
    store = MemoryStore(10)
    store.take_one("a", SLOW, 10)
    with store._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if store.take_one("a", SLOW).allowed else 1)  # and it begins with full buckets
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not store.take_one("a", SLOW).allowed


def test_nothing_is_lost_between_threads() -> None:
    store, limit = MemoryStore(10), Limit(100_000, 3600)

    def ask() -> None:
        for _ in range(2_000):
            store.take_one("a", limit)

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = store.peek([Charge("a", limit)])[0]
    assert verdict.arrival_us - verdict.now_us > (16_000 - 100) * limit.interval_us


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_million_addresses_take_no_more_than_20_mb() -> None:
    """In a process of its own, with the bound that settings have by default and keys as the limiter makes them."""
    script = """
from pathlib import Path
from django.conf import settings
settings.configure()
from ratelimit.bucket import Limit
from ratelimit.conf import conf
from ratelimit.stores.memory import MemoryStore

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

store, limit = MemoryStore(conf.memory_keys), Limit(100, 60)
store.take_one("rate_limit:{warm}:anonymous", limit)
before = resident()
for number in range(1_000_000):
    store.take_one("rate_limit:{%032x}:anonymous" % number, limit)
print(resident() - before)
"""
    grown = int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)
    assert grown <= 20_000_000
