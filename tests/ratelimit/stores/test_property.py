"""Whatever happens in whatever order: every verdict is the exact bucket's, of Redis or of this process's share."""

from __future__ import annotations

import asyncio
import time

import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from ratelimit.bucket import SECOND, Limit, take
from ratelimit.errors import StoreError
from ratelimit.stores.base import Charge, Verdict
from ratelimit.stores.fallback import FallbackStore
from ratelimit.stores.memory import MemoryStore
from ratelimit.stores.redis import RedisStore
from tests.ratelimit.stores.caches import cache_at
from tests.ratelimit.stores.conftest import PROBE
from tests.services import RedisProcess

LIMITS = {
    "rate_limit:{a}:anonymous": Limit(20, 2),
    "rate_limit:{a}:search": Limit(3, 3600),
    "rate_limit:{a}:export": Limit(1000, 1, burst=5),
    "rate_limit:{b}:anonymous": Limit(7, 60, burst=9),
}
PROCESSES = 2
GARBAGE = ["", "abc", "nan", "inf", "1e300", "1.5", "-5", "99999999999999999999"]

keys = st.sampled_from(sorted(LIMITS))
together = st.lists(st.sampled_from(sorted(LIMITS)[:3]), min_size=1, max_size=3, unique=True) | keys.map(
    lambda key: [key]
)
charges = together.flatmap(
    lambda names: st.tuples(
        *(st.builds(Charge, st.just(name), st.just(LIMITS[name]), st.integers(1, 11)) for name in names)
    )
)

healthy = precondition(lambda machine: machine.state == "up")
sick = precondition(lambda machine: machine.state != "up")


class Buckets(RuleBasedStateMachine):
    """The model: an arrival time for each key in Redis and in memory, moved by bucket.take on the clock of verdicts."""

    def __init__(self, server: RedisProcess) -> None:
        super().__init__()
        self.server = server
        self.operator = redis.Redis.from_url(server.url)
        self.operator.flushall()
        primary = RedisStore(cache_at(server.url), 0.1, 0.25)
        self.store = FallbackStore(primary, MemoryStore(1_000, PROCESSES), PROBE, 0.01)
        self.state = "up"
        self.decides = "redis"
        self.shared: dict[str, int] = {}
        self.local: dict[str, int] = {}
        self.untold: dict[str, tuple[int, int]] = {}
        """What was asked of Redis when it fell silent: microseconds to add to each key, and the time before."""

    def teardown(self) -> None:
        if self.state != "up":
            self.return_()
        self.store.close()
        self.operator.close()

    # --- questions ---------------------------------------------------------------------------------------------------

    @rule(charges=charges, way=st.sampled_from(["one", "several", "loop"]))
    def take(self, charges: tuple[Charge, ...], way: str) -> None:
        if way == "one":
            charges = charges[:1]
        before_us = _clock_us()
        if way == "one":
            verdicts = [self.store.take_one(*charges[0])]
        elif way == "several":
            verdicts = self.store.take(charges)
        else:
            verdicts = asyncio.run(self.store.atake(charges))
        if self.has_fallen_silent():
            self.untold = {key: (cost * limit.interval_us, before_us) for key, limit, cost in charges}
        self.compare(charges, verdicts, are_charged=True)
        self.settle()

    @rule(charges=charges)
    def peek(self, charges: tuple[Charge, ...]) -> None:
        verdicts = self.store.peek(charges)
        self.has_fallen_silent()
        self.compare(charges, verdicts, are_charged=False)
        self.settle()

    @rule(charges=charges, backend=st.sampled_from(["redis", "memory"]))
    def refund(self, charges: tuple[Charge, ...], backend: str) -> None:
        before_us, decided = _clock_us(), self.decides
        self.store.refund(charges, backend)
        if self.has_fallen_silent():
            self.untold = {key: (-cost * limit.interval_us, before_us) for key, limit, cost in charges}
        elif backend == decided:
            buckets, processes = (self.shared, 1) if backend == "redis" else (self.local, PROCESSES)
            for key, limit, cost in charges:  # an arrival time in the past is as good as now
                buckets[key] = buckets.get(key, 0) - cost * limit.shared_by(processes).interval_us
        self.settle()

    @healthy
    @rule(key=keys)
    def reset(self, key: str) -> None:
        try:
            assert self.store.reset([key]) in {0, 1}
        except StoreError:  # too slow for the timeout, not for the reset
            assert self.has_fallen_silent()
            self.shared[key] = self.stored(key)
        else:
            self.shared.pop(key, None)
        self.settle()

    @sick
    @rule(key=keys)
    def reset_while_away(self, key: str) -> None:
        if self.decides == "memory":
            self.local.pop(key, None)
            try:
                self.store.reset([key])
            except StoreError:
                return
            raise AssertionError("a reset that was not done must be said so")

    # --- faults ------------------------------------------------------------------------------------------------------

    @healthy
    @rule()
    def the_script_is_flushed(self) -> None:
        self.operator.script_flush()

    @healthy
    @rule()
    def connections_are_killed(self) -> None:
        self.operator.client_kill_filter(_type="normal", skipme=True)

    @healthy
    @rule(key=keys, garbage=st.sampled_from(GARBAGE))
    def garbage_is_put_at_a_key(self, key: str, garbage: str) -> None:
        self.operator.set(key, garbage)
        self.shared.pop(key, None)

    @healthy
    @rule(key=keys)
    def another_type_is_put_at_a_key(self, key: str) -> None:
        self.operator.delete(key)
        self.operator.rpush(key, _clock_us() + SECOND)
        self.shared.pop(key, None)

    @healthy
    @rule(key=keys, hours=st.integers(1, 1000))
    def the_clock_of_redis_was_ahead(self, key: str, hours: int) -> None:
        self.shared[key] = _clock_us() + LIMITS[key].capacity_us + hours * 3600 * SECOND
        self.operator.set(key, self.shared[key])
        self.take((Charge(key, LIMITS[key], 1),), "one")

    @healthy
    @rule()
    def it_is_restarted(self) -> None:
        self.server.kill()
        self.server.start()
        self.shared.clear()

    @healthy
    @rule()
    def it_hangs(self) -> None:
        self.server.hang()
        self.state = "hung"

    @healthy
    @rule()
    def it_is_killed(self) -> None:
        self.server.kill()
        self.state = "dead"

    @sick
    @rule()
    def return_(self) -> None:
        if self.state == "hung":
            self.server.go_on()
        else:
            self.server.start()
            self.shared.clear()
            self.untold.clear()
        self.state = "up"
        self.settle()

    # --- the model ---------------------------------------------------------------------------------------------------

    def compare(self, charges: tuple[Charge, ...], verdicts: list[Verdict], are_charged: bool) -> None:
        buckets, processes = (self.shared, 1) if self.decides == "redis" else (self.local, PROCESSES)
        now_us = verdicts[0].now_us
        limits = [limit.shared_by(processes) for _, limit, _ in charges]
        starts = [
            take(buckets.get(charge.key, 0), now_us, limit, 0).arrival_us
            for charge, limit in zip(charges, limits, strict=True)
        ]
        tries = [
            take(start, now_us, limit, charge.cost)
            for charge, limit, start in zip(charges, limits, starts, strict=True)
        ]
        is_charged = are_charged and all(taken.allowed for taken in tries)
        afters = [taken.arrival_us for taken in tries] if is_charged else starts
        assert verdicts == [
            Verdict(taken.allowed, after, now_us, limit, self.decides)
            for taken, after, limit in zip(tries, afters, limits, strict=True)
        ]
        if are_charged:
            buckets.update(zip((charge.key for charge in charges), afters, strict=True))

    def has_fallen_silent(self) -> bool:
        """Whether the last question is the one that opened the breaker."""
        if self.decides == "memory" or self.store.current != "memory":
            return False
        self.decides = "memory"
        return True

    def settle(self) -> None:
        """Where Redis is healthy, wait until it decides again, and find out what became of what it did not answer."""
        if self.state != "up" or self.decides == "redis":
            return
        deadline = time.monotonic() + 20
        while self.store.current != "redis":
            assert time.monotonic() < deadline
            time.sleep(0.001)
        self.decides = "redis"
        found = {key: self.stored(key) for key in self.untold}
        were_run = {self.was_run(key, found[key]) for key in found} - {None}
        assert len(were_run) <= 1, "of several buckets some were charged and some were not"
        self.shared.update(found)
        self.untold.clear()

    def stored(self, key: str) -> int:
        """The arrival time at a key, 0 where there is none to make sense of."""
        value = self.operator.get(key) if self.operator.type(key) == b"string" else None
        return int(value) if isinstance(value, bytes) and value.isdigit() and int(value) < 2**53 else 0

    def was_run(self, key: str, found_us: int) -> bool | None:
        """None where it cannot be told. Run twice is what must never be."""
        added_us, before_us = self.untold[key]
        former_us, now_us = self.shared.get(key, 0), _clock_us()
        if former_us <= now_us and found_us == 0:  # it was full and is: again, or still
            return None if before_us + added_us <= now_us else False
        if found_us == former_us:
            return False
        if added_us < 0:
            assert found_us in {0, former_us + added_us}
        else:
            fresh = before_us + added_us <= found_us <= now_us + added_us and former_us <= now_us
            assert fresh or found_us == former_us + added_us
        return True


def _clock_us() -> int:
    return time.time_ns() // 1000  # of this host, which is also the server's


def test_every_verdict_is_the_exact_buckets(own_redis: RedisProcess) -> None:
    class OnThisServer(Buckets):
        def __init__(self) -> None:
            super().__init__(own_redis)

    run_state_machine_as_test(
        OnThisServer,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.generate],  # time cannot be wound back, so a failing run would not shrink
            suppress_health_check=list(HealthCheck),
        ),
    )
