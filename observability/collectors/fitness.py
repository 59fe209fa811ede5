"""Whether what a collector has yielded can stand on the page: one family that cannot would spoil all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from math import isfinite
from typing import Any, NamedTuple, TypeAlias

from prometheus_client.core import Metric as Family
from prometheus_client.metrics_core import METRIC_TYPES
from prometheus_client.samples import Sample
from prometheus_client.validation import METRIC_LABEL_NAME_RE, METRIC_NAME_RE

from observability.catalogue import Kind, catalogue
from observability.errors import UnfitFamilyError
from observability.live import full_name

MOST_FAMILIES = 500
MOST_SAMPLES = 20_000
"""Of one collector: a page of 2 MB, and the end of one that yields for ever."""

Series: TypeAlias = tuple[str, frozenset[tuple[str, str]]]
_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "summary": ("", "_count", "_sum", "_created"),
    "info": ("_info",),
}


class Fit(NamedTuple):
    """A family, copied so that its collector cannot change it any more; the names and the series that it has."""

    family: Family
    names: frozenset[str]
    series: frozenset[Series]


def fit(yielded: Iterable[object]) -> tuple[Fit, ...]:
    """All families, fit for the page. Raises UnfitFamilyError for the first that is not, and what iterating raises."""
    found: list[Fit] = []
    taken = frozenset(_names_of_counted())
    room = MOST_SAMPLES
    for family in islice(yielded, MOST_FAMILIES + 1):
        if not isinstance(family, Family):
            raise UnfitFamilyError(f"yields what is no Metric but {type(family).__name__}")
        one = _fit(family, room)
        if taken & one.names:
            raise UnfitFamilyError(f"yields “{one.family.name}”, whose name another metric has")
        taken |= one.names
        found.append(one)
        room -= len(one.series)
    if len(found) > MOST_FAMILIES:
        raise UnfitFamilyError(f"yields more than {MOST_FAMILIES} families")
    return tuple(found)


class Merged:
    """Families of several collectors as one: connections of one database here, of another there.

    ``reserved`` are names that no collector may use.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._families: dict[str, Family] = {}
        self._owners = dict.fromkeys(reserved, "")
        self._series: dict[str, set[Series]] = {}

    def add(self, fits: Iterable[Fit]) -> str:
        """All of one collector's, or none: then the name of the family that is in the way is returned."""
        fits = tuple(fits)
        for one in fits:
            if self._is_in_the_way(one):
                return one.family.name
        for family, names, series in fits:
            there = self._families.get(family.name)
            if there is None:
                there = self._families[family.name] = _like(family)
                self._series[family.name] = set()
            there.samples.extend(family.samples)
            self._series[family.name] |= series
            self._owners.update(dict.fromkeys(names, family.name))
        return ""

    def families(self) -> Iterable[Family]:
        """Made for this page, which may change them."""
        return self._families.values()

    def _is_in_the_way(self, one: Fit) -> bool:
        name = one.family.name
        there = self._families.get(name)
        if there is not None and (there.type != one.family.type or self._series[name] & one.series):
            return True
        return any(self._owners.get(each, name) != name for each in one.names)


def _fit(family: Any, room: int) -> Fit:
    name = family.name
    if not isinstance(name, str) or not METRIC_NAME_RE.fullmatch(name):
        raise UnfitFamilyError("yields a family whose name is none")
    if family.type not in METRIC_TYPES:
        raise UnfitFamilyError(f"yields “{name}” with a type that is none")
    if not (_is_text(family.documentation) and _is_text(family.unit) and name.endswith(family.unit)):
        raise UnfitFamilyError(f"yields “{name}” with a help text or a unit that is none")
    copy = _like(family)
    allowed = {name + suffix for suffix in _SUFFIXES.get(family.type, ("",))}
    series: set[Series] = set()
    for sample in family.samples:
        made = _sample(name, sample)
        if made.name not in allowed:
            raise UnfitFamilyError(f"yields “{name}” with a sample whose name does not belong to it")
        copy.samples.append(made)
        series.add((made.name, frozenset(made.labels.items())))
        if len(copy.samples) > room:
            raise UnfitFamilyError(f"yields more than {MOST_SAMPLES} samples")
    if len(series) < len(copy.samples):
        raise UnfitFamilyError(f"yields a series of “{name}” twice")
    names = {name, f"{name}_total"} if family.type == "counter" else {name}
    return Fit(copy, frozenset(names | {one.name for one in copy.samples}), frozenset(series))


def _like(family: Family) -> Family:
    copy = Family(family.name, family.documentation, family.type)
    copy.unit = family.unit
    return copy


def _sample(name: str, given: Any) -> Sample:
    try:
        labels = dict(given.labels)
        value = float(given.value)
        timestamp = given.timestamp
        is_fit = isinstance(given.name, str) and (timestamp is None or isfinite(float(timestamp)))
    except (AttributeError, TypeError, ValueError) as error:
        raise UnfitFamilyError(f"yields “{name}” with a sample that is none") from error
    if not is_fit:
        raise UnfitFamilyError(f"yields “{name}” with a sample that is none")
    if not all(_is_label_name(label) and _is_text(text) for label, text in labels.items()):
        raise UnfitFamilyError(f"yields “{name}” with a label that is none")
    return Sample(given.name, labels, value, timestamp)


def _is_label_name(label: object) -> bool:
    return isinstance(label, str) and bool(METRIC_LABEL_NAME_RE.fullmatch(label)) and not label.startswith("__")


def _is_text(text: object) -> bool:
    """One that can be written: lone surrogates cannot."""
    if not isinstance(text, str):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _names_of_counted() -> Iterator[str]:
    for metric in catalogue():
        if metric.pulled:
            continue
        name = full_name(metric.name)
        yield name
        if metric.kind is Kind.COUNTER:
            yield name.removesuffix("_total")
        if metric.kind is Kind.HISTOGRAM:
            yield from (f"{name}_bucket", f"{name}_count", f"{name}_sum")
