"""Addresses that keep presenting keys nobody knows: after a few a minute their unknown keys are not looked up."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from time import monotonic_ns

from ratelimit.bucket import Limit, give_back, take
from ratelimit.identity.rows import KnownKey
from ratelimit.identity.shelf import Unanswered
from ratelimit.stores.forks import tell_after_fork

FAILED_LOOKUPS = Limit(10, 60)
_MOST_ADDRESSES = 10_000  # about 2 MB; the one that took its last turn longest ago is forgotten first


class Suspects:
    """One small bucket per address, in this process only: each look-up that finds no good key costs one of ten.

    The turn is taken before the look-up, so that guesses made at once are no cheaper. What we accept in exchange: no
    more than ten keys that are new to the process are looked up at the same moment for one address.
    """

    def __init__(self) -> None:
        self._arrivals_us: dict[str, int] = {}
        self._lock = Lock()
        tell_after_fork(self)

    def take_turn(self, address_digest: str) -> bool:
        """Whether a key that this process does not know may be looked up for the address."""
        now_us = monotonic_ns() // 1000
        with self._lock:
            taken = take(self._arrivals_us.get(address_digest, 0), now_us, FAILED_LOOKUPS, 1)
            if taken.allowed:
                self._arrivals_us.pop(address_digest, None)  # so that the one to forget stays in front
                while len(self._arrivals_us) >= _MOST_ADDRESSES:
                    del self._arrivals_us[next(iter(self._arrivals_us))]
                self._arrivals_us[address_digest] = taken.arrival_us
        return taken.allowed

    def give_back_turn(self, address_digest: str) -> None:
        """The look-up was not in vain."""
        now_us = monotonic_ns() // 1000
        with self._lock:
            arrival_us = give_back(self._arrivals_us.get(address_digest, 0), now_us, FAILED_LOOKUPS, 1)
            if arrival_us > now_us:
                self._arrivals_us[address_digest] = arrival_us
            else:
                self._arrivals_us.pop(address_digest, None)

    def after_fork(self) -> None:
        self._lock = Lock()


@dataclass(frozen=True, slots=True)
class AddressTurn:
    """What one look-up costs the address that causes it."""

    suspects: Suspects
    address_digest: str

    def take(self) -> bool:
        return self.suspects.take_turn(self.address_digest)

    def settle(self, answer: KnownKey | Unanswered) -> None:
        if isinstance(answer, Unanswered) or not answer.refusal():
            self.suspects.give_back_turn(self.address_digest)
