"""Refuses what an exhausted bucket would refuse, in process, without asking the store.

It holds what the store said last of a bucket that had too little: its arrival time and the store's clock. The same
arithmetic then tells for each cost whether the store would still refuse. All errors lean towards asking:

* a reading counts from the moment before the store was asked, so our estimate of the store's clock is never behind it;
* elapsed time counts 1/500 too fast, and clocks that NTP slews drift apart by at most 1/1000 (500 ppm each);
* a reading is used for at most ``LIFE_SECONDS``. No longer does it outlive a refund or reset in another process, or a
  clock of the store that was set back or forth;
* an answer that was under way while its bucket was forgotten is not remembered.

What other requests take meanwhile only moves the arrival time further away, so nothing is refused that the store would
admit. Clients are told the time without that haste, counted from when the store's answer came: as the store itself
would tell them, and never too short a wait.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock
from typing import NamedTuple

from ratelimit.bucket import Limit
from ratelimit.stores.base import Verdict

BACKEND = "deny_cache"
LIFE_SECONDS = 2
_LIFE_NS = LIFE_SECONDS * 1_000_000_000
_HASTE_NS = 500_000  # a microsecond more for every 500


class _Reading(NamedTuple):
    arrival_us: int
    now_us: int
    """The store's clock when it answered."""
    asked_ns: int
    """Our monotonic clock before it was asked."""
    heard_ns: int
    """And when its answer was there."""


class DenyCache:
    """At most ``most_keys`` readings; the oldest goes first. Any number of threads may use it.

    ``clock_ns`` is monotonic.
    """

    def __init__(self, most_keys: int, clock_ns: Callable[[], int]) -> None:
        self._readings: OrderedDict[str, _Reading] = OrderedDict()
        self._most_keys = most_keys
        self._clock_ns = clock_ns
        self._forgotten_ns: OrderedDict[str, int] = OrderedDict()
        """When buckets were forgotten lately, the latest last."""
        self._any_forgotten_ns = -1
        """When the latest of those was forgotten that did not fit in there."""
        self._lock = Lock()  # for writers; one look-up in a dict needs none

    def __len__(self) -> int:
        return len(self._readings)

    def refusal(self, key: str, limit: Limit, cost: int) -> Verdict | None:
        """What the store would answer if it would refuse, else None."""
        reading = self._readings.get(key)
        if reading is None:
            return None
        arrival_us, now_us, asked_ns, heard_ns = reading
        clock_ns = self._clock_ns()
        elapsed_ns = clock_ns - asked_ns
        if elapsed_ns > _LIFE_NS:
            return None
        capacity_us = limit.capacity_us
        hasty_us = now_us + elapsed_ns // 1000 + elapsed_ns // _HASTE_NS + 1
        start_us = max(hasty_us, arrival_us)
        if start_us + cost * limit.interval_us <= hasty_us + capacity_us:
            return None
        now_us += (clock_ns - heard_ns) // 1000
        arrival_us = max(now_us, min(arrival_us, now_us + capacity_us))
        return tuple.__new__(Verdict, (False, arrival_us, now_us, limit, BACKEND))  # at half the price of Verdict()

    def remember(self, key: str, arrival_us: int, now_us: int, asked_ns: int) -> None:
        """What the store, asked at ``asked_ns`` on our clock, said of a bucket that has too little."""
        with self._lock:
            if asked_ns <= self._forgotten_ns.get(key, self._any_forgotten_ns):
                return
            self._readings[key] = _Reading(arrival_us, now_us, asked_ns, self._clock_ns())
            self._readings.move_to_end(key)
            if len(self._readings) > self._most_keys:
                self._readings.popitem(last=False)

    def forget(self, keys: Iterable[str]) -> None:
        """To be called once the store has refunded or reset these buckets."""
        with self._lock:
            now_ns = self._clock_ns()
            for key in keys:
                self._readings.pop(key, None)
                self._forgotten_ns[key] = now_ns
                self._forgotten_ns.move_to_end(key)
            while self._forgotten_ns:
                oldest_ns = next(iter(self._forgotten_ns.values()))
                is_old = oldest_ns < now_ns - _LIFE_NS  # longer than any answer is under way
                if not is_old and len(self._forgotten_ns) <= self._most_keys:
                    break
                self._forgotten_ns.popitem(last=False)
                if not is_old:
                    self._any_forgotten_ns = oldest_ns
