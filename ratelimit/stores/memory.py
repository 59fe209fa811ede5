"""Buckets in this process: what decides where there is no Redis, and while Redis is away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from time import monotonic_ns

from ratelimit.bucket import Limit, give_back, take
from ratelimit.stores.base import Charge, StoreState, Verdict
from ratelimit.stores.forks import tell_after_fork

_SHARES_KEPT = 1_000
_new = tuple.__new__


class MemoryStore:
    """At most ``max_keys`` buckets; those asked for longest ago go first. Any number of threads may use it.

    Buckets are kept in two generations of half as many. What is asked for moves to the young one; when that is full the
    old one is dropped and the young one takes its place. So at least the ``max_keys // 2`` buckets asked for last are
    there always, which is what exact order would give for twice the time and a third more memory.

    As a process decides alone here, it applies its share of each limit, of which there are ``processes``.

    A bucket that is dropped counts as full, so somebody with more than ``max_keys`` addresses can free a denied one.
    They gain nothing: each of their addresses comes with a full bucket anyway. Being refused counts as being asked
    for, so nobody gets free by trying on.

    ``stands_in`` says that a store for all processes was wanted and cannot be had. ``clock_ns`` is monotonic.
    ``on_first_use`` is called before a process's first decision. None of the methods raises or waits; the async ones
    never suspend.
    """

    name = "memory"

    def __init__(
        self,
        max_keys: int,
        processes: int = 1,
        clock_ns: Callable[[], int] = monotonic_ns,
        on_first_use: Callable[[MemoryStore], None] | None = None,
        *,
        stands_in: bool = False,
    ) -> None:
        self.stands_in = stands_in
        self._half = max(max_keys // 2, 1)
        self._processes = processes
        self._has_others = processes > 1
        self._clock_ns = clock_ns
        self._on_first_use = on_first_use
        self._is_new = on_first_use is not None
        self._lock = Lock()
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._shares: dict[int, tuple[Limit, Limit]] = {}
        tell_after_fork(self)

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def take_one(self, key: str, limit: Limit, cost: int = 1) -> Verdict:
        if self._is_new or self._has_others:
            if self._is_new:
                self._begin()
            limit = self._share_of(limit)
        now_us = self._clock_ns() // 1000
        empty_us = now_us + limit.capacity_us
        with self._lock:
            # bucket.take and _keep, written out: calling them is a third of what a decision here costs
            young = self._young
            arrival_us = young.get(key)
            if arrival_us is None:
                arrival_us = self._old.pop(key, 0)
                if len(young) >= self._half:
                    self._age()
                    young = self._young
            if arrival_us < now_us:
                arrival_us = now_us
            elif arrival_us > empty_us:
                arrival_us = empty_us
            after_us = arrival_us + cost * limit.interval_us
            allowed = after_us <= empty_us
            if allowed:
                arrival_us = after_us
            young[key] = arrival_us
        # _new is what Verdict() calls, at half the price: this is done for every request
        return _new(Verdict, (allowed, arrival_us, now_us, limit, "memory"))

    def take(self, charges: Sequence[Charge]) -> list[Verdict]:
        if len(charges) == 1:
            return [self.take_one(*charges[0])]
        if self._is_new:
            self._begin()
        now_us = self._clock_ns() // 1000
        with self._lock:
            verdicts = [self._look(charge, now_us) for charge in charges]
            if all(verdict.allowed for verdict in verdicts):
                verdicts = [
                    verdict._replace(arrival_us=take(verdict.arrival_us, now_us, verdict.limit, charge.cost).arrival_us)
                    for charge, verdict in zip(charges, verdicts, strict=True)
                ]
            for charge, verdict in zip(charges, verdicts, strict=True):
                self._keep(charge.key, verdict.arrival_us)
        return verdicts

    async def atake(self, charges: Sequence[Charge]) -> list[Verdict]:
        return self.take(charges)

    def peek(self, charges: Sequence[Charge]) -> list[Verdict]:
        now_us = self._clock_ns() // 1000
        with self._lock:
            return [self._look(charge, now_us) for charge in charges]

    def refund(self, charges: Sequence[Charge], backend: str) -> None:
        if backend != self.name:
            return
        now_us = self._clock_ns() // 1000
        with self._lock:
            for key, limit, cost in charges:
                arrival_us = self._arrival(key)
                if arrival_us > now_us:
                    self._keep(key, give_back(arrival_us, now_us, self._share_of(limit), cost))

    async def arefund(self, charges: Sequence[Charge], backend: str) -> None:
        self.refund(charges, backend)

    def reset(self, keys: Sequence[str]) -> int:
        now_us = self._clock_ns() // 1000
        with self._lock:
            return sum(max(self._young.pop(key, 0), self._old.pop(key, 0)) > now_us for key in keys)

    def state(self) -> StoreState:
        return StoreState(self.name, "no_cache" if self.stands_in else "", len(self))

    def count(self, patience_seconds: float) -> int | None:  # noqa: ARG002 - it takes none
        now_us = self._clock_ns() // 1000
        with self._lock:
            return sum(arrival_us > now_us for kept in (self._young, self._old) for arrival_us in kept.values())

    def clear(self) -> None:
        """Forget every bucket."""
        with self._lock:
            self._young, self._old = {}, {}

    def close(self) -> None:
        self.clear()

    def after_fork(self) -> None:
        self._lock = Lock()
        self._young, self._old = {}, {}
        self._is_new = self._on_first_use is not None

    def _begin(self) -> None:
        with self._lock:
            is_first, self._is_new = self._is_new, False
        if is_first and self._on_first_use is not None:
            self._on_first_use(self)

    def _look(self, charge: Charge, now_us: int) -> Verdict:
        """Whether the tokens are there, and the arrival time as it is."""
        limit = self._share_of(charge.limit)
        arrival_us = take(self._arrival(charge.key), now_us, limit, cost=0).arrival_us
        return Verdict(take(arrival_us, now_us, limit, charge.cost).allowed, arrival_us, now_us, limit, self.name)

    def _keep(self, key: str, arrival_us: int) -> None:
        self._old.pop(key, None)
        if key not in self._young and len(self._young) >= self._half:
            self._age()
        self._young[key] = arrival_us

    def _arrival(self, key: str) -> int:
        return self._young.get(key) or self._old.get(key, 0)

    def _age(self) -> None:
        self._young, self._old = {}, self._young

    def _share_of(self, limit: Limit) -> Limit:
        """By identity, as hashing a limit takes longer than deciding; the limit is kept, so its id stays its own."""
        known = self._shares.get(id(limit))
        if known is not None:
            return known[1]
        if len(self._shares) >= _SHARES_KEPT:
            self._shares.clear()
        share = limit.shared_by(self._processes)
        self._shares[id(limit)] = (limit, share)
        return share
