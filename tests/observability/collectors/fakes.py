"""Collectors as projects write them: good ones, slow ones, and such as yield what is none."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any, ClassVar

from django.db import connections
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family

HERE = __name__


def begin() -> None:
    Rows.runs = 0
    Rows.error = None
    Rows.seconds = 0.0
    Rows.flows.set()
    Rows.is_made_of = 0
    Asking.seconds = 0.0


def end() -> None:
    Rows.flows.set()


class Rows:
    """Counts its runs; each may be made to take long, to hang or to raise."""

    runs: ClassVar[int] = 0
    is_made_of: ClassVar[int] = 0
    seconds: ClassVar[float] = 0.0
    error: ClassVar[BaseException | None] = None
    flows: ClassVar[threading.Event] = threading.Event()

    def __init__(self) -> None:
        type(self).is_made_of += 1

    def collect(self) -> Iterable[Family]:
        Rows.runs += 1
        number = Rows.runs
        time.sleep(Rows.seconds)
        Rows.flows.wait()
        if Rows.error is not None:
            raise Rows.error
        yield GaugeMetricFamily("test_rows", "Rows.", value=number)


class OtherHTTPRows(Rows):
    """Not of the same family, and with a name made of its own."""

    def collect(self) -> Iterable[Family]:
        yield GaugeMetricFamily("test_other_rows", "Rows.", value=7)


class Patient(Rows):
    name = "patient"
    snapshot_seconds = 600


class Unmakeable:
    def __init__(self, wanted: object) -> None: ...

    def collect(self) -> Iterable[Family]:
        return ()


class BreaksWhenMade:
    def __init__(self) -> None:
        raise OSError("password=secret")

    def collect(self) -> Iterable[Family]:
        return ()


class SaysNonsense:
    """Of itself."""

    name = 5
    snapshot_seconds = "soon"

    def collect(self) -> Iterable[Family]:
        yield GaugeMetricFamily("test_nonsense", "Nonsense.", value=1)


class Yields:
    """Whatever it is given."""

    def __init__(self, *families: Any, name: str = "") -> None:
        self._families = families
        self.name = name

    def collect(self) -> Any:
        return self._families


class Asking:
    """Asks the database ``other``."""

    name = "asking"
    seconds: ClassVar[float] = 0.0

    def collect(self) -> Iterable[Family]:
        with connections["other"].cursor() as cursor:
            cursor.execute("select pg_sleep(%s)", [Asking.seconds])
            cursor.execute("select extract(epoch from current_setting('statement_timeout')::interval)")
            yield GaugeMetricFamily(
                "test_statement_timeout_seconds", "As the server has it.", value=cursor.fetchone()[0]
            )


def _gauge(name: str = "test_garbage", **labels: str) -> Family:
    family = Family(name, "Garbage.", "gauge")
    family.add_sample(name, labels, 1.0)
    return family


def _changed(**attributes: Any) -> Family:
    family = _gauge()
    for name, wrong in attributes.items():
        setattr(family, name, wrong)
    return family


def _with_sample(name: str = "test_garbage", labels: Any = None, amount: Any = 1.0, timestamp: Any = None) -> Family:
    family = Family("test_garbage", "Garbage.", "gauge")
    family.add_sample(name, labels if labels is not None else {}, amount, timestamp)
    return family


def _for_ever() -> Iterator[Family]:
    return (_gauge(f"test_garbage_{number}") for number in count())


class _ForEver:
    def collect(self) -> Iterator[Family]:
        return _for_ever()


class _Endless:
    """One family without an end."""

    class _Samples(Family):
        def __init__(self) -> None:
            super().__init__("test_garbage", "Garbage.", "gauge")
            self.samples = (_gauge(a=str(number)).samples[0] for number in count())  # type: ignore[assignment]  # that is the fault

    def collect(self) -> Iterable[Family]:
        return [self._Samples()]


class _Exits:
    def collect(self) -> Iterable[Family]:
        sys.exit(3)


class _ReturnsNone:
    def collect(self) -> None:
        return None


class _YieldsThenRaises:
    def collect(self) -> Iterable[Family]:
        yield _gauge("test_garbage")
        raise KeyError("secret")


GARBAGE: dict[str, Any] = {
    "no_metric": Yields("a text"),
    "none": _ReturnsNone(),
    "twice": Yields(_gauge(), _gauge()),
    "series_twice": Yields(_changed(samples=[*_gauge().samples, *_gauge().samples])),
    "no_name": Yields(_changed(name="")),
    "name_with_blank": Yields(_changed(name="test garbage")),
    "name_of_utf8": Yields(_gauge("test_ümläut")),
    "name_is_number": Yields(_changed(name=5)),
    "foreign_sample": Yields(_with_sample("test_foreign")),
    "label_with_dash": Yields(_gauge(**{"a-b": "c"})),
    "label_reserved": Yields(_gauge(__a="c")),
    "label_is_number": Yields(_with_sample(labels={"a": 5})),
    "labels_are_none": Yields(_with_sample(labels=7)),
    "surrogate": Yields(_gauge(a="\ud800")),
    "no_value": Yields(_with_sample(amount="many")),
    "value_none": Yields(_with_sample(amount=None)),
    "timestamp": Yields(_with_sample(timestamp=float("nan"))),
    "samples_none": Yields(_changed(samples=None)),
    "sample_is_text": Yields(_changed(samples=["a"])),
    "type": Yields(_changed(type="speed")),
    "type_is_list": Yields(_changed(type=[])),
    "help_is_none": Yields(_changed(documentation=None)),
    "unit": Yields(_changed(unit="seconds")),
    "counted_already": Yields(_gauge("http_requests_in_progress")),
    "counted_already_as_gauge": Yields(_gauge("http_requests_total")),
    "counter_and_gauge_of_one_name": Yields(
        CounterMetricFamily("test_garbage", "Garbage.", value=1), _gauge("test_garbage_total")
    ),
    "about_collectors": Yields(_gauge("metrics_collector_success", collector="build")),
    "for_ever": _ForEver(),
    "endless": _Endless(),
    "exits": _Exits(),
    "raises_late": _YieldsThenRaises(),
}
for _name, _collector in GARBAGE.items():
    globals()[f"garbage_{_name}"] = _collector

rows_again = Yields(GaugeMetricFamily("test_rows", "Rows.", value=99), name="rows_again")
rows_of_another_kind = Yields(GaugeMetricFamily("test_rows", "Rows.", labels=["kind"]), name="kinds")
rows_of_another_kind._families[0].add_metric(["other"], 3)
rows_as_counter = Yields(CounterMetricFamily("test_rows", "Rows.", value=1), name="counter")
namesake = Yields(GaugeMetricFamily("test_namesake", "Rows.", value=1), name="rows")
no_collector = object()
