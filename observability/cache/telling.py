"""Where one cache tells what was asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from observability.metrics import CACHE_OPERATIONS, cache_hits, cache_misses, cache_operation_duration
from observability.series import CounterChild, HistogramChild

ATTRIBUTE = "_observability"
"""Of a cache: its Teller, or None. Of a method: it is wrapped already."""


class Children(NamedTuple):
    durations: Mapping[str, HistogramChild]
    hits: CounterChild
    misses: CounterChild


class Teller:
    """Of one cache. A pickled or deeply copied cache has none."""

    __slots__ = ("alone", "durations", "get", "get_many", "hits", "misses")

    def __init__(self, children: Children) -> None:
        self.durations, self.hits, self.misses = children
        self.get = self.durations["get"]
        self.get_many = self.durations["get_many"]
        self.alone = (self,)

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _nobody, ()

    def tell_many(self, asked: Any, found: Any) -> None:
        """Hits and misses by key."""
        try:
            is_hit = [key in found for key in asked]
        except Exception:  # noqa: BLE001 - keys may be any objects, and what was found is handed on all the same
            return
        hits = sum(is_hit)
        self.hits.inc(hits)
        self.misses.inc(len(is_hit) - hits)


def _nobody() -> None: ...


@lru_cache(maxsize=256)
def children_of(name: str, kind: str) -> Children:
    """The series of a cache of this name and type."""
    durations = {operation: cache_operation_duration.at(name, operation) for operation in CACHE_OPERATIONS}
    return Children(durations, cache_hits.at(kind, name), cache_misses.at(kind, name))
