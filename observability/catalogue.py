"""What a metric is, as data: everything known about it before the first value.

From the declaration come the live metric (``live.py``), the reference page and every check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite, prod
from typing import TypeAlias

from observability.errors import DeclarationError

OTHER = "other"
MOST_LABEL_SETS = 2_000
"""Per metric and process, whatever its labels would allow: as a histogram, that is a page of 2 MB."""

H: tuple[float, ...] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Buckets of what a client waits for, in seconds."""
D: tuple[float, ...] = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
"""Buckets of what a request waits for, in seconds: queries, checks."""
FAST: tuple[float, ...] = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1)
"""Buckets of what happens many times in a request, in seconds: caches, limits."""
TASK: tuple[float, ...] = (1, 10, 60, 300, 600, 1800, 3600)
"""Buckets of work in the background, in seconds."""
BYTES: tuple[float, ...] = (256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216)

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_UNBOUNDED = re.compile(r"(?:^|_)(?:id|uuid|key|token|address|ip|path|url|uri|user|username|email|host|query|sql)\Z")


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Mode(StrEnum):
    """How the values of several processes make one; ``LIVE``: of those only that still run. No default on purpose."""

    SUM = "sum"
    MIN = "min"
    MAX = "max"
    MOST_RECENT = "mostrecent"
    LIVE_SUM = "livesum"
    LIVE_MIN = "livemin"
    LIVE_MAX = "livemax"
    LIVE_MOST_RECENT = "livemostrecent"


@dataclass(frozen=True, slots=True)
class Closed:
    """These values and no other; whatever else comes is ``other``, which is one of them where it can come at all."""

    values: tuple[str, ...]
    other: str = ""

    @property
    def size(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Budget:
    """The first ``most`` values that come; whatever comes after them is ``other``.

    Where the values are what people have named, more than ``most`` are nobody's mistake, ``may_be_spent``, and strict
    mode does not complain.
    """

    most: int
    other: str = OTHER
    may_be_spent: bool = False

    @property
    def size(self) -> int:
        return self.most + 1


Domain: TypeAlias = Closed | Budget


@dataclass(frozen=True, slots=True)
class Label:
    """A label's name and the values it may have."""

    name: str
    domain: Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric's declaration. Raises DeclarationError where it breaks a rule of Prometheus' or of this app's.

    ``name`` is without the namespace. ``mode`` is for gauges that processes set; a ``pulled`` metric has none, a
    collector reads it when asked. ``slo`` says which objective rests on it.
    """

    name: str
    kind: Kind
    help: str
    group: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    mode: Mode | None = None
    pulled: bool = False
    slo: str = ""
    most_label_sets: int = MOST_LABEL_SETS

    def __post_init__(self) -> None:
        for problem in (*_name_problems(self), *_label_problems(self), *_value_problems(self)):
            raise DeclarationError(self.name, problem)

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @property
    def unit(self) -> str:
        """``seconds``, ``bytes``, ``ratio`` or empty, as the name says."""
        base = self.name.removesuffix("_total")
        return next((unit for unit in ("seconds", "bytes", "ratio") if base.endswith(f"_{unit}")), "")

    @property
    def is_closed(self) -> bool:
        """Every series it can ever have is known now, so that all exist from the start."""
        return all(isinstance(label.domain, Closed) for label in self.labels)

    @property
    def room(self) -> int:
        """The most label sets it can have in one process."""
        return min(self.most_label_sets, prod(label.domain.size for label in self.labels))


def _name_problems(metric: Metric) -> Iterator[str]:
    if not _NAME.match(metric.name):
        yield "needs a name of a-z, 0-9 and _ that begins with a letter"
    if metric.kind is Kind.COUNTER and not metric.name.endswith("_total"):
        yield "is a counter, so its name must end in _total"
    if metric.kind is not Kind.COUNTER and metric.name.endswith(("_total", "_count", "_sum", "_bucket", "_info")):
        yield "is no counter, so its name must not end in _total, _count, _sum, _bucket or _info"
    if re.search(r"_(?:milliseconds|ms|minutes|hours|kilobytes|kb|mb|percent)(?:_|\Z)", metric.name):
        yield "must be in base units: seconds, bytes, ratios"
    if not metric.help.endswith(".") or not metric.help.isprintable():
        yield "needs a help text that is a sentence of one line and ends with a full stop"
    if not metric.group:
        yield "needs a group"


def _label_problems(metric: Metric) -> Iterator[str]:
    names = metric.label_names
    if len(set(names)) != len(names):
        yield "has a label twice"
    for label in metric.labels:
        if not _NAME.match(label.name) or label.name in {"le", "quantile", "job", "instance"}:
            yield f"cannot have a label named “{label.name}”"
        if _UNBOUNDED.search(label.name):
            yield f"has the label “{label.name}”, which would have as many values as there are of these; leave it out"
        if label.domain.size < 1:
            yield f"has the label “{label.name}” without any value"
        if isinstance(label.domain, Closed):
            yield from _value_list_problems(label.name, label.domain)
        elif not label.domain.other:
            yield f"has the label “{label.name}” without a value for what its budget has no room for"


def _value_list_problems(name: str, domain: Closed) -> Iterator[str]:
    if len(set(domain.values)) != len(domain.values) or not all(domain.values):
        yield f"has the label “{name}”, of whose values one is empty or there twice"
    if domain.other not in {"", *domain.values}:
        yield f"has the label “{name}”, whose “{domain.other}” is not among its values"


def _value_problems(metric: Metric) -> Iterator[str]:
    if (metric.kind is Kind.HISTOGRAM) != bool(metric.buckets):
        yield "needs buckets if it is a histogram, and only then"
    if list(metric.buckets) != sorted(set(metric.buckets)) or not all(map(isfinite, metric.buckets)):
        yield "needs buckets that rise, without the infinite one, which is added"
    if (metric.kind is Kind.GAUGE and not metric.pulled) != (metric.mode is not None):
        yield "needs a mode if it is a gauge that processes set, and only then"
    if metric.pulled and metric.kind is Kind.HISTOGRAM:
        yield "is pulled, so it cannot be a histogram"


_declared: dict[str, Metric] = {}


def declare(metric: Metric) -> Metric:
    """Put it into the catalogue. Raises DeclarationError where another one has its name."""
    if _declared.setdefault(metric.name, metric) is not metric:
        raise DeclarationError(metric.name, "is declared already; a metric is declared once")
    return metric


def retract(name: str) -> None:
    """Take a declaration back; for tests, which declare metrics of their own."""
    _declared.pop(name, None)


def catalogue() -> tuple[Metric, ...]:
    """Every declared metric, the groups and the metrics within them in the order of their declaration."""
    groups = {metric.group: None for metric in _declared.values()}
    return tuple(metric for group in groups for metric in _declared.values() if metric.group == group)
