"""What a collector reads is held to its metric's labels as well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from observability import metrics
from observability.catalogue import Budget, Closed, Kind, Label, retract
from observability.errors import CardinalityError, LabelCountError
from observability.pulled import Pulled


@pytest.fixture
def rows() -> Iterator[Pulled]:
    yield Pulled(
        "rows", "Of a test.", group="Test", labels=[Label("name", Budget(2)), Label("side", Closed(("left", "right")))]
    )
    retract("rows")


def samples(pulled: Pulled, values: Any) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in pulled.family(values).samples}


def test_a_family_has_the_series_it_is_given(rows: Pulled) -> None:
    assert samples(rows, {("a", "left"): 1, ("b", "right"): 2}) == {("a", "left"): 1, ("b", "right"): 2}


def test_a_metric_without_labels_is_one_number() -> None:
    try:
        assert samples(Pulled("depth", "Of a test.", group="Test"), 7) == {(): 7}
    finally:
        retract("depth")


def test_a_pulled_counter_is_named_as_one() -> None:
    try:
        family = Pulled("burnt_seconds_total", "Of a test.", group="Test", kind=Kind.COUNTER).family(3)
    finally:
        retract("burnt_seconds_total")
    assert (family.name, family.type, family.samples[0].name) == ("burnt_seconds", "counter", "burnt_seconds_total")


def test_what_has_no_room_is_added_up(rows: Pulled, settings: Any, moved: Any) -> None:
    settings.OBSERVABILITY_STRICT = False
    with moved() as moves:
        found = samples(rows, {(f"n{number}", "left"): 1 for number in range(10)})
    assert found == {("n0", "left"): 1, ("n1", "left"): 1, ("other", "left"): 8}
    assert moves.of(metrics.dropped_series) == {("rows",): 8}


def test_in_strict_mode_it_raises(rows: Pulled) -> None:
    with pytest.raises(CardinalityError, match="rows"):
        rows.family({("a", "up"): 1})


def test_as_many_values_as_labels_are_wanted(rows: Pulled) -> None:
    with pytest.raises(LabelCountError, match="rows"):
        rows.family({("a",): 1})
