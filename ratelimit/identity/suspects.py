"""Addresses that keep presenting keys nobody knows: after a few a minute their unknown keys are not looked up."""

from __future__ import annotations

from threading import Lock
from time import monotonic_ns

from ratelimit.bucket import Limit, take
from ratelimit.stores.forks import tell_after_fork

FAILED_LOOKUPS = Limit(10, 60)
_MOST_ADDRESSES = 10_000  # about 2 MB; the least recently charged is forgotten first


class Suspects:
    """One small bucket per address, in this process only: each look-up that finds no good key costs one of ten."""

    def __init__(self) -> None:
        self._arrivals_us: dict[str, int] = {}
        self._lock = Lock()
        tell_after_fork(self)

    def may_ask(self, address_digest: str) -> bool:
        """Whether a key that this process does not know may be looked up for the address."""
        arrival_us = self._arrivals_us.get(address_digest)
        return arrival_us is None or take(arrival_us, monotonic_ns() // 1000, FAILED_LOOKUPS, 1).allowed

    def charge(self, address_digest: str) -> None:
        """A look-up was in vain."""
        now_us = monotonic_ns() // 1000
        with self._lock:
            taken = take(self._arrivals_us.pop(address_digest, 0), now_us, FAILED_LOOKUPS, 1)
            while len(self._arrivals_us) >= _MOST_ADDRESSES:
                del self._arrivals_us[next(iter(self._arrivals_us))]
            self._arrivals_us[address_digest] = taken.arrival_us

    def after_fork(self) -> None:
        self._lock = Lock()
