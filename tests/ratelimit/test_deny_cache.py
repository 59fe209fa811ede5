"""What the deny cache refuses, the store would have refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ratelimit.bucket import SECOND, Limit, take
from ratelimit.deny_cache import LIFE_SECONDS, DenyCache

LIMIT = Limit(100, 60)
T = LIMIT.interval_us
STORE_NOW = 1_790_000_000 * SECOND


@dataclass
class Clock:
    """Ours, in nanoseconds."""

    ns: int = 5_000_000_000

    def __call__(self) -> int:
        return self.ns

    def advance(self, microseconds: float) -> None:
        self.ns += int(microseconds * 1000)


def exhausted(clock: Clock, most_keys: int = 100, *, limit: Limit = LIMIT, missing_us: int = 2) -> DenyCache:
    """One that knows of bucket ``k`` that it lacks ``missing_us`` of a token."""
    cache = DenyCache(most_keys, clock)
    cache.remember("k", STORE_NOW + limit.capacity_us - limit.interval_us + missing_us, STORE_NOW, clock())
    return cache


def test_an_unknown_bucket_is_not_refused() -> None:
    assert exhausted(Clock()).refusal("another", LIMIT, 1) is None


def test_an_exhausted_bucket_is_refused_until_its_next_token() -> None:
    clock = Clock()
    cache = exhausted(clock, missing_us=T)
    clock.advance(T * 0.99)
    assert cache.refusal("k", LIMIT, 1) is not None
    clock.advance(T * 0.01)
    assert cache.refusal("k", LIMIT, 1) is None


def test_the_refusal_tells_how_it_stands_now() -> None:
    clock = Clock()
    cache = exhausted(clock, missing_us=T)
    clock.advance(1024)
    refusal = cache.refusal("k", LIMIT, 1)
    assert refusal is not None
    assert refusal.arrival_us == STORE_NOW + LIMIT.capacity_us
    assert refusal.now_us == STORE_NOW + 1024


def test_the_wait_it_tells_is_never_too_short() -> None:
    """The store answered somewhere between question and answer; told is what its answer said when it came."""
    clock = Clock()
    cache = DenyCache(1, clock)
    asked_ns = clock()
    clock.advance(40_000)
    cache.remember("k", STORE_NOW + LIMIT.capacity_us, STORE_NOW, asked_ns)
    clock.advance(300_000)
    refusal = cache.refusal("k", LIMIT, 1)
    assert refusal is not None
    assert refusal.now_us == STORE_NOW + 300_000


def test_a_bucket_beyond_a_lowered_limit_is_told_as_empty() -> None:
    refusal = exhausted(Clock(), missing_us=T).refusal("k", Limit(10, 1), 1)
    assert refusal is not None
    assert refusal.arrival_us - refusal.now_us == Limit(10, 1).capacity_us


def test_each_cost_is_answered_for_itself() -> None:
    clock = Clock()
    cache = exhausted(clock, missing_us=1 - 3 * T)  # three tokens are there
    assert cache.refusal("k", LIMIT, 3) is None
    assert cache.refusal("k", LIMIT, 5) is not None


def test_a_raised_limit_is_believed_at_once() -> None:
    cache = exhausted(Clock())
    assert cache.refusal("k", LIMIT, 1) is not None
    assert cache.refusal("k", Limit(1_000, 60, burst=2_000), 1) is None


def test_a_lowered_limit_is_believed_at_once() -> None:
    cache = exhausted(Clock(), missing_us=1 - 50 * T)
    assert cache.refusal("k", LIMIT, 1) is None
    assert cache.refusal("k", Limit(1, 60), 1) is not None


def test_no_reading_outlives_its_time() -> None:
    clock = Clock()
    hourly = Limit(1, 3600)
    cache = exhausted(clock, limit=hourly, missing_us=hourly.interval_us)
    clock.advance(LIFE_SECONDS * SECOND)
    assert cache.refusal("k", hourly, 1) is not None
    clock.advance(1)
    assert cache.refusal("k", hourly, 1) is None


def test_what_was_forgotten_is_asked_again() -> None:
    cache = exhausted(Clock())
    cache.forget(["another", "k"])
    assert cache.refusal("k", LIMIT, 1) is None


def test_an_answer_that_was_under_way_when_a_bucket_was_forgotten_is_not_remembered() -> None:
    clock = Clock()
    cache = DenyCache(1, clock)
    asked_ns = clock()
    clock.advance(10)
    cache.forget(["k"])
    cache.remember("k", STORE_NOW + LIMIT.capacity_us, STORE_NOW, asked_ns)
    assert cache.refusal("k", LIMIT, 1) is None
    clock.advance(10)
    cache.remember("k", STORE_NOW + LIMIT.capacity_us, STORE_NOW, clock())
    assert cache.refusal("k", LIMIT, 1) is not None


def test_what_others_forget_stops_nobodys_answer_from_being_remembered() -> None:
    clock = Clock()
    cache = DenyCache(10, clock)
    asked_ns = clock()
    clock.advance(10)
    cache.forget(["another"])
    cache.remember("k", STORE_NOW + LIMIT.capacity_us, STORE_NOW, asked_ns)
    assert cache.refusal("k", LIMIT, 1) is not None


def test_what_was_forgotten_is_kept_within_bounds_and_errs_towards_asking() -> None:
    clock = Clock()
    cache = DenyCache(3, clock)
    asked_ns = clock()
    for number in range(10):
        clock.advance(1)
        cache.forget([str(number)])
    assert len(cache._forgotten_ns) == 3
    for key in ("0", "9"):  # one that no longer fits in, and one that does
        cache.remember(key, STORE_NOW + LIMIT.capacity_us, STORE_NOW, asked_ns)
        assert cache.refusal(key, LIMIT, 1) is None
    clock.advance(3 * SECOND)
    cache.forget(["later"])
    assert len(cache._forgotten_ns) == 1


def test_it_is_bounded_and_the_oldest_goes_first() -> None:
    clock = Clock()
    cache = exhausted(clock, most_keys=3)
    for key in ("a", "b", "k", "c"):
        cache.remember(key, STORE_NOW + LIMIT.capacity_us, STORE_NOW, clock())
    assert len(cache) == 3
    assert cache.refusal("a", LIMIT, 1) is None
    assert all(cache.refusal(key, LIMIT, 1) for key in ("b", "k", "c"))


def test_without_room_nothing_is_kept() -> None:
    assert len(exhausted(Clock(), most_keys=0)) == 0


def test_threads_may_share_it() -> None:
    clock = Clock()
    cache = DenyCache(50, clock)

    def use(name: int) -> None:
        for number in range(2_000):
            key = str((name * 7 + number) % 90)
            cache.remember(key, STORE_NOW + LIMIT.capacity_us, STORE_NOW, clock())
            cache.refusal(key, LIMIT, 1)
            if number % 3 == 0:
                cache.forget([key])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    assert len(cache) <= 50


@settings(max_examples=500)
@example(LIMIT, -1_900, 0, 0, [SECOND, SECOND], -500, 500, 1)  # the clocks drift apart as fast as they may
@example(LIMIT, -90_000, 100_000, 0, [SECOND], 0, 0, 1)  # the question was long under way
@given(
    limit=st.builds(Limit, st.integers(1, 5_000), st.integers(1, 3600), st.integers(0, 50)),
    short_us=st.integers(-3_000, 3_000),
    there_us=st.integers(0, 100_000),
    back_us=st.integers(0, 100_000),
    pauses=st.lists(st.integers(0, SECOND), min_size=1, max_size=6),
    ours_ppm=st.integers(-500, 500),
    theirs_ppm=st.integers(-500, 500),
    cost=st.integers(1, 60),
)
def test_whatever_the_network_and_the_clocks_do_nothing_is_refused_that_the_store_would_admit(
    limit: Limit,
    short_us: int,
    there_us: int,
    back_us: int,
    pauses: list[int],
    ours_ppm: int,
    theirs_ppm: int,
    cost: int,
) -> None:
    """True time passes, either clock is up to 500 ppm fast or slow (what NTP slews), and messages take their time.

    The tokens are there ``short_us`` after the last pause, by the store's clock: where an error would show.
    """
    ours, store_us = Clock(), float(STORE_NOW)

    def pass_time(true_us: int) -> None:
        nonlocal store_us
        ours.advance(true_us * (1 + ours_ppm / 1e6))
        store_us += true_us * (1 + theirs_ppm / 1e6)

    passing_us = (there_us + back_us + sum(pauses)) * (1 + theirs_ppm / 1e6)
    arrival_us = int(store_us + passing_us) + short_us + limit.capacity_us - cost * limit.interval_us
    asked_ns = ours()
    pass_time(there_us)
    cache = DenyCache(1, ours)
    answered_us = int(store_us)
    pass_time(back_us)
    cache.remember("k", arrival_us, answered_us, asked_ns)
    for pause in pauses:
        pass_time(pause)
        refusal = cache.refusal("k", limit, cost)
        if refusal is not None:
            assert not take(arrival_us, int(store_us), limit, cost).allowed
