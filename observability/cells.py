"""Where numbers live: cells of 8 bytes, in this process's memory or in its files, changed in place.

A number's cell is found once, when its series is made; counting is then two look-ups and an addition.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from threading import RLock
from typing import Any, NamedTuple, Protocol, TypeAlias

Lock: TypeAlias = Any
"""A ``threading.RLock``, whose type has changed with typeshed's versions. Reentrant, since a signal's handler, or an
object's end in the midst of counting, may count too."""


class Entry(NamedTuple):
    """One number as it is kept: its key (see ``key_of``), its value, and when it was set if that matters."""

    key: bytes
    value: float
    set_at: float


class Cells(Protocol):
    """Numbers of one kind. A number's value is ``view[index]``, the time of its setting ``view[index + 1]``.

    ``view`` may be another object after any new key, so it is read at each use, under ``lock``.
    """

    view: Any
    lock: Lock

    def index_of(self, key: bytes) -> int:
        """Where the number of this key is, made with the value 0 where there is none."""

    def entries(self) -> Iterator[Entry]:
        """Every number, in the order in which they were made."""


class MemoryCells:
    """Cells that end with the process."""

    def __init__(self, lock: Lock | None = None) -> None:
        self.view: list[float] = []  # added to at half the price of an array, which makes a new float for each look
        self.lock = lock or RLock()
        self._places: dict[bytes, int] = {}
        self._free = 0

    def index_of(self, key: bytes) -> int:
        with self.lock:
            place = self._places.get(key)
            if place is None:
                # Reserved without a call in between: a signal's handler may come in at any call, and make one too.
                place = self._free
                self._free = place + 2
                while len(self.view) < place + 2:
                    self.view.append(0.0)
                place = self._places.setdefault(key, place)
            return place

    def entries(self) -> Iterator[Entry]:
        view = self.view
        for key, place in list(self._places.items()):
            yield Entry(key, view[place], view[place + 1])


def key_of(family: str, sample: str, labels: Mapping[str, str], help_text: str = "") -> bytes:
    """A number's name, as prometheus_client writes it, so that either can read what the other has written."""
    return json.dumps([family, sample, dict(labels), help_text], sort_keys=True).encode()


def parse_key(key: bytes) -> tuple[str, str, dict[str, str], str]:
    """The parts that ``key_of`` was given. Raises ValueError where it is no such key."""
    parts: Sequence[Any] = json.loads(key)
    family, sample, labels, help_text = parts
    if not isinstance(labels, dict) or not all(isinstance(text, str) for text in (family, sample, *labels.values())):
        raise ValueError("the key is not one of a metric")
    return family, sample, labels, str(help_text)
