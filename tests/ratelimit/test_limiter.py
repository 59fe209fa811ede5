"""What the limiter makes of its store's verdicts, with the store as a stand-in that remembers what it was asked."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit.bucket import Decision, Limit
from ratelimit.errors import StoreError, UnknownTierError
from ratelimit.identity import Identity
from ratelimit.limiter import RateLimiter, Scope, get_rate_limiter
from ratelimit.signals import request_checked
from ratelimit.stores import build_store
from ratelimit.stores.base import Charge, StoreState, Verdict
from ratelimit.stores.memory import MemoryStore

ANYBODY = Identity("address", "0a" * 16, "anonymous")
SOMEBODY_ELSE = Identity("address", "0b" * 16, "anonymous")
ROOT = Identity("user", "0c" * 16, "admin")
KEY = f"{{{ANYBODY.digest}}}:anonymous"
SEARCH = Scope("search", Limit(2, 60))
EXPORT = Scope("export", Limit(1, 3600))

Check = Callable[..., Decision]


class Clock:
    def __init__(self) -> None:
        self.ns = 10**15

    def __call__(self) -> int:
        return self.ns

    def advance(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)


class SharedStore:
    """Behaves as Redis with the fallback behind it: decides for all, and by the share of each process when away."""

    name = "redis"

    def __init__(self, clock: Clock, processes: int = 1) -> None:
        self._redis = MemoryStore(1_000, 1, clock)
        self._memory = MemoryStore(1_000, processes, clock)
        self.is_away = False
        self.asked: list[str] = []

    def take_one(self, key: str, limit: Limit, cost: int = 1) -> Verdict:
        return self.take([Charge(key, limit, cost)])[0]

    def take(self, charges: Sequence[Charge]) -> list[Verdict]:
        self.asked.append("take")
        return self._memory.take(charges) if self.is_away else _by_redis(self._redis.take(charges))

    async def atake(self, charges: Sequence[Charge]) -> list[Verdict]:
        await asyncio.sleep(0)
        return self.take(charges)

    def peek(self, charges: Sequence[Charge]) -> list[Verdict]:
        self.asked.append("peek")
        return self._memory.peek(charges) if self.is_away else _by_redis(self._redis.peek(charges))

    def refund(self, charges: Sequence[Charge], backend: str) -> None:
        self.asked.append("refund")
        if backend == ("memory" if self.is_away else "redis"):
            (self._memory if self.is_away else self._redis).refund(charges, "memory")

    async def arefund(self, charges: Sequence[Charge], backend: str) -> None:
        await asyncio.sleep(0)
        self.refund(charges, backend)

    def reset(self, keys: Sequence[str]) -> int:
        self.asked.append("reset")
        return self._redis.reset(keys)

    def state(self) -> StoreState:
        return StoreState("memory" if self.is_away else "redis", "timeout" if self.is_away else "", 0)

    def count(self, patience_seconds: float) -> int | None:
        return self._redis.count(patience_seconds)

    def close(self) -> None:
        self.asked.append("close")


class BrokenStore(SharedStore):
    """Fails in ways no store should."""

    error: Exception = RuntimeError("the store has a bug")

    def take(self, charges: Sequence[Charge]) -> NoReturn:
        raise self.error

    def refund(self, charges: Sequence[Charge], backend: str) -> NoReturn:
        raise self.error


def _by_redis(verdicts: list[Verdict]) -> list[Verdict]:
    return [verdict._replace(backend="redis") for verdict in verdicts]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """One for the store and for the limiter."""
    one = Clock()
    monkeypatch.setattr("ratelimit.limiter.monotonic_ns", one)
    return one


@pytest.fixture
def store(clock: Clock) -> SharedStore:
    return SharedStore(clock, processes=4)


@pytest.fixture
def limiter(store: SharedStore) -> RateLimiter:
    return RateLimiter(store)


@pytest.fixture(params=["check", "acheck"])
def check(request: pytest.FixtureRequest, limiter: RateLimiter) -> Check:
    """Both ways of asking."""
    if request.param == "check":
        return limiter.check
    return lambda *arguments, **named: asyncio.run(limiter.acheck(*arguments, **named))


@pytest.fixture
def told() -> Iterator[list[dict[str, Any]]]:
    """The signals that were sent."""
    signals: list[dict[str, Any]] = []

    def listen(**signal: Any) -> None:
        signals.append(signal)

    request_checked.connect(listen)
    yield signals
    request_checked.disconnect(listen)


def admitted(check: Check, tries: int, identity: Identity = ANYBODY, **asked: Any) -> int:
    return sum(check(identity, **asked).allowed for _ in range(tries))


# --- one limit -------------------------------------------------------------------------------------------------------


def test_a_tier_admits_its_limit_and_no_more(check: Check) -> None:
    assert admitted(check, 105) == 100
    assert admitted(check, 1, SOMEBODY_ELSE) == 1


def test_the_decision_tells_how_it_stands(check: Check) -> None:
    decision = check(ANYBODY, 30)
    assert decision.allowed
    assert (decision.limit, decision.remaining, decision.tier, decision.backend) == (100, 70, "anonymous", "redis")
    assert decision.reset_after_seconds == pytest.approx(18)
    assert decision.retry_after_seconds == 0


def test_tokens_come_back_at_the_limits_rate(check: Check, clock: Clock) -> None:
    assert admitted(check, 101) == 100
    clock.advance(6.0)
    assert admitted(check, 20) == 10


def test_buckets_are_named_by_tier_and_share_a_slot(limiter: RateLimiter, store: SharedStore) -> None:
    seen: list[str] = []
    take, store.take = store.take, lambda charges: seen.extend(charge.key for charge in charges) or take(charges)  # type: ignore[method-assign]  # a look over its shoulder
    limiter.check(ANYBODY, scopes=[SEARCH])
    assert seen == [KEY, f"{KEY}:search"]


def test_an_unlimited_tier_costs_no_round_trip(check: Check, store: SharedStore) -> None:
    assert admitted(check, 500, ROOT, cost=1_000, scopes=[EXPORT]) == 500
    assert store.asked == []
    decision = check(ROOT)
    assert decision.is_unlimited
    assert decision.backend == "none"


@pytest.mark.parametrize("cost", [0, -1, 1.5, "1", None, True])
def test_a_cost_that_is_none_is_refused(check: Check, cost: Any) -> None:
    with pytest.raises(ValueError, match="whole number"):
        check(ANYBODY, cost)


def test_a_cost_beyond_the_burst_is_never_admitted(check: Check) -> None:
    decision = check(ANYBODY, 101)
    assert not decision.allowed
    assert decision.retry_after_seconds > 0
    assert check(ANYBODY, 100).allowed


def test_work_without_a_request_has_a_name(check: Check) -> None:
    worker = Identity.of("worker-7", tier="premium")
    assert check(worker).limit == 5_000
    assert worker == Identity.of("worker-7", tier="premium")
    assert "worker" not in worker.digest
    assert Identity.of("worker-7").tier == "api_key"
    with pytest.raises(UnknownTierError, match="gold"):
        Identity.of("worker-7", tier="gold")


# --- several limits --------------------------------------------------------------------------------------------------


def test_all_limits_are_charged_or_none(check: Check, limiter: RateLimiter) -> None:
    assert admitted(check, 5, scopes=[SEARCH]) == 2
    assert limiter.peek(ANYBODY).remaining == 98


def test_the_limit_that_refuses_longest_is_told(check: Check) -> None:
    assert check(ANYBODY, scopes=[SEARCH, EXPORT]).allowed
    decision = check(ANYBODY, scopes=[SEARCH, EXPORT])
    assert not decision.allowed
    assert (decision.policy, decision.limit) == ("export", 1)
    assert decision.retry_after_seconds == pytest.approx(3600, abs=1)


def test_when_all_admit_the_scarcest_is_told(check: Check) -> None:
    decision = check(ANYBODY, scopes=[SEARCH])
    assert decision.allowed
    assert (decision.policy, decision.limit, decision.remaining) == ("search", 2, 1)


def test_a_refusing_scope_does_not_refuse_the_client(check: Check, store: SharedStore) -> None:
    assert admitted(check, 4, scopes=[EXPORT]) == 1
    assert check(ANYBODY).allowed
    assert check(ANYBODY, scopes=[SEARCH]).allowed


def test_scopes_of_one_call_differ(check: Check) -> None:
    with pytest.raises(ValueError, match="different names"):
        check(ANYBODY, scopes=[SEARCH, Scope("search", Limit(5))])


@pytest.mark.parametrize("name", ["", "default", "Search", "a b", "ä", "a:b", '"', "x" * 33, "1st", "a\n"])
def test_a_scope_needs_a_name_that_headers_and_keys_can_bear(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a scope"):
        Scope(name, Limit(5))


# --- the deny cache --------------------------------------------------------------------------------------------------


def test_an_exhausted_bucket_is_refused_without_asking(check: Check, store: SharedStore) -> None:
    assert admitted(check, 100) == 100
    asked = len(store.asked)
    assert admitted(check, 50) == 0
    assert len(store.asked) == asked
    decision = check(ANYBODY)
    assert decision.backend == "deny_cache"
    assert (decision.limit, decision.remaining) == (100, 0)
    assert decision.retry_after_seconds == pytest.approx(0.6)


def test_it_is_asked_again_when_the_next_token_is_there(check: Check, clock: Clock) -> None:
    assert admitted(check, 101) == 100
    clock.advance(0.6)
    assert admitted(check, 3) == 1


def test_a_smaller_cost_is_admitted_while_a_larger_one_is_refused(check: Check, store: SharedStore) -> None:
    assert check(ANYBODY, 97).allowed
    assert not check(ANYBODY, 5).allowed
    asked = len(store.asked)
    assert check(ANYBODY, 5).backend == "deny_cache"
    assert len(store.asked) == asked
    assert check(ANYBODY, 3).allowed


def test_a_refund_is_felt_at_once(check: Check, limiter: RateLimiter) -> None:
    decision = check(ANYBODY, 100)
    assert not check(ANYBODY).allowed
    limiter.refund(ANYBODY, decision)
    assert check(ANYBODY, 100).allowed


def test_a_reset_is_felt_at_once(check: Check, limiter: RateLimiter) -> None:
    assert admitted(check, 101) == 100
    assert limiter.reset(ANYBODY) == 1
    assert admitted(check, 101) == 100


def test_an_awaited_refund_is_felt_at_once(check: Check, limiter: RateLimiter) -> None:
    decision = check(ANYBODY, 100)
    assert not check(ANYBODY).allowed
    asyncio.run(limiter.arefund(ANYBODY, decision))
    assert check(ANYBODY, 100).allowed


def test_a_scope_that_refuses_longer_is_told_although_the_tier_is_known_to_be_empty(check: Check, clock: Clock) -> None:
    """What is known of one bucket only is not the whole answer."""
    assert check(ANYBODY, 1, [EXPORT]).allowed
    clock.advance(3)  # what was known of the scope is too old to be used
    assert admitted(check, 101) == 100
    decision = check(ANYBODY, 1, [EXPORT])
    assert (decision.policy, decision.retry_after_seconds) == ("export", pytest.approx(3597))


def test_another_tier_is_another_bucket(check: Check) -> None:
    assert admitted(check, 101) == 100
    assert check(Identity("address", ANYBODY.digest, "api_key")).allowed


def test_one_process_alone_needs_no_deny_cache(clock: Clock) -> None:
    limiter = RateLimiter(MemoryStore(100, 1, clock))
    assert admitted(limiter.check, 101) == 100
    assert limiter.check(ANYBODY).backend == "memory"
    assert len(limiter._deny_cache) == 0


@given(st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), min_size=1, max_size=60))
def test_it_changes_no_answer(steps: list[tuple[int, float]]) -> None:
    """The same requests at the same times, with and without: only who answers may differ."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ratelimit.limiter.monotonic_ns", clock)
        limiter, plain = RateLimiter(SharedStore(clock)), SharedStore(clock)
        for cost, pause in steps:
            clock.advance(pause)
            verdict = plain.take_one(KEY, Limit(100, 60), cost)
            decision = limiter.check(ANYBODY, cost)
            if decision.backend == "deny_cache" or verdict.allowed:
                assert decision.allowed == verdict.allowed


# --- looking and giving back -----------------------------------------------------------------------------------------


def test_peeking_takes_nothing_and_tells_nobody(limiter: RateLimiter, told: list[dict[str, Any]]) -> None:
    limiter.check(ANYBODY, 40)
    told.clear()
    assert [limiter.peek(ANYBODY, 60).allowed, limiter.peek(ANYBODY, 61).allowed] == [True, False]
    assert limiter.peek(ANYBODY).remaining == 60
    assert limiter.peek(ROOT).is_unlimited
    assert told == []


def test_a_refund_gives_every_limit_its_tokens_back(limiter: RateLimiter) -> None:
    decision = limiter.check(ANYBODY, 2, [SEARCH])
    limiter.refund(ANYBODY, decision, [SEARCH])
    assert limiter.peek(ANYBODY).remaining == 100
    assert limiter.peek(ANYBODY, scopes=[SEARCH]).remaining == 2


def test_a_refund_may_be_awaited(limiter: RateLimiter) -> None:
    decision = limiter.check(ANYBODY, 30)
    asyncio.run(limiter.arefund(ANYBODY, decision))
    assert limiter.peek(ANYBODY).remaining == 100


def test_a_denial_has_nothing_to_refund(limiter: RateLimiter, store: SharedStore) -> None:
    limiter.check(ANYBODY, 100)
    limiter.refund(ANYBODY, limiter.check(ANYBODY))
    limiter.refund(ROOT, limiter.check(ROOT))
    assert "refund" not in store.asked
    assert limiter.peek(ANYBODY).remaining == 0


def test_a_refund_that_fails_breaks_nothing(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    limiter = RateLimiter(BrokenStore(clock))
    taken = Decision(True, Limit(100), 0, 0, "anonymous", "redis")
    limiter.refund(ANYBODY, taken)
    asyncio.run(limiter.arefund(ANYBODY, taken))
    assert [record.message for record in caplog.records] == ["A refund failed"]


def test_a_reset_fills_the_scopes_that_are_named(limiter: RateLimiter) -> None:
    limiter.check(ANYBODY, scopes=[SEARCH, EXPORT])
    assert limiter.reset(ANYBODY, [SEARCH]) == 2
    assert limiter.peek(ANYBODY, scopes=[EXPORT]).remaining == 0
    assert limiter.reset(ROOT) == 0


# --- while the store is away -----------------------------------------------------------------------------------------


def test_each_process_admits_its_share_and_shows_it(check: Check, store: SharedStore) -> None:
    store.is_away = True
    decision = check(ANYBODY)
    assert (decision.limit, decision.remaining, decision.backend) == (25, 24, "memory")
    assert admitted(check, 50) == 24


@pytest.mark.parametrize(("cost", "scopes"), [(1, ()), (3, ()), (1, (SEARCH,)), (7, (SEARCH, EXPORT))])
@pytest.mark.parametrize("is_async", [False, True])
def test_closed_refuses(settings: Any, store: SharedStore, cost: int, scopes: Any, is_async: bool) -> None:
    settings.RATELIMIT_ON_OUTAGE = {"anonymous": "closed"}
    limiter = RateLimiter(store)
    assert limiter.check(ANYBODY).allowed
    store.is_away = True
    decision = asyncio.run(limiter.acheck(ANYBODY, cost, scopes)) if is_async else limiter.check(ANYBODY, cost, scopes)
    assert (decision.allowed, decision.remaining, decision.backend) == (False, 0, "none")
    assert decision.retry_after_seconds > 0


def test_closed_refuses_too_where_no_cache_can_be_had_or_the_store_breaks(settings: Any, clock: Clock) -> None:
    settings.RATELIMIT_ON_OUTAGE = {"anonymous": "closed", "api_key": "local"}
    settings.RATELIMIT_CACHE = "nowhere"
    for limiter in (RateLimiter(build_store()), RateLimiter(BrokenStore(clock))):
        assert not limiter.check(ANYBODY).allowed
        assert not asyncio.run(limiter.acheck(ANYBODY)).allowed
        assert limiter.check(Identity("user", "0d" * 16, "api_key")).allowed


def test_closed_is_for_an_outage_and_not_for_memory_that_was_wanted(settings: Any, clock: Clock) -> None:
    settings.RATELIMIT_ON_OUTAGE = {"anonymous": "closed"}
    assert RateLimiter(MemoryStore(100, 1, clock)).check(ANYBODY).allowed


def test_open_admits_without_a_promise(settings: Any, store: SharedStore) -> None:
    settings.RATELIMIT_ON_OUTAGE = {"anonymous": "open"}
    limiter = RateLimiter(store)
    store.is_away = True
    assert admitted(limiter.check, 300) == 300
    assert limiter.check(ANYBODY, scopes=[EXPORT]).is_unlimited
    store.is_away = False
    assert admitted(limiter.check, 300) == 100


def test_open_admits_at_once_whom_redis_has_refused_just_before(settings: Any, store: SharedStore) -> None:
    settings.RATELIMIT_ON_OUTAGE = {"anonymous": "open"}
    limiter = RateLimiter(store)
    assert admitted(limiter.check, 101) == 100
    store.is_away = True
    assert admitted(limiter.check, 20) == 20
    assert limiter.check(ANYBODY, 1, [SEARCH]).allowed


def test_tiers_differ(settings: Any, store: SharedStore) -> None:
    settings.RATELIMIT_ON_OUTAGE = {"anonymous": "closed", "premium": "open"}
    limiter = RateLimiter(store)
    store.is_away = True
    premium, api_key = Identity("api_key", "0d" * 16, "premium"), Identity("api_key", "0e" * 16, "api_key")
    assert admitted(limiter.check, 6_000, premium) == 6_000
    assert admitted(limiter.check, 300, api_key) == 250


def test_what_memory_refused_is_not_remembered_of_redis(limiter: RateLimiter, store: SharedStore) -> None:
    store.is_away = True
    assert admitted(limiter.check, 50) == 25
    store.is_away = False
    assert admitted(limiter.check, 150) == 100


def test_tokens_of_another_backend_are_not_given_back(limiter: RateLimiter, store: SharedStore) -> None:
    decision = limiter.check(ANYBODY, 10)
    store.is_away = True
    limiter.refund(ANYBODY, decision)
    store.is_away = False
    assert limiter.peek(ANYBODY).remaining == 90


# --- when something breaks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("a bug"), StoreError("timeout"), ValueError("odd"), MemoryError()])
def test_a_broken_store_neither_breaks_nor_opens_anything(
    settings: Any, clock: Clock, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    settings.RATELIMIT_EXPECTED_PROCESSES = 2
    limiter = RateLimiter(BrokenStore(clock))
    limiter._store.error = error  # type: ignore[attr-defined]  # the stand-in has it
    assert admitted(limiter.check, 60) == 50
    assert admitted(lambda *asked, **named: asyncio.run(limiter.acheck(*asked, **named)), 10, SOMEBODY_ELSE) == 10
    assert limiter.check(ROOT).allowed
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


def test_it_says_so_once_a_minute(
    clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("ratelimit.limiter.monotonic", lambda: now[0])
    limiter = RateLimiter(BrokenStore(clock))
    for seconds in (0, 1, 58.9, 0.1, 59.9):
        now[0] += seconds
        limiter.check(ANYBODY)
    assert len(caplog.records) == 2


def test_a_tier_that_is_gone_is_limited_as_anybody(limiter: RateLimiter, caplog: pytest.LogCaptureFixture) -> None:
    gone = Identity("user", "0f" * 16, "gold")
    assert admitted(limiter.check, 120, gone) == 100
    assert "gold" in str(caplog.records[0].exc_info)
    with pytest.raises(UnknownTierError):
        limiter.peek(gone)


def test_settings_that_cannot_be_read_limit_as_anybody(settings: Any, clock: Clock) -> None:
    settings.RATELIMIT_TIERS = {"premium": "nonsense"}
    limiter = RateLimiter(SharedStore(clock))
    assert admitted(limiter.check, 120, Identity("user", "0f" * 16, "premium")) == 100


# --- signals ---------------------------------------------------------------------------------------------------------


def test_every_decision_is_told(check: Check, told: list[dict[str, Any]]) -> None:
    decisions = [check(ANYBODY), check(ANYBODY, 100), check(ANYBODY, 100), check(ROOT)]
    assert [signal["decision"] for signal in told] == decisions
    assert [decision.backend for decision in decisions] == ["redis", "redis", "deny_cache", "none"]
    for signal in told:
        assert signal["sender"] is RateLimiter
        assert signal["shadow"] is False
        assert signal["duration_seconds"] >= 0


def test_a_listener_that_fails_breaks_nothing(check: Check) -> None:
    def fail(**_: Any) -> NoReturn:
        raise RuntimeError("a listener's own affair")

    request_checked.connect(fail)
    try:
        assert check(ANYBODY).allowed
    finally:
        request_checked.disconnect(fail)


# --- the process's own -----------------------------------------------------------------------------------------------


def test_a_process_has_one_limiter() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: get_rate_limiter(), range(50)))
    assert len(set(map(id, found))) == 1


def test_it_follows_changed_settings(settings: Any) -> None:
    before = get_rate_limiter()
    settings.RATELIMIT_TIERS = {"anonymous": {"limit": 3, "window_seconds": 3600}}
    assert get_rate_limiter() is not before
    assert admitted(get_rate_limiter().check, 10) == 3


def test_a_forked_child_can_use_it_and_counts_for_itself(settings: Any) -> None:
    settings.RATELIMIT_TIERS = {"anonymous": {"limit": 3, "window_seconds": 3600}}
    limiter = get_rate_limiter()
    assert admitted(limiter.check, 2) == 2
    with limiter._deny_cache._lock:  # as if another thread were at it
        child = os.fork()
        if child == 0:
            limiter._deny_cache.forget([KEY])
            os._exit(admitted(get_rate_limiter().check, 10))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert admitted(limiter.check, 10) == 1


# --- what a request costs beyond its first token ---------------------------------------------------------------------


@pytest.fixture(params=["check_further", "acheck_further"])
def further(request: pytest.FixtureRequest, limiter: RateLimiter) -> Check:
    """Both ways of asking."""
    if request.param == "check_further":
        return limiter.check_further
    return lambda *arguments, **named: asyncio.run(limiter.acheck_further(*arguments, **named))


def test_the_rest_is_taken_of_the_tier_and_of_scopes_together(limiter: RateLimiter, further: Check) -> None:
    decision = further(ANYBODY, limiter.check(ANYBODY), 5, [SEARCH])
    assert (decision.allowed, decision.policy, decision.remaining) == (True, "search", 1)
    assert limiter.peek(ANYBODY).remaining == 95


@given(taken=st.integers(0, 99), cost=st.integers(2, 120))
def test_a_refusal_tells_the_same_as_if_everything_had_been_asked_for_at_once(taken: int, cost: int) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ratelimit.limiter.monotonic_ns", clock)
        stepwise, at_once = RateLimiter(SharedStore(clock)), RateLimiter(SharedStore(clock))
        for limiter in (stepwise, at_once):
            if taken:
                limiter.check(ANYBODY, taken)
        decision = stepwise.check_further(ANYBODY, stepwise.check(ANYBODY), cost)
        whole = at_once.check(ANYBODY, cost)
        assert decision.allowed == whole.allowed
        assert decision.remaining == whole.remaining
        assert decision.retry_after_seconds == pytest.approx(whole.retry_after_seconds, abs=1e-5)
        assert stepwise.peek(ANYBODY).remaining == at_once.peek(ANYBODY).remaining


def test_a_scope_that_refuses_gives_the_tiers_token_back(limiter: RateLimiter, further: Check) -> None:
    for _ in range(6):
        decision = further(ANYBODY, limiter.check(ANYBODY), scopes=[SEARCH])
    assert (decision.allowed, decision.policy) == (False, "search")
    assert limiter.peek(ANYBODY).remaining == 98


def test_nothing_further_is_asked_where_nothing_is_left_to_ask(
    limiter: RateLimiter, store: SharedStore, further: Check
) -> None:
    first, root = limiter.check(ANYBODY), limiter.check(ROOT)
    asked = len(store.asked)
    assert further(ANYBODY, first) is first
    assert further(ROOT, root, 500, [EXPORT]) is root
    assert len(store.asked) == asked


def test_a_store_that_breaks_in_between_refuses_nobody(
    limiter: RateLimiter, further: Check, monkeypatch: pytest.MonkeyPatch, store: SharedStore
) -> None:
    first = limiter.check(ANYBODY)
    monkeypatch.setattr(store, "take", BrokenStore.take.__get__(BrokenStore(Clock())))
    assert further(ANYBODY, first, 5) is first


def test_a_scope_has_a_cost_of_its_own(limiter: RateLimiter) -> None:
    rows = Scope("rows", Limit(10, 3600), cost=4)
    assert [limiter.check(ANYBODY, 20, [rows]).allowed for _ in range(3)] == [True, True, False]
    assert limiter.peek(ANYBODY).remaining == 60
    with pytest.raises(ValueError, match="at least 1"):
        Scope("rows", Limit(10), cost=0)


def test_a_refund_gives_back_the_tiers_cost_whichever_limit_was_told(limiter: RateLimiter) -> None:
    decision = limiter.check(ANYBODY, 20, [SEARCH])
    assert decision.policy == "search"
    limiter.refund(ANYBODY, decision, [SEARCH])
    assert limiter.peek(ANYBODY).remaining == 100
    assert limiter.peek(ANYBODY, scopes=[SEARCH]).remaining == 2


# --- for operators ----------------------------------------------------------------------------------------------------


def test_many_buckets_are_looked_at_at_once(limiter: RateLimiter, store: SharedStore) -> None:
    limiter.check(ANYBODY, 30)
    asked = len(store.asked)
    seen = limiter.peek_many([ANYBODY, ROOT, SOMEBODY_ELSE, ANYBODY])
    assert [decision.remaining for decision in seen] == [70, 0, 100, 70]
    assert [decision.is_unlimited for decision in seen] == [False, True, False, False]
    assert store.asked[asked:] == ["peek"]
    assert limiter.peek_many([]) == []


def test_it_tells_how_it_stands(limiter: RateLimiter, check: Check) -> None:
    assert admitted(check, 101) == 100
    stats = limiter.stats()
    assert (stats.wanted, stats.exhausted_buckets, stats.process_id) == ("redis", 1, os.getpid())


def test_it_counts_the_buckets_that_are_not_full(clock: Clock) -> None:
    limiter = RateLimiter(MemoryStore(100, 1, clock))
    limiter.check(ANYBODY)
    limiter.check(SOMEBODY_ELSE, 90)
    assert (limiter.count_buckets(), limiter.stats().buckets_in_memory) == (2, 2)
    clock.advance(1)
    assert limiter.count_buckets() == 1
