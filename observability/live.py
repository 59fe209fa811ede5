"""Live metrics: counters, gauges and histograms that are declared once and counted on from anywhere.

``http_requests.at("GET", "/", "200").inc()``: ``at`` finds the series by its raw label values in one look-up, and makes
it, its labels brought into their domains, at the first use only. What it returns may be kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any, Generic, TypeVar

from observability.catalogue import MOST_LABEL_SETS, Budget, Closed, Kind, Label, Metric, Mode, declare
from observability.cells import Cells, parse_key
from observability.conf import conf
from observability.errors import CardinalityError, LabelCountError
from observability.series import CounterChild, GaugeChild, HistogramChild
from observability.storage import file_name, storage

_MOST_SPELLINGS = 4
"""How many raw spellings of one series are remembered on average; the rest is brought into shape each time."""


def full_name(name: str) -> str:
    """With the project's namespace in front."""
    prefix = conf.namespace
    return f"{prefix}_{name}" if prefix else name


Child = TypeVar("Child", CounterChild, GaugeChild, HistogramChild)


class Family(Generic[Child]):
    """All series of one metric. Made once, where the metric is declared."""

    def __init__(self, metric: Metric, child: type[Child]) -> None:
        self.metric = declare(metric)
        self.name = full_name(metric.name)
        self._make_child: Callable[[Metric, str, dict[str, str]], Child] = child
        self._by_raw: dict[tuple[Any, ...], Child] = {}
        self._series: dict[tuple[str, ...], Child] = {}
        self._seen: dict[str, set[str]] = {label.name: set() for label in metric.labels}
        _families.append(self)
        self._begin()

    def at(self, *values: Any) -> Child:
        """The series of these label values, in the order of the declaration.

        A value outside its domain is counted as ``other``, and in ``metrics_dropped_series_total``. Raises
        LabelCountError, and in strict mode CardinalityError.
        """
        child = self._by_raw.get(values)
        return child if child is not None else self._admit(values)

    def series(self) -> list[tuple[tuple[str, ...], Child]]:
        """Label values and series, of all that this process has."""
        return list(self._series.items())

    def find_again(self) -> None:
        """In a forked child: every series finds its cells anew."""
        for values, child in self._series.items():
            child.find(self.name, self._labels(values))
        self._remember_earlier()

    def _begin(self) -> None:
        if self.metric.is_closed:
            domains = (label.domain.values for label in self.metric.labels if isinstance(label.domain, Closed))
            for values in product(*domains):
                self._make(values)
        self._remember_earlier()

    def _remember_earlier(self) -> None:
        """What the slot's earlier owners have spent of a budget is spent: their series are in the file for good."""
        budgets = [label.name for label in self.metric.labels if isinstance(label.domain, Budget)]
        if not (budgets and storage.is_shared):
            return
        for labels in _earlier.labels(file_name(self.metric), self.name.removesuffix("_total")):
            for name in budgets:
                if name in labels:
                    self._seen[name].add(labels[name])

    def _admit(self, raw: tuple[Any, ...]) -> Child:
        if len(raw) != len(self.metric.labels):
            raise LabelCountError(self.metric.name, self.metric.label_names, len(raw))
        with storage.lock:
            values, is_dropped = self._within(raw)
            child = self._series[values] if values in self._series else self._make(values)
            if not is_dropped and len(self._by_raw) < _MOST_SPELLINGS * self.metric.most_label_sets:
                self._by_raw[raw] = child
        if is_dropped:
            count_drop(self.metric)
        return child

    def _within(self, raw: Sequence[Any]) -> tuple[tuple[str, ...], bool]:
        values, is_dropped = [], False
        for label, given in zip(self.metric.labels, raw, strict=True):
            text = given if isinstance(given, str) else str(given)
            value = self._in_domain(label, text)
            is_dropped = is_dropped or (value != text and isinstance(label.domain, Budget))
            values.append(value)
        admitted = tuple(values)
        if admitted not in self._series and len(self._series) >= self.metric.most_label_sets:
            self._complain(self.metric.labels[0], values[0])
            return tuple(
                _last_resort(label, value) for label, value in zip(self.metric.labels, values, strict=True)
            ), True
        return admitted, is_dropped

    def _in_domain(self, label: Label, text: str) -> str:
        domain = label.domain
        if isinstance(domain, Closed):
            if text in domain.values:
                return text
            if not domain.other:
                self._complain(label, text)
                return OUTSIDE
            return domain.other
        seen = self._seen[label.name]
        if text in seen or text == domain.other:
            return text
        if len(seen) >= domain.most or not _is_speakable(text):
            self._complain(label, text)
            return domain.other
        seen.add(text)
        return text

    def _complain(self, label: Label, text: str) -> None:
        if conf.strict and not (isinstance(label.domain, Budget) and label.domain.may_be_spent):
            raise CardinalityError(self.metric.name, label.name, text)

    def _make(self, values: tuple[str, ...]) -> Child:
        child = self._series[values] = self._make_child(self.metric, self.name, self._labels(values))
        return child

    def _labels(self, values: tuple[str, ...]) -> dict[str, str]:
        return dict(zip(self.metric.label_names, values, strict=True))


OUTSIDE = "unknown"
"""Stands for a value outside a closed domain that has none for it, so that the count at least is right."""
_LONGEST_VALUE = 200
_families: list[Family[Any]] = []


def families() -> Iterable[Family[Any]]:
    """Every live metric of this process."""
    return tuple(_families)


class Counter(Family[CounterChild]):
    """Goes up only. Its name ends in ``_total``."""

    def __init__(self, name: str, help_text: str, *, group: str, labels: Sequence[Label] = (), slo: str = "") -> None:
        super().__init__(
            Metric(name=name, kind=Kind.COUNTER, help=help_text, group=group, labels=tuple(labels), slo=slo),
            CounterChild,
        )

    def inc(self, amount: float = 1.0) -> None:
        """For a counter without labels."""
        self.at().inc(amount)


class Gauge(Family[GaugeChild]):
    """Goes up and down. ``mode`` says how the values of several processes make one."""

    def __init__(
        self, name: str, help_text: str, *, group: str, mode: Mode, labels: Sequence[Label] = (), slo: str = ""
    ) -> None:
        super().__init__(
            Metric(name=name, kind=Kind.GAUGE, help=help_text, group=group, labels=tuple(labels), mode=mode, slo=slo),
            GaugeChild,
        )

    def set(self, value: float) -> None:
        """For a gauge without labels."""
        self.at().set(value)


class Histogram(Family[HistogramChild]):
    """How amounts are spread: how many are at most each of ``buckets``."""

    def __init__(
        self,
        name: str,
        help_text: str,
        *,
        group: str,
        buckets: Sequence[float],
        labels: Sequence[Label] = (),
        slo: str = "",
        most_label_sets: int = MOST_LABEL_SETS // 4,
    ) -> None:
        super().__init__(
            Metric(
                name=name,
                kind=Kind.HISTOGRAM,
                help=help_text,
                group=group,
                labels=tuple(labels),
                buckets=tuple(buckets),
                slo=slo,
                most_label_sets=most_label_sets,
            ),
            HistogramChild,
        )

    def observe(self, amount: float) -> None:
        """For a histogram without labels."""
        self.at().observe(amount)


class _Earlier:
    """What the files had when they were opened: the labels of each family, found for all families in one go."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Cells, dict[str, list[dict[str, str]]]]] = {}

    def labels(self, file: str, family: str) -> Sequence[dict[str, str]]:
        try:
            cells = storage.cells(file)
        except OSError:
            return ()
        if file not in self._found or self._found[file][0] is not cells:
            self._found[file] = cells, self._of_each_family(cells)
        return self._found[file][1].get(family, ())

    def _of_each_family(self, cells: Cells) -> dict[str, list[dict[str, str]]]:
        found: dict[str, list[dict[str, str]]] = defaultdict(list)
        for entry in cells.entries():
            if b'_bucket", {' not in entry.key:  # a histogram's sum says the same
                family, _, labels, _ = parse_key(entry.key)
                found[family].append(labels)
        return found


_earlier = _Earlier()


def _last_resort(label: Label, value: str) -> str:
    if isinstance(label.domain, Budget):
        return label.domain.other
    return label.domain.other or value


def _is_speakable(text: str) -> bool:
    return len(text) <= _LONGEST_VALUE and text.isprintable()


def count_drop(metric: Metric) -> None:
    """Counted by ``metrics.py``, which puts its counter here: that one's labels are closed, so it drops nothing."""
    for counter in _drop_counters:
        counter.at(metric.name).inc()


_drop_counters: list[Counter] = []


def count_drops_in(counter: Counter) -> None:
    """Have every dropped series counted by ``counter``, whose only label is the metric's name."""
    _drop_counters.append(counter)


def _find_all_again() -> None:
    for family in _families:
        family.find_again()


storage.on_renewed(_find_all_again)
