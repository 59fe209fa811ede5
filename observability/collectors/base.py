"""What a collector is, and what it may say of itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isfinite
from typing import Any, Protocol, runtime_checkable

from prometheus_client.core import Metric as Family

_LONGEST_NAME = 100
_WORD_BEGINS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@runtime_checkable
class Collector(Protocol):
    """Reads what nobody tells: rows of a table, the length of a queue.

    Three attributes may be there, of the class or of the object. ``name`` is the collector's in the metrics about it;
    without it, that is the class's name in snake case. ``snapshot_seconds`` is how old what it has read may be before
    it is asked anew; without it, OBSERVABILITY_SNAPSHOT_SECONDS. ``is_of_this_process`` is True where it reads what
    each process has for itself; without it, one process asks for all that share a folder.
    """

    def collect(self) -> Iterable[Family]:
        """All families it knows. It is called in a thread of its own, and what it raises is its own failure only."""


def name_of(source: object) -> str:
    """Of a collector or its class."""
    name = _said_by(source, "name")
    if isinstance(name, str) and name and name.isprintable() and len(name) <= _LONGEST_NAME:
        return name
    kind = source if isinstance(source, type) else type(source)
    return _WORD_BEGINS.sub("_", kind.__name__).lower()


def snapshot_seconds_of(source: object, default: float) -> float:
    """Of a collector or its class; the default where it says nothing that can be used."""
    said = _said_by(source, "snapshot_seconds")
    if isinstance(said, int | float) and not isinstance(said, bool) and isfinite(said) and said > 0:
        return float(said)
    return default


def is_of_this_process(source: object) -> bool:
    """Of a collector or its class."""
    return _said_by(source, "is_of_this_process") is True


def _said_by(source: object, attribute: str) -> Any:
    try:
        return getattr(source, attribute, None)
    except Exception:  # noqa: BLE001 - a property of a project's own may raise anything; it has said nothing then
        return None
