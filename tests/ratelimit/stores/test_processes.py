"""Several processes on one bucket: what they admitted, recorded on the server's clock and held against the bucket."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from fractions import Fraction

import pytest

from ratelimit.bucket import SECOND, Limit
from ratelimit.stores.base import Store
from ratelimit.stores.redis import RedisStore

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

KEY = "rate_limit:{everybody}:anonymous"

Admitted = list[tuple[int, int]]
"""The server's microseconds, and the cost."""


def in_processes(count: int, ask: Callable[[int], Admitted]) -> Admitted:
    """What each of so many children has admitted, in order of time."""
    pipes = []
    start, starts = os.pipe()
    for number in range(count):
        read, write = os.pipe()
        if os.fork() == 0:
            status = 1
            try:
                os.read(start, 1)
                with os.fdopen(write, "w") as told:
                    json.dump(ask(number), told)
                status = 0
            finally:
                os._exit(status)
        os.close(write)
        pipes.append(read)
    os.write(starts, b"." * count)
    admitted: Admitted = []
    for read in pipes:
        with os.fdopen(read) as heard:
            admitted += [(stamp, cost) for stamp, cost in json.load(heard)]
    assert {os.waitstatus_to_exitcode(os.wait()[1]) for _ in pipes} == {0}
    os.close(start)
    os.close(starts)
    return sorted(admitted)


def tries(store: Store, limit: Limit, costs: list[int]) -> Admitted:
    verdicts = [(store.take_one(KEY, limit, cost), cost) for cost in costs]
    return [(verdict.now_us, cost) for verdict, cost in verdicts if verdict.allowed]


def most_above_the_rate(admitted: Admitted, limit: Limit) -> Fraction:
    """Of all intervals, the most that was admitted beyond rate × time."""
    rate = Fraction(limit.requests, limit.window_seconds * SECOND)
    tokens, lowest, most = 0, Fraction(0), Fraction(0)
    for index, (stamp_us, cost) in enumerate(admitted):
        before = tokens - rate * stamp_us
        lowest = before if index == 0 else min(lowest, before)
        tokens += cost
        most = max(most, tokens - rate * stamp_us - lowest)
    return most


def test_eight_processes_admit_the_limit_and_what_came_back_meanwhile(
    redis_url: str, make_redis_store: Callable[..., RedisStore]
) -> None:
    store, limit = make_redis_store(redis_url), Limit(100, 60)
    store.take_one("rate_limit:{first}:use", limit)  # before the fork
    begin = time.monotonic()
    admitted = in_processes(8, lambda _: tries(store, limit, [1] * 100))
    elapsed = time.monotonic() - begin
    assert 100 <= len(admitted) <= 100 + elapsed * 100 / 60 + 1


@pytest.mark.parametrize("limit", [Limit(300, 1, burst=40), Limit(50, 1), Limit(5_000, 1, burst=7)], ids=str)
def test_no_interval_of_a_recorded_run_admits_more_than_the_bucket(
    redis_url: str, make_redis_store: Callable[..., RedisStore], limit: Limit
) -> None:
    store = make_redis_store(redis_url)

    def ask(number: int) -> Admitted:
        admitted: Admitted = []
        end = time.monotonic() + 0.8
        while time.monotonic() < end:
            admitted += tries(store, limit, [1, 1, 1 + number])
        return admitted

    admitted = in_processes(4, ask)
    assert most_above_the_rate(admitted, limit) <= limit.burst
    duration = Fraction(admitted[-1][0] - admitted[0][0], SECOND)
    if limit.requests <= 300:  # processes that are fast enough leave next to nothing in the bucket
        assert sum(cost for _, cost in admitted) >= (limit.burst + limit.requests * duration) * Fraction(9, 10)
