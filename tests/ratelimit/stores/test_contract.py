"""What every store promises, asked of each kind of them."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from ratelimit.bucket import SECOND, Limit, take
from ratelimit.stores.base import Charge, Store, Verdict

KEY = "rate_limit:{somebody}:anonymous"
SEARCH = "rate_limit:{somebody}:search"
SLOW = Limit(10, 3600)  # nothing comes back while a test runs


def left(verdict: Verdict) -> int:
    """Whole tokens left, as headers show them."""
    return (verdict.limit.capacity_us - max(verdict.arrival_us - verdict.now_us, 0)) // verdict.limit.interval_us


def tokens_at(store: Store, key: str, limit: Limit = SLOW) -> int:
    return left(store.peek([Charge(key, limit)])[0])


def test_an_unknown_bucket_is_full(store: Store) -> None:
    verdict = store.take_one(KEY, SLOW)
    assert (verdict.allowed, left(verdict)) == (True, 9)
    assert verdict.arrival_us == verdict.now_us + SLOW.interval_us


def test_exactly_the_burst_is_admitted_at_once(store: Store) -> None:
    assert [store.take_one(KEY, SLOW).allowed for _ in range(12)] == [True] * 10 + [False] * 2


def test_a_verdict_names_the_limit_and_who_decided(store: Store) -> None:
    verdict = store.take_one(KEY, SLOW)
    assert (verdict.limit, verdict.backend) == (SLOW, store.name)


def test_a_denial_leaves_the_bucket_as_it_was(store: Store) -> None:
    before = store.take_one(KEY, SLOW, 8)
    denied = [store.take_one(KEY, SLOW, 3) for _ in range(5)]
    assert {(verdict.allowed, verdict.arrival_us) for verdict in denied} == {(False, before.arrival_us)}
    assert store.take_one(KEY, SLOW, 2).allowed


def test_a_cost_above_the_burst_is_never_admitted(store: Store) -> None:
    for cost in (11, 10**9, 10**18):
        verdict = store.take_one(KEY, SLOW, cost)
        assert (verdict.allowed, left(verdict)) == (False, 10)
    assert store.take_one(KEY, SLOW, 10).allowed


def test_a_token_comes_back_after_its_interval_and_not_before(store: Store) -> None:
    limit = Limit(10, 2)
    last = store.take_one(KEY, limit, 10)
    while not (verdict := store.take_one(KEY, limit)).allowed:
        assert verdict.now_us < last.now_us + limit.interval_us
        time.sleep(0.02)
    assert last.now_us + limit.interval_us <= verdict.now_us
    assert verdict.arrival_us == last.arrival_us + limit.interval_us


def test_a_bucket_never_gets_fuller_than_full(store: Store) -> None:
    limit = Limit(100, 1)
    store.take_one(KEY, limit, 2)
    time.sleep(0.05)
    assert left(store.take_one(KEY, limit)) == 99


def test_several_buckets_are_charged_together(store: Store) -> None:
    first, second = store.take([Charge(KEY, SLOW, 2), Charge(SEARCH, Limit(3, 3600), 1)])
    assert (first.allowed, left(first), first.limit) == (True, 8, SLOW)
    assert (second.allowed, left(second), second.limit) == (True, 2, Limit(3, 3600))


def test_if_one_has_too_little_none_is_charged(store: Store) -> None:
    narrow = Limit(1, 3600)
    store.take_one(SEARCH, narrow)
    before = store.take_one(KEY, SLOW)
    for _ in range(3):
        first, second = store.take([Charge(KEY, SLOW, 2), Charge(SEARCH, narrow)])
        assert (first.allowed, first.arrival_us) == (True, before.arrival_us)
        assert not second.allowed
    assert tokens_at(store, KEY) == 9


def test_each_of_several_denied_is_told_so(store: Store) -> None:
    verdicts = store.take([Charge(KEY, SLOW, 11), Charge(SEARCH, SLOW, 1), Charge(KEY + "2", SLOW, 12)])
    assert [verdict.allowed for verdict in verdicts] == [False, True, False]
    assert [left(verdict) for verdict in verdicts] == [10, 10, 10]


def test_no_charges_are_no_question(store: Store) -> None:
    assert store.take([]) == []
    assert store.peek([]) == []
    store.refund([], store.name)
    assert store.reset([]) == 0


def test_the_verdict_on_one_charge_is_the_same_either_way(store: Store) -> None:
    one, listed = store.take_one(KEY, SLOW, 3), store.take([Charge(SEARCH, SLOW, 3)])[0]
    assert (one.allowed, left(one), one.limit, one.backend) == (listed.allowed, left(listed), SLOW, listed.backend)


def test_looking_charges_nothing(store: Store) -> None:
    taken = store.take_one(KEY, SLOW, 4)
    for _ in range(20):
        (seen,) = store.peek([Charge(KEY, SLOW, 6)])
        assert (seen.allowed, seen.arrival_us) == (True, taken.arrival_us)
    assert not store.peek([Charge(KEY, SLOW, 7)])[0].allowed
    assert store.take_one(KEY, SLOW, 6).allowed


def test_any_number_of_clients_can_be_looked_at_together(store: Store) -> None:
    charges = [Charge(f"rate_limit:{{client-{number}}}:anonymous", SLOW) for number in range(250)]
    for number, charge in enumerate(charges):
        if number % 50 == 0:
            store.take_one(charge.key, SLOW, 1 + number // 50)
    assert [left(verdict) for verdict in store.peek(charges)][::50] == [9, 8, 7, 6, 5]
    assert {left(verdict) for verdict in store.peek(charges)[1:50]} == {10}


def test_tokens_can_be_given_back(store: Store) -> None:
    store.take([Charge(KEY, SLOW, 5), Charge(SEARCH, SLOW, 1)])
    store.refund([Charge(KEY, SLOW, 2), Charge(SEARCH, SLOW, 1)], store.name)
    assert (tokens_at(store, KEY), tokens_at(store, SEARCH)) == (7, 10)


def test_what_is_given_back_makes_it_no_fuller_than_full(store: Store) -> None:
    store.take_one(KEY, SLOW, 2)
    store.refund([Charge(KEY, SLOW, 7)], store.name)
    store.refund([Charge(SEARCH, SLOW, 10**18)], store.name)
    assert (tokens_at(store, KEY), tokens_at(store, SEARCH)) == (10, 10)
    assert [store.take_one(KEY, SLOW).allowed for _ in range(11)] == [True] * 10 + [False]


def test_nothing_is_given_back_that_somebody_else_took(store: Store) -> None:
    store.take_one(KEY, SLOW, 5)
    store.refund([Charge(KEY, SLOW, 5)], "somebody else")
    store.refund([Charge(KEY, SLOW, 5)], "memory" if store.name == "redis" else "redis")
    assert tokens_at(store, KEY) == 5


def test_a_bucket_that_is_reset_is_full(store: Store) -> None:
    store.take([Charge(KEY, SLOW, 10), Charge(SEARCH, SLOW, 3)])
    assert store.reset([KEY, SEARCH, "rate_limit:{nobody}:anonymous"]) == 2
    assert store.reset([KEY]) == 0
    assert (tokens_at(store, KEY), tokens_at(store, SEARCH)) == (10, 10)


def test_a_limit_made_smaller_leaves_an_empty_bucket_that_refills(store: Store) -> None:
    store.take_one(KEY, Limit(1, 3600))  # an hour ahead
    small = Limit(10, 1)
    denied = store.take_one(KEY, small)
    assert (denied.allowed, left(denied)) == (False, 0)
    while not (verdict := store.take_one(KEY, small)).allowed:
        time.sleep(0.02)
    assert verdict.now_us - denied.now_us >= small.interval_us
    assert verdict.now_us - denied.now_us < SECOND


def test_keys_may_be_300_characters_long(store: Store) -> None:
    key = f"rate_limit:{{{'x' * 280}}}:a"
    assert left(store.take_one(key, SLOW)) == 9
    assert left(store.take_one(key, SLOW)) == 8


def test_a_loop_gets_the_same_answers(store: Store) -> None:
    async def story() -> None:
        (verdict,) = await store.atake([Charge(KEY, SLOW, 4)])
        assert (verdict.allowed, left(verdict), verdict.backend, verdict.limit) == (True, 6, store.name, SLOW)
        first, second = await store.atake([Charge(KEY, SLOW, 7), Charge(SEARCH, SLOW)])
        assert (first.allowed, left(first), second.allowed, left(second)) == (False, 6, True, 10)
        await store.arefund([Charge(KEY, SLOW, 1)], store.name)
        await store.arefund([Charge(KEY, SLOW, 1)], "somebody else")
        assert [(await store.atake([Charge(KEY, SLOW)]))[0].allowed for _ in range(9)] == [True] * 7 + [False] * 2
        assert await store.atake([]) == []

    asyncio.run(story())
    assert tokens_at(store, KEY) == 0


def test_many_tasks_on_one_loop_admit_exactly_the_burst(store: Store) -> None:
    async def story() -> list[list[Verdict]]:
        return await asyncio.gather(*(store.atake([Charge(KEY, SLOW)]) for _ in range(100)))

    assert sum(verdict.allowed for (verdict,) in asyncio.run(story())) == 10


def test_many_threads_admit_exactly_the_burst(store: Store) -> None:
    with ThreadPoolExecutor(16) as threads:
        verdicts = list(threads.map(lambda _: store.take_one(KEY, SLOW), range(200)))
    assert sum(verdict.allowed for verdict in verdicts) == 10


def test_its_arithmetic_is_the_buckets(store: Store) -> None:
    limit, arrival_us = Limit(7, 3600, 20), 0
    for cost in (3, 9, 9, 1, 30, 5, 2, 1, 1):
        verdict = store.take_one(KEY, limit, cost)
        expected = take(arrival_us, verdict.now_us, limit, cost)
        assert (verdict.allowed, verdict.arrival_us) == (expected.allowed, expected.arrival_us)
        arrival_us = verdict.arrival_us


def test_a_closed_store_begins_anew_when_asked(store: Store) -> None:
    store.take_one(KEY, SLOW)
    store.close()
    assert store.take_one(KEY, SLOW).allowed


def test_the_buckets_that_are_not_full_are_counted(store: Store) -> None:
    assert store.count(5) == 0
    for number in range(7):
        store.take_one(f"{{{number}}}:anonymous", SLOW)
    assert store.count(5) == 7


def test_it_tells_who_decides(store: Store) -> None:
    backend = store.take_one(KEY, SLOW).backend
    assert store.state()[:2] == (backend, "")
