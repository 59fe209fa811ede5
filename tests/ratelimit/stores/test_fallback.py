"""The breaker, on servers that are killed and hung and come back."""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from ratelimit.bucket import Limit
from ratelimit.errors import StoreError
from ratelimit.signals import backend_changed
from ratelimit.stores.base import Charge, Verdict
from ratelimit.stores.fallback import FallbackStore
from ratelimit.stores.memory import MemoryStore
from tests.ratelimit.stores.conftest import PROBE
from tests.ratelimit.stores.patience import NEVER, in_time
from tests.services import RedisProcess

KEY = "rate_limit:{somebody}:anonymous"
SLOW = Limit(10, 3600)
READ = 0.05
MARGIN = 0.01  # seconds that the contract allows on top of a timeout
BACK = 1.2  # seconds after the server's return

MakeFallback = Callable[..., FallbackStore]
Change = tuple[str, str, str]


@pytest.fixture
def changes() -> Iterator[list[Change]]:
    """Every backend_changed of the test: previous, current, reason."""
    heard: list[Change] = []

    def hear(sender: object, previous: str, current: str, reason: str, **_: Any) -> None:
        heard.append((previous, current, reason))

    backend_changed.connect(hear)
    yield heard
    backend_changed.disconnect(hear)


class Primary:
    """A stand-in that answers or fails as told, and counts."""

    name = "redis"

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.probes = 0
        self.asked = 0
        self._store = MemoryStore(1_000)

    def take_one(self, key: str, limit: Limit, cost: int = 1) -> Verdict:
        return self.take([Charge(key, limit, cost)])[0]

    def take(self, charges: Sequence[Charge]) -> list[Verdict]:
        self._answer(charges[0].key)
        return [verdict._replace(backend=self.name) for verdict in self._store.take(charges)]

    async def atake(self, charges: Sequence[Charge]) -> list[Verdict]:
        return self.take(charges)

    def peek(self, charges: Sequence[Charge]) -> list[Verdict]:
        self._answer(charges[0].key)
        return self._store.peek(charges)

    def refund(self, charges: Sequence[Charge], backend: str) -> None:
        self._answer(charges[0].key)
        self._store.refund(charges, "memory")

    async def arefund(self, charges: Sequence[Charge], backend: str) -> None:
        self.refund(charges, backend)

    def reset(self, keys: Sequence[str]) -> int:
        self._answer(keys[0])
        return self._store.reset(keys)

    def close(self) -> None:
        self._store.close()

    def _answer(self, key: str) -> None:
        if key == PROBE:
            self.probes += 1
        else:
            self.asked += 1
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def primary() -> Primary:
    return Primary()


@pytest.fixture
def quick(primary: Primary) -> Iterator[FallbackStore]:
    """On the stand-in, probing every 20 ms."""
    store = FallbackStore(primary, MemoryStore(1_000, processes=2), PROBE, 0.02)
    yield store
    store.close()


def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def probes() -> int:
    return sum(thread.name == "ratelimit-probe" for thread in threading.enumerate())


# --- changes ---------------------------------------------------------------------------------------------------------


def test_the_first_use_is_a_change_from_nothing(quick: FallbackStore, changes: list[Change]) -> None:
    assert (quick.current, changes) == ("", [])
    for _ in range(5):
        quick.take_one(KEY, SLOW)
    assert (quick.current, changes) == ("redis", [("", "redis", "first_use")])


def test_the_first_use_during_an_outage_says_why(quick: FallbackStore, primary: Primary, changes: list[Change]) -> None:
    primary.failure = StoreError("refused")
    assert quick.take_one(KEY, SLOW).backend == "memory"
    assert changes == [("", "memory", "refused")]


def test_each_change_is_told_and_logged_once(
    quick: FallbackStore, primary: Primary, changes: list[Change], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ratelimit.stores.fallback")
    quick.take_one(KEY, SLOW)
    primary.failure = StoreError("timeout")
    for _ in range(50):
        assert quick.take_one(KEY, SLOW).backend == "memory"
    primary.failure = None
    until(lambda: quick.current == "redis")
    for _ in range(50):
        assert quick.take_one(KEY, SLOW).backend == "redis"
    assert changes == [("", "redis", "first_use"), ("redis", "memory", "timeout"), ("memory", "redis", "recovered")]
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert lines == [
        ("INFO", "rate limit backend changed: none -> redis (first_use)"),
        ("WARNING", "rate limit backend changed: redis -> memory (timeout)"),
        ("INFO", "rate limit backend changed: memory -> redis (recovered)"),
    ]


def test_many_threads_that_fail_together_are_one_change(
    quick: FallbackStore, primary: Primary, changes: list[Change]
) -> None:
    primary.failure = StoreError("timeout")
    together = threading.Barrier(16)

    def ask(_: int) -> str:
        together.wait(10)
        return quick.take_one(KEY, SLOW).backend

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(ask, range(16))) == {"memory"}
    assert changes == [("", "memory", "timeout")]
    assert probes() == 1


def test_a_listener_may_ask_and_may_fail(quick: FallbackStore, primary: Primary) -> None:
    heard: list[str] = []

    def ask(sender: object, current: str, **_: Any) -> None:
        heard.append(quick.take_one(KEY, SLOW).backend)
        raise RuntimeError("a listener of bad manners")

    backend_changed.connect(ask)
    try:
        quick.take_one(KEY, SLOW)
        primary.failure = StoreError("closed")
        assert quick.take_one(KEY, SLOW).backend == "memory"
    finally:
        backend_changed.disconnect(ask)
    assert heard == ["redis", "memory"]


# --- while the primary is away ---------------------------------------------------------------------------------------


def test_nobody_asks_the_primary_but_the_probe(quick: FallbackStore, primary: Primary) -> None:
    primary.failure = StoreError("refused")
    quick.take_one(KEY, SLOW)
    for _ in range(100):
        quick.take_one(KEY, SLOW)
        quick.take([Charge(KEY, SLOW), Charge(KEY + "2", SLOW)])
        quick.peek([Charge(KEY, SLOW)])
        quick.refund([Charge(KEY, SLOW)], "redis")
    until(lambda: primary.probes >= 2)
    assert primary.asked == 1


def test_each_process_decides_by_its_share(quick: FallbackStore, primary: Primary) -> None:
    primary.failure = StoreError("refused")
    verdicts = [quick.take_one(KEY, SLOW) for _ in range(6)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False]
    assert {(verdict.backend, verdict.limit) for verdict in verdicts} == {("memory", Limit(5, 3600))}


def test_the_name_stays_the_primarys_so_that_an_outage_can_be_told(quick: FallbackStore, primary: Primary) -> None:
    primary.failure = StoreError("refused")
    assert quick.take_one(KEY, SLOW).backend != quick.name


def test_tokens_go_back_to_who_took_them_or_nowhere(quick: FallbackStore, primary: Primary) -> None:
    quick.take_one(KEY, SLOW, 4)
    primary.failure = StoreError("refused")
    quick.take_one(KEY, SLOW, 3)
    quick.refund([Charge(KEY, SLOW, 4)], "redis")
    assert not quick.take_one(KEY, SLOW, 3).allowed  # memory has lent nothing out for Redis
    quick.refund([Charge(KEY, SLOW, 1)], "memory")
    assert quick.take_one(KEY, SLOW, 3).allowed
    primary.failure = None
    until(lambda: quick.current == "redis")
    quick.refund([Charge(KEY, SLOW, 3)], "memory")
    assert not quick.take_one(KEY, SLOW, 7).allowed
    quick.refund([Charge(KEY, SLOW, 1)], "redis")
    assert quick.take_one(KEY, SLOW, 7).allowed


def test_giving_back_may_be_what_finds_out(quick: FallbackStore, primary: Primary, changes: list[Change]) -> None:
    quick.take_one(KEY, SLOW)
    primary.failure = StoreError("closed")
    quick.refund([Charge(KEY, SLOW)], "redis")
    assert changes[-1] == ("redis", "memory", "closed")


def test_a_reset_that_cannot_be_done_is_said_so(quick: FallbackStore, primary: Primary) -> None:
    quick.take_one(KEY, SLOW, 10)
    primary.failure = StoreError("timeout")
    for _ in range(2):  # as it is found out, and afterwards
        with pytest.raises(StoreError, match=r"^timeout$"):
            quick.reset([KEY])
    quick.take_one(KEY, SLOW, 5)
    with pytest.raises(StoreError):
        quick.reset([KEY])
    assert quick.take_one(KEY, SLOW, 5).allowed  # what memory held is gone all the same
    primary.failure = None
    until(lambda: quick.current == "redis")
    assert quick.reset([KEY]) == 1


# --- the way back ----------------------------------------------------------------------------------------------------


def test_coming_back_hands_out_no_full_bucket_for_the_next_outage(quick: FallbackStore, primary: Primary) -> None:
    primary.failure = StoreError("refused")
    assert [quick.take_one(KEY, SLOW, 5).allowed for _ in range(2)] == [True, False]
    primary.failure = None
    until(lambda: quick.current == "redis")
    primary.failure = StoreError("refused")
    assert not quick.take_one(KEY, SLOW, 5).allowed


def test_the_probe_ends_when_it_has_found_the_way_back(quick: FallbackStore, primary: Primary) -> None:
    for _ in range(3):
        primary.failure = StoreError("refused")
        quick.take_one(KEY, SLOW)
        assert probes() == 1
        primary.failure = None
        until(lambda: quick.current == "redis")
        until(lambda: probes() == 0)


def test_a_primary_that_answers_only_the_probe_is_left_once_an_interval(changes: list[Change]) -> None:
    class Flapping(Primary):
        def _answer(self, key: str) -> None:
            self.failure = None if key == PROBE else StoreError("oom")
            super()._answer(key)

    primary = Flapping()
    store = FallbackStore(primary, MemoryStore(1_000), PROBE, 0.1)
    end, admitted = time.monotonic() + 0.55, 0
    while time.monotonic() < end:
        verdict = store.take_one(KEY, Limit(100, 3600))
        assert verdict.backend == "memory"
        admitted += verdict.allowed
    store.close()
    assert admitted == 100
    assert 3 <= sum(current == "memory" for _, current, _ in changes) <= 6
    assert primary.asked <= 6


def test_a_probe_that_breaks_tries_again(
    quick: FallbackStore, primary: Primary, caplog: pytest.LogCaptureFixture
) -> None:
    primary.failure = StoreError("refused")
    quick.take_one(KEY, SLOW)
    primary.failure = RuntimeError("a mistake in the store")
    until(lambda: "a mistake in the store" in caplog.text)
    primary.failure = None
    until(lambda: quick.current == "redis")


def test_without_a_thread_for_the_probe_the_breaker_stays_closed(
    quick: FallbackStore, primary: Primary, monkeypatch: pytest.MonkeyPatch, changes: list[Change]
) -> None:
    def no_more(_: object) -> None:
        raise RuntimeError("can't start new thread")

    primary.failure = StoreError("refused")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        assert quick.take_one(KEY, SLOW).backend == "memory"
    assert changes == []
    primary.failure = None
    assert quick.take_one(KEY, SLOW).backend == "redis"


def test_a_closed_store_stops_probing(quick: FallbackStore, primary: Primary) -> None:
    primary.failure = StoreError("refused")
    quick.take_one(KEY, SLOW)
    quick.close()
    until(lambda: probes() == 0)
    primary.failure = None
    assert quick.current == ""
    assert quick.take_one(KEY, SLOW).backend == "redis"


# --- real servers ----------------------------------------------------------------------------------------------------


def timed(store: FallbackStore) -> tuple[float, str]:
    begin = time.perf_counter()
    backend = store.take_one(KEY, Limit(1_000_000, 3600)).backend
    return time.perf_counter() - begin, backend


def until_back(store: FallbackStore) -> float:
    """How long it takes from now on, in seconds."""
    begin = time.monotonic()
    until(lambda: store.current == "redis", NEVER * BACK)
    return time.monotonic() - begin


def first_request(store: FallbackStore) -> float:
    """How long the first one takes after the server was lost. All others take next to nothing."""
    first, backend = timed(store)
    assert backend == "memory"
    later = [timed(store) for _ in range(500)]
    assert {backend for _, backend in later} == {"memory"}
    assert statistics.median(seconds for seconds, _ in later) < 20e-6
    return first


def test_a_killed_server_costs_the_first_request_next_to_nothing_and_the_others_nothing(
    own_redis: RedisProcess, make_fallback: MakeFallback
) -> None:
    def trial() -> float:
        store = make_fallback(own_redis.url)
        assert timed(store)[1] == "redis"
        own_redis.kill()
        took = first_request(store)
        store.close()
        own_redis.start()
        return took

    in_time(trial, 2 * MARGIN)


def test_a_hung_server_costs_the_first_request_the_timeout_and_the_others_nothing(
    own_redis: RedisProcess, make_fallback: MakeFallback
) -> None:
    store = make_fallback(own_redis.url)

    def trial() -> float:
        assert timed(store)[1] == "redis"
        own_redis.hang()
        first = first_request(store)
        own_redis.go_on()
        until_back(store)
        assert first >= READ
        return first

    in_time(trial, READ + MARGIN)


def test_requests_under_way_when_a_server_hangs_wait_no_longer_than_the_timeout(
    own_redis: RedisProcess, make_fallback: MakeFallback
) -> None:
    store = make_fallback(own_redis.url)

    def trial() -> float:
        together = threading.Barrier(21)

        def ask(_: int) -> tuple[float, str]:
            timed(store)
            together.wait(10)  # all have their connection
            together.wait(10)  # the server hangs
            return timed(store)

        with ThreadPoolExecutor(20) as threads:
            answers = [threads.submit(ask, number) for number in range(20)]
            together.wait(10)
            own_redis.hang()
            together.wait(10)
            waits = [answer.result(10) for answer in answers]
        assert {backend for _, backend in waits} == {"memory"}
        own_redis.go_on()
        until_back(store)
        return max(seconds for seconds, _ in waits)

    in_time(trial, READ + MARGIN)


@pytest.mark.parametrize("loss", ["killed", "hung"])
def test_it_is_back_on_redis_within_1200_ms_of_its_return(
    own_redis: RedisProcess, make_fallback: MakeFallback, loss: str
) -> None:
    store = make_fallback(own_redis.url)
    lose, restore = (own_redis.kill, own_redis.start) if loss == "killed" else (own_redis.hang, own_redis.go_on)

    def trial() -> float:
        assert timed(store)[1] == "redis"
        lose()
        assert timed(store)[1] == "memory"
        time.sleep(0.3)
        restore()
        return until_back(store)

    in_time(trial, BACK)
    assert timed(store)[1] == "redis"


def test_a_restart_between_two_requests_is_not_even_noticed(
    own_redis: RedisProcess, make_fallback: MakeFallback, changes: list[Change]
) -> None:
    store = make_fallback(own_redis.url)
    for _ in range(3):
        assert timed(store)[1] == "redis"
        own_redis.kill()
        own_redis.start()
    assert timed(store)[1] == "redis"
    assert changes == [("", "redis", "first_use")]


def test_a_server_that_cannot_write_is_not_taken_for_healthy(
    own_redis: RedisProcess, make_fallback: MakeFallback, changes: list[Change]
) -> None:
    store = make_fallback(own_redis.url, probe_interval_seconds=0.03)
    with redis.Redis.from_url(own_redis.url) as operator:
        operator.config_set("maxmemory", 1)
        assert timed(store)[1] == "memory"
        time.sleep(0.2)
        assert changes == [("", "memory", "oom")]
        operator.config_set("maxmemory", 0)
        until(lambda: store.current == "redis")
        until(lambda: operator.exists(PROBE) == 0)  # and nothing is left of the probe


def test_on_a_loop_nothing_blocks_and_nothing_is_asked_while_it_is_away(
    own_redis: RedisProcess, make_fallback: MakeFallback, changes: list[Change]
) -> None:
    store = make_fallback(own_redis.url)

    async def take() -> str:
        return (await store.atake([Charge(KEY, Limit(1_000_000, 3600))]))[0].backend

    async def ticks(stop: asyncio.Event) -> float:
        longest, last = 0.0, time.monotonic()
        while not stop.is_set():
            await asyncio.sleep(0.001)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        return longest

    async def story() -> tuple[float, float, float]:
        assert set(await asyncio.gather(*(take() for _ in range(100)))) == {"redis"}  # connections are there
        stop = asyncio.Event()
        watch = asyncio.create_task(ticks(stop))
        own_redis.hang()
        begin = time.monotonic()
        assert set(await asyncio.gather(*(take() for _ in range(100)))) == {"memory"}
        first = time.monotonic() - begin
        later = []
        for _ in range(300):
            begin = time.perf_counter()
            assert await take() == "memory"
            later.append(time.perf_counter() - begin)
        assert statistics.median(later) < 20e-6
        await store.arefund([Charge(KEY, SLOW)], "redis")
        await store.arefund([Charge(KEY, SLOW)], "memory")
        own_redis.go_on()
        begin = time.monotonic()
        while await take() != "redis":
            assert time.monotonic() - begin < NEVER * BACK
            await asyncio.sleep(0.005)
        back = time.monotonic() - begin
        stop.set()
        return first, back, await watch

    def trial() -> float:
        """How far from the goals, as a part of them, the worst of the three is."""
        changes.clear()
        first, back, longest_block = asyncio.run(story())
        lost_and_found = [("redis", "memory", "timeout"), ("memory", "redis", "recovered")]
        assert [change for change in changes if change[0]] == lost_and_found
        return max(first / (READ + MARGIN), back / BACK, longest_block / 0.02)

    in_time(trial, 1.0)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_finds_out_for_itself_and_comes_back_by_itself(
    own_redis: RedisProcess, make_fallback: MakeFallback, changes: list[Change]
) -> None:
    store = make_fallback(own_redis.url, probe_interval_seconds=0.05)
    timed(store)
    own_redis.kill()
    timed(store)  # the parent's probe is running, and does not exist in the child
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        changes.clear()
        backends = [timed(store)[1], timed(store)[1]]
        os.write(tell, b".")
        deadline = time.monotonic() + 10
        while store.current != "redis" and time.monotonic() < deadline:
            time.sleep(0.01)
        as_it_should = [("", "memory", "refused"), ("memory", "redis", "recovered")]
        os._exit(0 if (backends, changes) == (["memory"] * 2, as_it_should) else 1)
    os.read(told, 1)
    own_redis.start()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    until(lambda: store.current == "redis")
    os.close(told)
    os.close(tell)


def test_the_probe_keeps_no_process_alive(own_redis: RedisProcess) -> None:
    script = f"""
from django.conf import settings
settings.configure(CACHES={{"default": {{"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "{own_redis.url}"}}}})
from ratelimit.bucket import Limit
from ratelimit.stores import build_store
print(build_store().take_one("rate_limit:{{a}}:b", Limit(1)).backend)
"""
    own_redis.kill()
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=30)
    assert done.stdout == "memory\n"
    assert time.monotonic() - begin < 10
