"""Metrics that others make with prometheus_client keep their numbers where ours are, so that slots bound them too."""

from __future__ import annotations

from collections.abc import Sequence
from time import time
from typing import Any

from prometheus_client import values

from observability.cells import key_of
from observability.storage import storage

_values: list[ForeignValue] = []


class ForeignValue:
    """What prometheus_client asks of a ``ValueClass``, over this process's cells. Exemplars are not kept."""

    _multiprocess = True

    def __init__(
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Sequence[str],
        labelvalues: Sequence[str],
        help_text: str,
        multiprocess_mode: str = "",
        **_: Any,
    ) -> None:
        self._file = f"{typ}_{multiprocess_mode}" if typ == "gauge" else typ
        self._is_dated = typ == "gauge"
        self._key = key_of(metric_name, name, dict(zip(labelnames, labelvalues, strict=True)), help_text)
        self.find()
        _values.append(self)

    def find(self) -> None:
        self._cells, (self._index,) = storage.place(self._file, (self._key,))

    def inc(self, amount: float) -> None:
        with self._cells.lock:
            view = self._cells.view
            view[self._index] += amount
            if self._is_dated:
                view[self._index + 1] = time()

    def set(self, value: float, timestamp: float | None = None) -> None:
        with self._cells.lock:
            view = self._cells.view
            view[self._index] = float(value)
            view[self._index + 1] = timestamp or time()

    def get(self) -> float:
        return float(self._cells.view[self._index])

    def set_exemplar(self, exemplar: object) -> None: ...

    def get_exemplar(self) -> None: ...


def take_in_foreign_values() -> None:
    """From now on. Where processes share a folder only: alone, prometheus_client's own values do."""
    if storage.is_shared and values.ValueClass is not ForeignValue:
        values.ValueClass = ForeignValue
        storage.on_renewed(_find_again)


def _find_again() -> None:
    for value in _values:
        value.find()
