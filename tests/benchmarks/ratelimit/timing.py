"""What every worker process shares: timing in blocks.

The standard library only, as the peers' environment has this file and none of our dependencies.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from time import perf_counter_ns

Call = Callable[[int], object]
"""Does one thing to be timed; takes the number of the call, to choose an identifier by."""

_WARMING_CALLS = 10
"""At the start of each block: meanwhile another process has had the caches."""


def latencies_ns(call: Call, first: int, count: int) -> list[int]:
    """What each of ``count`` calls took. The clock's own 0.05 µs are in it; the garbage collector's work is not."""
    for number in range(first, first + _WARMING_CALLS):
        call(number)
    taken = []
    gc.disable()
    for number in range(first + _WARMING_CALLS, first + _WARMING_CALLS + count):
        started = perf_counter_ns()
        call(number)
        taken.append(perf_counter_ns() - started)
    gc.enable()
    return taken


class Stopwatch:
    """Times blocks of named targets, each of which is made when first asked for."""

    def __init__(self, targets: Mapping[str, Callable[[], Call]]) -> None:
        self._targets = targets
        self._made: dict[str, Call] = {}
        self._done: dict[str, int] = {}

    def call_of(self, target: str) -> Call:
        if target not in self._made:
            self._made[target] = self._targets[target]()
        return self._made[target]

    def median_us(self, target: str, count: int) -> float:
        """The median of a block of ``count`` calls."""
        first = self._done.get(target, 0)
        self._done[target] = first + count
        return sorted(latencies_ns(self.call_of(target), first, count))[count // 2] / 1000
