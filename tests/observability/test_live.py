"""A live metric counts what it is told, has no more series than its labels have room for, and hurts nobody."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from observability import metrics
from observability.catalogue import Budget, Closed, Label, Mode, retract
from observability.errors import CardinalityError, LabelCountError, UnusableAmountError
from observability.live import Counter, Gauge, Histogram, _families, families
from observability.storage import Storage

SIDE = Label("side", Closed(("left", "right")))
KIND = Label("kind", Closed(("a", "b", "other"), other="other"))
NAME = Label("name", Budget(3))
_numbers = count()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Metrics that end with the test, and so do their numbers."""
    alone = Storage(None)
    for module in ("live", "series"):
        monkeypatch.setattr(f"observability.{module}.storage", alone)
    before = list(_families)
    yield
    for family in families():
        if family not in before:
            retract(family.metric.name)
            _families.remove(family)


@pytest.fixture
def lenient(settings: Any) -> None:
    settings.OBSERVABILITY_STRICT = False


@pytest.mark.usefixtures("made")
class TestCounting:
    def test_a_counter_goes_up(self) -> None:
        counter = Counter("made_total", "Of a test.", group="Test", labels=[SIDE])
        counter.at("left").inc()
        counter.at("left").inc(2.5)
        assert counter.at("left").value() == 3.5
        assert counter.at("right").value() == 0

    @pytest.mark.parametrize("amount", [-1, -0.1, math.nan, math.inf, -math.inf])
    def test_a_counter_goes_up_only_and_by_a_number(self, amount: float) -> None:
        counter = Counter("made_total", "Of a test.", group="Test")
        with pytest.raises(UnusableAmountError, match="made_total"):
            counter.inc(amount)
        assert counter.at().value() == 0

    def test_a_gauge_goes_up_and_down_and_is_set(self) -> None:
        gauge = Gauge("made", "Of a test.", group="Test", mode=Mode.SUM, labels=[SIDE])
        gauge.at("left").set(10)
        gauge.at("left").inc(3)
        gauge.at("left").dec(1)
        assert gauge.at("left").value() == 12

    def test_what_a_gauge_of_chosen_values_became_step_by_step_is_dated_too(self) -> None:
        gauge = Gauge("made", "Of a test.", group="Test", mode=Mode.MOST_RECENT)
        for move in (gauge.at().inc, gauge.at().dec):
            child = gauge.at()
            child._cells.view[child._index + 1] = 0.0
            move()
            assert child._cells.view[child._index + 1] > 0

    @given(some.lists(some.floats(allow_nan=False, allow_infinity=False, width=32)))
    def test_a_histogram_puts_each_amount_into_the_least_bucket_that_holds_it(self, amounts: list[float]) -> None:
        bounds = (-1.0, 0.0, 0.5, 10.0)
        histogram = Histogram(f"spread_{next(_numbers)}", "Of a test.", group="Test", buckets=bounds)
        for amount in amounts:
            histogram.observe(amount)
        child = histogram.at()
        per_bucket = [child._cells.view[place] for place in child._places]
        edges = [-math.inf, *bounds, math.inf]
        assert per_bucket == [sum(low < amount <= high for amount in amounts) for low, high in pairwise(edges)]
        assert child.count() == len(amounts)
        assert child.sum() == pytest.approx(math.fsum(amounts), rel=1e-6, abs=1e-6 * sum(map(abs, amounts)))

    @pytest.mark.parametrize("amount", [math.nan, math.inf, -math.inf])
    def test_what_is_no_number_does_not_spoil_a_sum(self, amount: float) -> None:
        histogram = Histogram("spread", "Of a test.", group="Test", buckets=(1, 2))
        histogram.observe(amount)
        histogram.observe(1.5)
        assert (histogram.at().count(), histogram.at().sum()) == (1, 1.5)


@pytest.mark.usefixtures("made")
class TestDomains:
    def test_all_series_of_closed_labels_are_there_from_the_start(self) -> None:
        counter = Counter("made_total", "Of a test.", group="Test", labels=[SIDE, KIND])
        assert len(counter.series()) == 6

    def test_series_are_found_by_any_spelling_of_their_labels(self) -> None:
        counter = Counter("made_total", "Of a test.", group="Test", labels=[NAME])
        counter.at(200).inc()
        counter.at("200").inc()
        assert counter.at(200) is counter.at("200")
        assert counter.at("200").value() == 2

    def test_a_value_outside_a_closed_domain_is_its_other(self) -> None:
        counter = Counter("made_total", "Of a test.", group="Test", labels=[KIND])
        for number in range(1_000):
            counter.at(f"x{number}").inc()
        assert counter.at("other").value() == 1_000
        assert len(counter.series()) == 3
        assert len(counter._by_raw) <= 4 * counter.metric.most_label_sets

    @pytest.mark.usefixtures("lenient")
    def test_a_domain_without_an_other_still_loses_no_count(self) -> None:
        counter = Counter("made_total", "Of a test.", group="Test", labels=[SIDE])
        counter.at("up").inc()
        counter.at("down").inc()
        assert counter.at("unknown").value() == 2

    @pytest.mark.usefixtures("lenient")
    def test_what_a_budget_has_no_room_for_is_other_and_the_drop_is_counted(self, moved: Any) -> None:
        counter = Counter("made_total", "Of a test.", group="Test", labels=[NAME])
        with moved() as moves:
            for number in range(10_000):
                counter.at(f"n{number}").inc()
        assert {labels: child.value() for labels, child in counter.series()} == {
            ("n0",): 1, ("n1",): 1, ("n2",): 1, ("other",): 9_997,
        }  # fmt: skip
        assert moves.of(metrics.dropped_series) == {("made_total",): 9_997}
        assert len(counter._by_raw) == 3

    @pytest.mark.usefixtures("lenient")
    @pytest.mark.parametrize("value", ["x" * 201, "new\nline", "\x00", "\ud800"])
    def test_what_no_label_should_say_is_other(self, value: str) -> None:
        counter = Counter("made_total", "Of a test.", group="Test", labels=[NAME])
        counter.at(value).inc()
        assert [labels for labels, _ in counter.series()] == [("other",)]

    @pytest.mark.usefixtures("lenient")
    def test_a_metric_has_no_more_label_sets_than_it_may(self, moved: Any) -> None:
        labels = [Label("a", Budget(100)), Label("b", Budget(100))]
        histogram = Histogram("spread", "Of a test.", group="Test", buckets=(1,), labels=labels, most_label_sets=50)
        with moved() as moves:
            for number in range(1_000):
                histogram.at(number % 99, number % 98).observe(1)
        assert len(histogram.series()) == 51
        assert sum(child.count() for _, child in histogram.series()) == 1_000
        assert histogram.at("other", "other").count() == 950
        assert sum(moves.of(metrics.dropped_series).values()) >= 950

    @pytest.mark.parametrize(("labels", "value"), [([SIDE], "up"), ([NAME], "x" * 500)])
    def test_in_strict_mode_a_value_outside_raises(self, labels: list[Label], value: str) -> None:
        counter = Counter("made_total", "Of a test.", group="Test", labels=labels)
        with pytest.raises(CardinalityError, match="made_total"):
            counter.at(value)

    @pytest.mark.parametrize("values", [(), ("left", "right")])
    def test_as_many_values_as_labels_are_wanted(self, values: tuple[str, ...]) -> None:
        counter = Counter("made_total", "Of a test.", group="Test", labels=[SIDE])
        with pytest.raises(LabelCountError, match="side"):
            counter.at(*values)
