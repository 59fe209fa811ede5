"""One series: where its numbers are, and how they are counted on. Of all this app does, this is done most often.

All cells of a process have one lock. Where a number is kept is looked up under it, since that may change (``storage``).
"""

from __future__ import annotations

from bisect import bisect_left
from math import inf
from time import time

from prometheus_client.utils import floatToGoString

from observability.catalogue import Metric, Mode
from observability.cells import key_of
from observability.errors import UnusableAmountError
from observability.storage import file_name, storage


class CounterChild:
    """One series of a counter."""

    __slots__ = ("_cells", "_index", "_metric")

    def __init__(self, metric: Metric, name: str, labels: dict[str, str]) -> None:
        self._metric = metric
        self.find(name, labels)

    def find(self, name: str, labels: dict[str, str]) -> None:
        """Find its cell, at first and after a fork."""
        key = key_of(name.removesuffix("_total"), name, labels)
        self._cells, (self._index,) = storage.place(file_name(self._metric), (key,))

    def inc(self, amount: float = 1.0) -> None:
        """Count ``amount`` more. Raises UnusableAmountError below 0, and for what is no finite number."""
        if not 0 <= amount < inf:
            raise UnusableAmountError(self._metric.name, amount)
        with self._cells.lock:
            self._cells.view[self._index] += amount

    def value(self) -> float:
        """As this process has counted it."""
        return float(self._cells.view[self._index])


class GaugeChild:
    """One series of a gauge. What is no number is kept all the same: Prometheus shows NaN."""

    __slots__ = ("_cells", "_index", "_is_dated", "_metric")

    def __init__(self, metric: Metric, name: str, labels: dict[str, str]) -> None:
        self._metric = metric
        self._is_dated = metric.mode not in (Mode.SUM, Mode.LIVE_SUM)  # of the others, one process's value is chosen
        self.find(name, labels)

    def find(self, name: str, labels: dict[str, str]) -> None:
        """Find its cell, at first and after a fork."""
        self._cells, (self._index,) = storage.place(file_name(self._metric), (key_of(name, name, labels),))

    def inc(self, amount: float = 1.0) -> None:
        with self._cells.lock:
            view = self._cells.view
            view[self._index] += amount
            if self._is_dated:
                view[self._index + 1] = time()

    def dec(self, amount: float = 1.0) -> None:
        self.inc(-amount)

    def set(self, value: float) -> None:
        with self._cells.lock:
            view = self._cells.view
            view[self._index] = float(value)
            view[self._index + 1] = time()

    def value(self) -> float:
        """As this process has set it."""
        return float(self._cells.view[self._index])


class HistogramChild:
    """One series of a histogram: a number for each bucket, and their sum."""

    __slots__ = ("_bounds", "_cells", "_metric", "_places", "_sum")

    def __init__(self, metric: Metric, name: str, labels: dict[str, str]) -> None:
        self._metric = metric
        self._bounds = tuple(map(float, metric.buckets))
        self.find(name, labels)

    def find(self, name: str, labels: dict[str, str]) -> None:
        """Find its cells, at first and after a fork."""
        keys = [
            key_of(name, f"{name}_bucket", {**labels, "le": floatToGoString(bound)}) for bound in (*self._bounds, inf)
        ]
        self._cells, (self._sum, *places) = storage.place(
            file_name(self._metric), (key_of(name, f"{name}_sum", labels), *keys)
        )
        self._places = tuple(places)

    def observe(self, amount: float) -> None:
        """Count one ``amount``; one that is no finite number is left out, since it would spoil the sum for good."""
        if not -inf < amount < inf:
            return
        with self._cells.lock:
            view = self._cells.view
            view[self._places[bisect_left(self._bounds, amount)]] += 1.0
            view[self._sum] += amount

    def count(self) -> float:
        """How many amounts this process has counted."""
        return float(sum(self._cells.view[place] for place in self._places))

    def sum(self) -> float:
        """What they came to."""
        return float(self._cells.view[self._sum])


class Record:
    """One counter and some histograms that are always told together: under one lock, at half the price."""

    __slots__ = ("_counter", "_histograms")

    def __init__(self, counter: CounterChild, *histograms: HistogramChild) -> None:
        self._counter = counter
        self._histograms = histograms

    def tell(self, *amounts: float) -> None:
        """Count one, and one amount, a finite number, in each histogram."""
        counter = self._counter
        with counter._cells.lock:
            counter._cells.view[counter._index] += 1.0
            for histogram, amount in zip(self._histograms, amounts, strict=True):
                view = histogram._cells.view
                view[histogram._places[bisect_left(histogram._bounds, amount)]] += 1.0
                view[histogram._sum] += amount


def tell(duration: HistogramChild, outcome: CounterChild, seconds: float) -> None:
    """``duration.observe(seconds)`` and ``outcome.inc()`` in one go, for what happens many times in a request.

    ``seconds`` is a difference of a clock, so it is finite.
    """
    with duration._cells.lock:
        view = duration._cells.view
        view[duration._places[bisect_left(duration._bounds, seconds)]] += 1.0
        view[duration._sum] += seconds
        outcome._cells.view[outcome._index] += 1.0
