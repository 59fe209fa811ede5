"""A metric that breaks a rule cannot be declared, and those that are declared here break none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf, nan, prod
from typing import Any

import pytest

import observability.metrics  # noqa: F401 - declares
from observability.catalogue import (
    BYTES,
    FAST,
    MOST_LABEL_SETS,
    TASK,
    Budget,
    Closed,
    D,
    H,
    Kind,
    Label,
    Metric,
    Mode,
    catalogue,
    declare,
    retract,
)
from observability.errors import DeclarationError, ObservabilityError
from observability.live import families
from observability.reference import load_catalogue

load_catalogue()
COLOUR = Label("colour", Closed(("red", "green")))
OWN = [metric for metric in catalogue() if not metric.name.startswith("made_by_a_test")]


def metric(**changes: Any) -> Metric:
    fine: dict[str, Any] = {"name": "apples_total", "kind": Kind.COUNTER, "help": "Apples.", "group": "Fruit"}
    return Metric(**(fine | changes))


def gauge(**changes: Any) -> Metric:
    return metric(**({"name": "apples", "kind": Kind.GAUGE, "mode": Mode.SUM} | changes))


def histogram(**changes: Any) -> Metric:
    return metric(**({"name": "apple_size_bytes", "kind": Kind.HISTOGRAM, "buckets": (1, 2)} | changes))


@pytest.fixture
def declared() -> Iterator[list[Metric]]:
    """Put in what the test has declared."""
    made: list[Metric] = []
    yield made
    for one in made:
        retract(one.name)


@pytest.mark.parametrize(
    "fine",
    [
        metric(), metric(name="a_total"), metric(name="apples_2_total"), metric(labels=(COLOUR,)),
        metric(labels=(COLOUR, Label("garden", Budget(1)))), metric(pulled=True),
        gauge(), gauge(mode=None, pulled=True), gauge(name="apples_ratio"), gauge(name="apple_seconds"),
        histogram(), histogram(buckets=(0, 0.5, 1)), histogram(buckets=(-1, 0, 1)),
        gauge(labels=(Label("kind", Closed(("red", "other"), other="other")),)),
        gauge(labels=(Label("identity", Closed(("a",))),)), gauge(labels=(Label("keyboard", Closed(("a",))),)),
    ],
    ids=lambda fine: fine.name,
)  # fmt: skip
def test_what_breaks_no_rule_is_a_metric(fine: Metric) -> None:
    assert fine.room >= 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": ""}, "needs a name"),
        ({"name": "Apples_total"}, "needs a name"),
        ({"name": "2_apples_total"}, "needs a name"),
        ({"name": "_apples_total"}, "needs a name"),
        ({"name": "apples-total"}, "needs a name"),
        ({"name": "apples:total"}, "needs a name"),
        ({"name": "äpfel_total"}, "needs a name"),
        ({"name": "apples_total\n"}, "needs a name"),
        ({"name": "apples"}, "must end in _total"),
        ({"name": "apple_milliseconds_total"}, "base units"),
        ({"name": "apple_ms_total"}, "base units"),
        ({"name": "apple_percent_total"}, "base units"),
        ({"name": "apple_kb_eaten_total"}, "base units"),
        ({"help": ""}, "full stop"),
        ({"help": "Apples"}, "full stop"),
        ({"help": "Apples,\nand more."}, "one line"),
        ({"group": ""}, "needs a group"),
        ({"buckets": (1, 2)}, "needs buckets if it is a histogram"),
        ({"mode": Mode.SUM}, "needs a mode if it is a gauge"),
        ({"pulled": True, "mode": Mode.SUM}, "needs a mode if it is a gauge"),
        ({"labels": (COLOUR, COLOUR)}, "a label twice"),
        ({"labels": (Label("Colour", Closed(("red",))),)}, "a label named “Colour”"),
        ({"labels": (Label("__name__", Closed(("red",))),)}, "a label named “__name__”"),
        ({"labels": (Label("le", Closed(("1",))),)}, "a label named “le”"),
        ({"labels": (Label("quantile", Closed(("1",))),)}, "a label named “quantile”"),
        ({"labels": (Label("job", Closed(("web",))),)}, "a label named “job”"),
        ({"labels": (Label("instance", Closed(("1",))),)}, "a label named “instance”"),
        ({"labels": (Label("colour", Closed(())),)}, "without any value"),
        ({"labels": (Label("colour", Budget(-1)),)}, "without any value"),
        ({"labels": (Label("colour", Closed(("red",), other="blue")),)}, "is not among its values"),
        ({"labels": (Label("colour", Closed(("red", "red"))),)}, "there twice"),
        ({"labels": (Label("colour", Closed(("red", ""))),)}, "one is empty"),
        ({"labels": (Label("colour", Budget(2, other="")),)}, "has no room for"),
    ],
)
def test_a_counter_that_breaks_a_rule_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem) as refused:
        metric(**changes)
    assert refused.value.name == changes.get("name", "apples_total")
    assert problem in refused.value.problem
    assert isinstance(refused.value, ObservabilityError)


@pytest.mark.parametrize(
    "name",
    ["id", "user_id", "uuid", "api_key", "key", "token", "address", "ip", "client_ip", "path", "url", "uri", "user",
     "username", "email", "host", "query", "sql"],
)  # fmt: skip
def test_a_label_without_bounds_is_refused(name: str) -> None:
    with pytest.raises(DeclarationError, match="leave it out"):
        metric(labels=(Label(name, Budget(10)),))


@pytest.mark.parametrize("ending", ["_total", "_count", "_sum", "_bucket", "_info"])
def test_a_gauge_or_histogram_is_not_named_like_a_sample_of_another_kind(ending: str) -> None:
    for make in (gauge, histogram):
        with pytest.raises(DeclarationError, match="is no counter"):
            make(name=f"apples{ending}")


@pytest.mark.parametrize("buckets", [(2, 1), (1, 1), (1, inf), (-inf, 1), (1, nan), (nan,), (1, 2, 1.5)])
def test_buckets_that_do_not_rise_are_refused(buckets: tuple[float, ...]) -> None:
    with pytest.raises(DeclarationError, match="buckets that rise"):
        histogram(buckets=buckets)


def test_a_histogram_needs_buckets_and_is_never_pulled() -> None:
    with pytest.raises(DeclarationError, match="needs buckets"):
        histogram(buckets=())
    with pytest.raises(DeclarationError, match="cannot be a histogram"):
        histogram(pulled=True)


def test_a_gauge_that_processes_set_says_how_they_become_one() -> None:
    with pytest.raises(DeclarationError, match="needs a mode"):
        gauge(mode=None)
    with pytest.raises(DeclarationError, match="needs a mode"):
        gauge(pulled=True)


def test_a_name_is_declared_once(declared: list[Metric]) -> None:
    first = metric(name="made_by_a_test_total")
    declared.append(declare(first))
    assert declare(first) is first
    with pytest.raises(DeclarationError, match="declared already"):
        declare(metric(name="made_by_a_test_total"))


def test_the_catalogue_keeps_groups_together_in_the_order_of_their_first_metric(declared: list[Metric]) -> None:
    for name, group in (("a", "Made"), ("b", "By a test"), ("c", "Made")):
        declared.append(declare(gauge(name=f"made_by_a_test_{name}", group=group)))
    assert [one.name[-1] for one in catalogue()[-3:]] == ["a", "c", "b"]


def test_room_is_what_the_domains_allow_and_no_more_than_the_limit() -> None:
    assert metric().room == 1
    assert metric(labels=(COLOUR, Label("garden", Budget(9)))).room == 20
    assert metric(labels=(Label("garden", Budget(10**6)),)).room == MOST_LABEL_SETS


@pytest.mark.parametrize(
    ("name", "unit"), [("a_seconds", "seconds"), ("a_bytes", "bytes"), ("a_ratio", "ratio"), ("seconds", ""), ("a", "")]
)
def test_the_unit_is_in_the_name(name: str, unit: str) -> None:
    assert gauge(name=name).unit == unit
    assert metric(name=f"{name}_total").unit == unit


def test_the_buckets_are_those_that_dashboards_rest_on() -> None:
    assert H == (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
    assert D == (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
    assert TASK == (1, 10, 60, 300, 600, 1800, 3600)
    assert all(list(buckets) == sorted(buckets) for buckets in (FAST, BYTES))


# --- Those that are declared ---------------------------------------------------------------------------------------


def test_there_are_metrics_to_judge() -> None:
    assert len(OWN) > 15


@pytest.mark.parametrize("one", OWN, ids=lambda one: one.name)
def test_a_declared_metric_is_named_and_told_as_prometheus_wants_it(one: Metric) -> None:
    """As `promtool check metrics` has it; promtool itself is asked elsewhere."""
    assert re.fullmatch(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", one.name)
    assert one.name.endswith("_total") == (one.kind is Kind.COUNTER)
    assert not re.search(r"(?:^|_)(?:counter|gauge|histogram|summary)(?:_|$)", one.name)
    assert not one.help[0].islower()
    assert one.help.endswith(".")
    assert one.help.isprintable()
    for label in one.label_names:
        assert re.fullmatch(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", label)
        assert label != one.name


@pytest.mark.parametrize("one", OWN, ids=lambda one: one.name)
def test_a_label_of_a_declared_metric_has_values_that_can_be_told_apart(one: Metric) -> None:
    for label in one.labels:
        if isinstance(label.domain, Closed):
            assert len(set(label.domain.values)) == len(label.domain.values)
            assert all(value and value == value.strip() for value in label.domain.values)


def test_a_duration_is_in_seconds_and_has_buckets_unless_it_is_the_last_one() -> None:
    for one in OWN:
        if "duration" in one.name:
            assert one.unit == "seconds", one.name
            assert one.kind is Kind.HISTOGRAM or one.pulled, one.name


def test_one_label_has_one_set_of_values_wherever_it_is() -> None:
    """Of those that this app counts by itself, so that a dashboard can join two of them on it."""
    groups = ("HTTP", "Database", "Cache", "Background tasks")
    shared = {"method", "endpoint", "table", "cache_name", "cache_type", "task"}
    domains: dict[str, set[object]] = {}
    for one in [one for one in OWN if one.group in groups]:
        for label in one.labels:
            domains.setdefault(label.name, set()).add(label.domain)
    assert {name: len(domains[name]) for name in shared} == dict.fromkeys(shared, 1)


def test_every_series_of_closed_labels_exists_from_the_start() -> None:
    closed = [family for family in families() if family.metric.is_closed and family.metric.labels]
    assert closed
    for family in closed:
        expected = prod(label.domain.size for label in family.metric.labels)
        assert len(family.series()) >= expected, family.metric.name


def test_every_live_metric_is_in_the_catalogue() -> None:
    assert {family.metric.name for family in families()} <= {one.name for one in catalogue()}
