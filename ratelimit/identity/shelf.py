"""Rows of one kind as a process remembers them: found without a lock, bounded, each with how long it is believed."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

ABSENT_SECONDS = 3.0
"""How long a key that is not in the table is known not to be there; a new key works within that time."""
IDLE_SECONDS = 60.0
"""A row is in use for this long after it was last asked for."""
_MOST_ROWS = 100_000
_MOST_ABSENT = 10_000

Handle = TypeVar("Handle", bound=Hashable)
Fact = TypeVar("Fact")


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The database gave no answer; the reason as in ``identity_rejected``."""

    reason: str


@dataclass(slots=True)
class Entry(Generic[Fact]):
    """Times are those of ``monotonic()``."""

    fact: Fact
    believed_until: float
    used_at: float
    written_at: float = float("-inf")


class Shelf(Generic[Handle, Fact]):
    """Only the directory's thread adds and removes; requests look, and mark what they use.

    ``read`` asks the database for some rows; ``absent`` is the fact about a row that is not there; ``unanswered``
    gives, by reason, what holds while nothing is known and the database does not answer.
    """

    def __init__(
        self, read: Callable[[Sequence[Handle]], Mapping[Handle, Fact]], absent: Fact, unanswered: Callable[[str], Fact]
    ) -> None:
        self.read = read
        self.absent = absent
        self.unanswered = unanswered
        self.asked: dict[Handle, Future[Fact | Unanswered]] = {}
        """Rows that requests wait for; guarded by the directory's lock."""
        self._entries: dict[Handle, Entry[Fact]] = {}
        self._absent_until: dict[Handle, float] = {}

    def find(self, handle: Handle, *, is_answering: bool) -> Fact | None:
        """What is known and believed; while the database does not answer, whatever was once known."""
        now = monotonic()
        entry = self._entries.get(handle)
        if entry is not None:
            entry.used_at = now
            return entry.fact if now < entry.believed_until or not is_answering else None
        absent_until = self._absent_until.get(handle)
        return self.absent if absent_until is not None and now < absent_until else None

    def has_met(self, handle: Handle) -> bool:
        """Whether there was such a row when it was last read."""
        return handle in self._entries

    def without_answer(self, handle: Handle, reason: str) -> Fact:
        """What holds for want of an answer: the last known, if anything is."""
        entry = self._entries.get(handle)
        return self.unanswered(reason) if entry is None else entry.fact

    def learn(self, handles: Iterable[Handle], found: Mapping[Handle, Fact], read_at: float, seconds: float) -> None:
        """Keep what a query that began at ``read_at`` found of the handles, to be believed for so many seconds."""
        for handle in handles:
            entry = self._entries.get(handle)
            if handle not in found:
                self._entries.pop(handle, None)
                self._remember_absent(handle, read_at + ABSENT_SECONDS)
            elif entry is None:
                self._make_room()
                self._entries[handle] = Entry(found[handle], read_at + seconds, monotonic())
            else:
                entry.fact = found[handle]
                entry.believed_until = read_at + seconds

    def in_use(self, most: int) -> list[tuple[Handle, Entry[Fact]]]:
        """The rows in use, the latest used first."""
        since = monotonic() - IDLE_SECONDS
        used = [item for item in list(self._entries.items()) if item[1].used_at > since]
        return heapq.nlargest(most, used, key=_used_at)

    def forget(self) -> None:
        self._entries = {}
        self._absent_until = {}

    def _make_room(self) -> None:
        if len(self._entries) >= _MOST_ROWS:
            for handle, _ in heapq.nsmallest(_MOST_ROWS // 100, list(self._entries.items()), key=_used_at):
                del self._entries[handle]

    def _remember_absent(self, handle: Handle, until: float) -> None:
        self._absent_until.pop(handle, None)  # so that the oldest stays in front
        while len(self._absent_until) >= _MOST_ABSENT:
            del self._absent_until[next(iter(self._absent_until))]
        self._absent_until[handle] = until


def _used_at(item: tuple[object, Entry[Fact]]) -> float:
    return item[1].used_at
