"""The token bucket as one integer: pure arithmetic, in whole microseconds.

A bucket that holds ``burst`` tokens and refills ``requests`` of them every ``window_seconds`` is kept as the moment at
which it will be full again, the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371, annex A.2,
with the increment T and the tolerance τ = burst × T - T folded into one bound):

    arrival' = max(arrival, now) + cost × T        admitted if and only if arrival' - burst × T ≤ now

Nothing stored means full. T is rounded up to a whole microsecond, so rounding never admits too much; at the fastest
limit there is it costs less than 1 % of the rate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from ratelimit.errors import InvalidLimitError

SECOND = 1_000_000  # microseconds
LONGEST_WINDOW_SECONDS = 31 * 24 * 3600
LONGEST_FILL_SECONDS = 366 * 24 * 3600  # keeps arrival times far below 2^53, up to which Lua's numbers are exact
MOST_REQUESTS = 10_000_000
MOST_PER_SECOND = 10_000  # T is at least 100 microseconds, so rounding it costs at most a hundredth
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WRITTEN = re.compile(r"(?P<requests>[0-9]{1,8})/(?P<count>[0-9]{0,7})(?P<unit>[smhd])")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``requests`` every ``window_seconds`` in the long run, and ``burst`` at once (default: ``requests``).

    A full bucket of capacity N that refills N a window admits up to 2N - 1 in its first window; a lower ``burst``
    lowers that to requests + burst - 1. Raises InvalidLimitError.
    """

    requests: int
    window_seconds: int = 60
    burst: int = 0
    interval_us: int = field(init=False)
    """T, the microseconds in which one token comes back."""
    capacity_us: int = field(init=False)
    """burst × T, the microseconds in which an empty bucket fills."""

    def __post_init__(self) -> None:
        whole = all(type(value) is int and value >= 0 for value in (self.requests, self.window_seconds, self.burst))
        if not whole or not 1 <= self.requests <= MOST_REQUESTS or self.burst > MOST_REQUESTS:
            raise InvalidLimitError(f"A limit and its burst are whole numbers from 1 to {MOST_REQUESTS:,}.")
        if not 1 <= self.window_seconds <= LONGEST_WINDOW_SECONDS:
            raise InvalidLimitError(f"A window is 1 to {LONGEST_WINDOW_SECONDS:,} whole seconds long.")
        if self.requests > self.window_seconds * MOST_PER_SECOND:
            raise InvalidLimitError(f"A limit is at most {MOST_PER_SECOND:,} requests a second.")
        burst = self.burst or self.requests
        interval_us = -(-self.window_seconds * SECOND // self.requests)
        if burst * interval_us > LONGEST_FILL_SECONDS * SECOND:
            raise InvalidLimitError("At this rate so large a burst takes more than a year to come back.")
        object.__setattr__(self, "burst", burst)
        object.__setattr__(self, "interval_us", interval_us)
        object.__setattr__(self, "capacity_us", burst * interval_us)

    @classmethod
    def parse(cls, text: str) -> Limit:
        """``20/m``, ``100/10s``, ``5/h``; raises InvalidLimitError."""
        match = _WRITTEN.fullmatch(text.strip())
        if match is None:
            raise InvalidLimitError(f"“{text}” is no limit. Write requests/window, such as 20/m, 100/10s or 5/h.")
        return cls(int(match["requests"]), int(match["count"] or 1) * _UNITS[match["unit"]])

    def shared_by(self, processes: int) -> Limit:
        """One process's share where each decides alone: max(1, N ÷ processes), rounded down."""
        if processes <= 1:
            return self
        rate = Limit(max(1, self.requests // processes), self.window_seconds, burst=1)
        most = LONGEST_FILL_SECONDS * SECOND // rate.interval_us
        return Limit(rate.requests, rate.window_seconds, min(max(1, self.burst // processes), most))


class Taken(NamedTuple):
    """What became of a bucket. ``arrival_us`` is its arrival time afterwards; a denial leaves it as it was."""

    allowed: bool
    arrival_us: int
    now_us: int


def take(arrival_us: int, now_us: int, limit: Limit, cost: int) -> Taken:
    """Take ``cost`` tokens if they are there; 0 tells how it stands.

    An arrival time further ahead than an empty bucket's can only come from a clock that was set back or from a larger
    limit; it counts as empty.
    """
    empty_us = now_us + limit.capacity_us
    start = arrival_us
    if start < now_us:
        start = now_us
    elif start > empty_us:
        start = empty_us
    after = start + cost * limit.interval_us
    # tuple.__new__ is what Taken() calls, at half the price: this is done for every request
    if after > empty_us:
        return tuple.__new__(Taken, (False, start, now_us))
    return tuple.__new__(Taken, (True, after, now_us))


def give_back(arrival_us: int, now_us: int, limit: Limit, cost: int) -> int:
    """The arrival time with ``cost`` tokens returned; never fuller than full."""
    empty_us = now_us + limit.capacity_us
    return max(min(arrival_us, empty_us) - cost * limit.interval_us, now_us)


class Decision(NamedTuple):
    """The answer, with what headers need.

    ``backend`` is what decided: ``redis``, ``memory``, ``deny_cache``, or ``none`` where nothing had to be asked. An
    unlimited tier has ``spec`` None: limit, remaining and the times are then 0 and no header is sent.
    """

    allowed: bool
    spec: Limit | None
    arrival_us: int
    now_us: int
    tier: str
    backend: str
    cost: int = 1
    policy: str = "default"
    """The name in the RateLimit headers: ``default`` for the tier's limit, else the scope that decided."""
    shadow: bool = False
    """Refused, and admitted all the same, because the tier's limits are not enforced; nothing was taken."""

    @property
    def is_unlimited(self) -> bool:
        return self.spec is None

    @property
    def limit(self) -> int:
        """Requests per window."""
        return self.spec.requests if self.spec is not None else 0

    @property
    def remaining(self) -> int:
        """Whole tokens left."""
        spec = self.spec
        if spec is None:
            return 0
        taken_us = self.arrival_us - self.now_us
        if taken_us <= 0:
            return spec.burst
        return (spec.capacity_us - taken_us) // spec.interval_us if taken_us < spec.capacity_us else 0

    @property
    def reset_after_seconds(self) -> float:
        """Until the bucket is full again."""
        taken_us = self.arrival_us - self.now_us
        return taken_us / SECOND if taken_us > 0 else 0.0

    @property
    def retry_after_seconds(self) -> float:
        """Until this request would be admitted; 0 when it was, never 0 when it was not.

        A cost above the burst is never admitted; then it is the time to a full bucket, and at least one interval.
        """
        if self.allowed or self.spec is None:
            return 0.0
        taken_us = max(self.arrival_us - self.now_us, 0)
        if self.cost > self.spec.burst:
            return max(taken_us, self.spec.interval_us) / SECOND
        missing_us = taken_us + self.cost * self.spec.interval_us - self.spec.capacity_us
        return max(missing_us, 1) / SECOND
