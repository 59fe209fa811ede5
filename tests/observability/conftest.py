"""What the live metrics say, as differences, since they go on over all tests of a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from observability.live import Family, Histogram, families


def reading() -> dict[tuple[str, tuple[str, ...]], float]:
    """Every counter's and gauge's value and every histogram's count, by name and label values, but zeros."""
    found = {}
    for family in families():
        for labels, child in family.series():
            value = child.count() if isinstance(family, Histogram) else child.value()
            if value:
                found[family.metric.name, labels] = value
    return found


class Moves(dict[tuple[str, tuple[str, ...]], float]):
    """What has moved, by name and label values."""

    def of(self, family: Family[Any]) -> dict[tuple[str, ...], float]:
        return {labels: value for (name, labels), value in self.items() if name == family.metric.name}


@pytest.fixture
def moved() -> Callable[[], Any]:
    """``with moved() as moves: …``; afterwards ``moves`` says what has moved meanwhile, and by how much."""

    @contextmanager
    def watch() -> Iterator[Moves]:
        before, moves = reading(), Moves()
        yield moves
        after = reading()
        for key in before.keys() | after.keys():
            if difference := after.get(key, 0.0) - before.get(key, 0.0):
                moves[key] = difference

    return watch


@pytest.fixture(autouse=True)
def budgets() -> Iterator[None]:
    """What a test spends of a label's budget is there again afterwards: all tests of a process share the metrics."""
    spent = {family: {label: set(values) for label, values in family._seen.items()} for family in families()}
    yield
    for family, labels in spent.items():
        family._seen.update(labels)
