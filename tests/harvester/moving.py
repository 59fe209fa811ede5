"""Proof that a metric moves: a test that claims so fails where it has not, and what no test claims is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ParamSpec, TypeAlias

from django.conf import settings
from django.utils.module_loading import import_string

from harvester import metrics
from harvester.metrics import Mishap
from observability.live import Counter, Family, Gauge, Histogram
from observability.metrics import errors
from observability.pulled import Pulled
from observability.series import HistogramChild

Parameters = ParamSpec("Parameters")
Values: TypeAlias = dict[tuple[str, ...], float]

UNTOUCHED = -1.0
"""No gauge of ours is ever below 0."""
proven: set[str] = set()
"""Names of the metrics, and the mishaps, that some test moves."""


def declared() -> dict[str, Family[Any] | Pulled]:
    """The metrics of ``harvester.metrics`` by name."""
    own = [one for one in vars(metrics).values() if isinstance(one, Family | Pulled) and one is not errors]
    return {one.metric.name: one for one in own}


def moves(*moved: Family[Any] | Pulled | Mishap) -> Callable[[Callable[Parameters, None]], Callable[Parameters, None]]:
    """The test moves these, or it fails."""
    proven.update(one if isinstance(one, Mishap) else one.metric.name for one in moved)

    def decorate(test: Callable[Parameters, None]) -> Callable[Parameters, None]:
        @wraps(test)
        def watched(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
            _disguise(moved)
            before = [values_of(one) for one in moved]
            test(*args, **kwargs)
            still = [str(one) for one, was in zip(moved, before, strict=True) if values_of(one) == was]
            assert still == []

        return watched

    return decorate


def _disguise(moved: Iterable[object]) -> None:
    """A gauge that is set to what it was has moved too."""
    for one in moved:
        if isinstance(one, Gauge):
            for _, child in one.series():
                child.set(UNTOUCHED)


def values_of(metric: Family[Any] | Pulled | Mishap) -> Values:
    """By label values: a counter's and a gauge's value, a histogram's count; what a collector reads now."""
    if isinstance(metric, Mishap):
        return {labels: value for labels, value in values_of(errors).items() if labels[0] == metric}
    if isinstance(metric, Pulled):
        return collected().get(metric.name, {})
    return {
        labels: child.count() if isinstance(metric, Histogram) else child.value() for labels, child in metric.series()
    }


def collected() -> dict[str, Values]:
    """What the product's collectors read now, by metric."""
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for path in settings.OBSERVABILITY_COLLECTORS
        for family in import_string(path)().collect()
    }


def forget(family: Family[Any]) -> None:
    """As it was when the process began: no series, and no cell with a number in it for the next one of its name."""
    for labels, child in family.series():
        places = (*child._places, child._sum) if isinstance(child, HistogramChild) else (child._index,)
        for place in places:
            child._cells.view[place] = 0.0
        for name, value in zip(family.metric.label_names, labels, strict=True):
            family._seen[name].discard(value)
    family._series.clear()
    family._by_raw.clear()


class Watch:
    """How far metrics have moved since."""

    def __init__(self) -> None:
        self._before = {name: values_of(one) for name, one in declared().items() if not isinstance(one, Pulled)}

    def of(self, metric: Counter | Histogram, *labels: str) -> float:
        before = self._before[metric.metric.name]
        return values_of(metric).get(labels, 0.0) - before.get(labels, 0.0)

    def all_of(self, metric: Counter | Histogram) -> Values:
        """What has moved, by label values."""
        moved = {labels: self.of(metric, *labels) for labels in values_of(metric)}
        return {labels: by for labels, by in moved.items() if by}
