"""The bucket against a model that is exact: tokens as fractions, refilled at each moment."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit.bucket import (
    LONGEST_FILL_SECONDS,
    LONGEST_WINDOW_SECONDS,
    MOST_PER_SECOND,
    SECOND,
    Decision,
    Limit,
    give_back,
    take,
)
from ratelimit.errors import InvalidLimitError

START = 1_800_000_000 * SECOND  # a clock of today


@st.composite
def limits(draw: st.DrawFn) -> Limit:
    window_seconds = draw(st.integers(1, 100_000))
    requests = draw(st.integers(1, min(50_000, window_seconds * MOST_PER_SECOND)))
    interval_us = -(-window_seconds * SECOND // requests)
    return Limit(
        requests, window_seconds, draw(st.integers(0, min(100_000, LONGEST_FILL_SECONDS * SECOND // interval_us)))
    )


class ExactBucket:
    """Full at first; refills one token every T microseconds, as fractions of a token."""

    def __init__(self, limit: Limit, now_us: int) -> None:
        self.limit = limit
        self.tokens = Fraction(limit.burst)
        self.now_us = now_us

    def go_to(self, now_us: int) -> None:
        refilled = Fraction(now_us - self.now_us, self.limit.interval_us)
        self.tokens = min(self.tokens + refilled, Fraction(self.limit.burst))
        self.now_us = now_us

    def take(self, cost: int) -> bool:
        fits = self.tokens >= cost
        self.tokens -= cost if fits else 0
        return fits

    def give_back(self, cost: int) -> None:
        self.tokens = min(self.tokens + cost, Fraction(self.limit.burst))


steps = st.lists(
    st.tuples(st.sampled_from(["take", "take", "take", "give back"]), st.integers(0, 10**8), st.integers(1, 200)),
    max_size=60,
)


@given(limits(), steps)
def test_it_is_the_exact_token_bucket(limit: Limit, steps: list[tuple[str, int, int]]) -> None:
    now_us, arrival_us = START, 0
    model = ExactBucket(limit, now_us)
    for action, elapsed_us, cost in steps:
        now_us += elapsed_us
        model.go_to(now_us)
        if action == "take":
            taken = take(arrival_us, now_us, limit, cost)
            assert taken.allowed == model.take(cost)
            arrival_us = taken.arrival_us
        else:
            arrival_us = give_back(arrival_us, now_us, limit, cost)
            model.give_back(cost)
        free_us = limit.capacity_us - max(arrival_us - now_us, 0)
        assert Fraction(free_us, limit.interval_us) == model.tokens


@given(limits(), st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 50)), max_size=80))
def test_no_interval_admits_more_than_burst_plus_rate_times_time(limit: Limit, requests: list[tuple[int, int]]) -> None:
    now_us, arrival_us = START, 0
    admitted: list[tuple[int, int]] = []
    for elapsed_us, cost in requests:
        now_us += elapsed_us
        taken = take(arrival_us, now_us, limit, cost)
        arrival_us = taken.arrival_us
        if taken.allowed:
            admitted.append((now_us, cost))
    rate = Fraction(limit.requests, limit.window_seconds * SECOND)  # the rate asked for, before T was rounded
    for first, (begin_us, _) in enumerate(admitted):
        tokens = 0
        for end_us, cost in admitted[first:]:
            tokens += cost
            assert tokens <= limit.burst + rate * (end_us - begin_us)


@given(limits())
def test_rounding_costs_less_than_a_hundredth_of_the_rate(limit: Limit) -> None:
    wanted = Fraction(limit.window_seconds * SECOND, limit.requests)
    assert wanted <= limit.interval_us < wanted * Fraction(101, 100)


@given(limits(), st.integers(-(10**15), 10**15))
def test_an_arrival_time_from_a_wrong_clock_counts_as_an_empty_bucket_at_most(limit: Limit, ahead_us: int) -> None:
    arrival_us = START + limit.capacity_us + abs(ahead_us)
    denied = take(arrival_us, START, limit, 1)
    assert (denied.allowed, denied.arrival_us) == (False, START + limit.capacity_us)
    assert take(denied.arrival_us, START + limit.interval_us, limit, 1).allowed
    assert take(START - abs(ahead_us), START, limit, limit.burst).allowed


@given(limits(), st.integers(0, 10**16))
def test_a_cost_above_the_burst_never_fits(limit: Limit, more: int) -> None:
    assert not take(0, START, limit, limit.burst + 1 + more).allowed


@given(limits(), st.integers(0, 10**12), st.integers(0, 10**12))
def test_what_is_given_back_makes_it_no_fuller_than_full(limit: Limit, arrival: int, cost: int) -> None:
    assert give_back(START + arrival, START, limit, cost) >= START


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("20/m", Limit(20, 60)),
        (" 100/10s ", Limit(100, 10)),
        ("5/h", Limit(5, 3600)),
        ("1/1d", Limit(1, 86400)),
        ("100000/10s", Limit(100_000, 10)),
    ],
)
def test_a_limit_is_written_as_requests_per_window(text: str, limit: Limit) -> None:
    assert Limit.parse(text) == limit


@pytest.mark.parametrize(
    "text",
    ["", "20", "/m", "20/", "20/x", "0/m", "20/0s", "-1/m", "1.5/m", "٢٠/m", "20/m\n20/m", "1/9999999d", "20 / m"],
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(InvalidLimitError):
        Limit.parse(text)


@pytest.mark.parametrize(
    "numbers",
    [
        (0, 60, 0),
        (-1, 60, 0),
        (1, 0, 0),
        (1, 60, -1),
        (1, LONGEST_WINDOW_SECONDS + 1, 0),
        (MOST_PER_SECOND + 1, 1, 0),
        (1, LONGEST_WINDOW_SECONDS, 13),
        (10_000_001, 100_000, 0),
    ],
)
def test_a_limit_out_of_bounds_is_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidLimitError):
        Limit(*numbers)


@pytest.mark.parametrize("number", [1.0, True, "1", None])
def test_a_limit_is_made_of_whole_numbers(number: object) -> None:
    with pytest.raises(InvalidLimitError):
        Limit(number)  # type: ignore[arg-type]  # what settings may hold


@given(limits())
def test_lua_holds_every_number_of_a_bucket_exactly(limit: Limit) -> None:
    assert START + 2 * limit.capacity_us + limit.interval_us < 2**53


@given(limits(), st.integers(-1, 1000))
def test_a_share_is_the_limit_divided_and_at_least_one(limit: Limit, processes: int) -> None:
    share = limit.shared_by(processes)
    assert share.requests == max(1, limit.requests // max(processes, 1))
    assert share.window_seconds == limit.window_seconds
    assert 1 <= share.burst <= max(1, limit.burst // max(processes, 1))


def test_the_share_of_a_burst_that_would_take_too_long_to_fill_is_smaller() -> None:
    assert Limit(15, LONGEST_WINDOW_SECONDS, 120).shared_by(8).burst == 11  # 15 would take 15 months


# --- decisions -------------------------------------------------------------------------------------------------------


@given(limits(), st.integers(1, 300), st.integers(0, 10**13))
def test_retry_after_is_exact_and_never_0_on_a_denial(limit: Limit, cost: int, ahead_us: int) -> None:
    taken = take(START + ahead_us, START, limit, cost)
    decision = Decision(taken.allowed, limit, taken.arrival_us, START, "anonymous", "redis", cost)
    wait_us = round(decision.retry_after_seconds * SECOND)
    if taken.allowed:
        assert wait_us == 0
    elif cost > limit.burst:
        assert wait_us == max(taken.arrival_us - START, limit.interval_us)
    else:
        assert wait_us > 0
        assert take(taken.arrival_us, START + wait_us, limit, cost).allowed
        assert not take(taken.arrival_us, START + wait_us - 1, limit, cost).allowed


@given(limits(), st.integers(0, 10**13))
def test_remaining_is_the_largest_cost_that_would_fit(limit: Limit, ahead_us: int) -> None:
    arrival_us = START + min(ahead_us, limit.capacity_us)
    remaining = Decision(True, limit, arrival_us, START, "anonymous", "redis").remaining
    assert take(arrival_us, START, limit, remaining).allowed
    assert not take(arrival_us, START, limit, remaining + 1).allowed


def test_the_bucket_is_full_when_reset_says_so() -> None:
    limit = Limit(10, 10)
    taken = take(0, START, limit, 3)
    decision = Decision(True, limit, taken.arrival_us, START, "anonymous", "redis")
    assert decision.reset_after_seconds == 3
    assert take(taken.arrival_us, START + 3 * SECOND, limit, 10).allowed


def test_a_full_bucket_of_n_admits_up_to_2n_minus_1_in_its_first_window() -> None:
    limit, arrival_us, admitted = Limit(100, 60), 0, 0
    for now_us in range(START, START + 60 * SECOND, 10_000):
        taken = take(arrival_us, now_us, limit, 1)
        arrival_us, admitted = taken.arrival_us, admitted + taken.allowed
    assert admitted == 199
