"""Walks the results of a search from the latest change downwards; the package says how walks follow each other."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from harvester.sources.arxiv.asking import PAGE_SIZE, Asker
from harvester.sources.arxiv.reply import Answer, Entry
from harvester.sources.base import Page, in_short
from harvester.sources.moments import moment

logger = logging.getLogger(__name__)

MAX_REQUESTS = 20  # a fetch; with the courtesy delay about two minutes
FIRST_HARVEST_DEPTH = MAX_REQUESTS * PAGE_SIZE
OVERLAP = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Place:
    """The cursor, read. ``until`` is where the next walk ends; the other two are what an unfinished one has seen."""

    until: datetime | None = None
    known_from: datetime | None = None
    known_to: int = 0

    @classmethod
    def read(cls, cursor: Any) -> Place:
        """A cursor that says nothing usable is the beginning."""
        if not isinstance(cursor, dict):
            return cls()
        walk = cursor.get("walk")
        if not isinstance(walk, dict):
            return cls(until=_time(cursor.get("newest")))
        start = walk.get("start")
        return cls(
            until=_time(walk.get("until")),
            known_from=_time(walk.get("newest")),
            known_to=start if isinstance(start, int) and start > 0 else 0,
        )


class Walk:
    """One walk from the latest change down to what is known, or as far as it may go."""

    def __init__(self, asker: Asker, place: Place, *, since: datetime | None, limit: int | None) -> None:
        self._asker = asker
        self._since = since
        self._left = limit
        self._until = place.until
        self._known_from = place.known_from
        self._known_to = place.known_to
        self._newest = place.known_from or place.until
        self._seen: dict[str, int] = {}

    def pages(self) -> Iterator[Page]:
        start = 0
        for request in range(1, MAX_REQUESTS + 1):
            answer = self._asker.ask(start)
            self._newest = max(filter(None, (self._newest, *answer.changes)), default=None)
            fresh = self._fresh(answer.entries)
            kept = [entry for entry in fresh if not self._is_too_old(entry)]
            if self._is_cut(fresh, kept):
                yield self._page(kept[: self._left], self._unfinished(start), answer)
                return
            if self._left is not None:
                self._left -= len(kept)
            next_start = self._next_start(answer, request)
            is_end = answer.is_last or not fresh or self._is_down(answer, next_start)
            if not answer.is_plausible:
                logger.warning("arXiv sent an empty page", extra={"start": start, "total": answer.total})
            is_finished = is_end and answer.is_plausible
            yield self._page(kept, self._finished() if is_finished else self._unfinished(next_start), answer)
            if is_end or self._left == 0:
                return
            start = next_start

    def _fresh(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those this walk has not met in this or a higher version; of several versions in a page the highest."""
        found: dict[str, Entry] = {}
        for entry in entries:
            if entry.version > self._seen.get(entry.item.external_id, 0):
                self._seen[entry.item.external_id] = entry.version
                found[entry.item.external_id] = entry
        return list(found.values())

    def _is_too_old(self, entry: Entry) -> bool:
        return self._since is not None and entry.changed_at is not None and entry.changed_at < self._since

    def _is_cut(self, fresh: Sequence[Entry], kept: Sequence[Entry]) -> bool:
        """Whether the caller's ``since`` or ``limit`` leaves out something that was not seen before."""
        if self._left is not None and len(kept) > self._left:
            return True
        left_out = (entry.changed_at for entry in fresh if self._is_too_old(entry))
        return any(self._until is None or (changed_at and changed_at >= self._until) for changed_at in left_out)

    def _next_start(self, answer: Answer, request: int) -> int:
        """Below this page, or below what the unfinished walk has seen once this one has come to that.

        A search with thousands of changes a day must not spend all its requests on looking for late ones again.
        """
        if self._known_from is None:
            return answer.next_start
        overlap = OVERLAP if request < MAX_REQUESTS // 2 else timedelta(0)
        if not _reaches(answer, self._known_from - overlap):
            return answer.next_start
        self._known_from = None
        return max(answer.next_start, self._known_to)

    def _is_down(self, answer: Answer, next_start: int) -> bool:
        return _reaches(answer, self._until - OVERLAP) if self._until else next_start >= FIRST_HARVEST_DEPTH

    def _finished(self) -> Mapping[str, Any]:
        return {"newest": _iso(self._newest)} if self._newest else {}

    def _unfinished(self, start: int) -> Mapping[str, Any]:
        return {"walk": {"start": start, "newest": _iso(self._newest), "until": _iso(self._until)}}

    def _page(self, entries: Sequence[Entry], cursor: Mapping[str, Any], answer: Answer) -> Page:
        return Page(tuple(entry.item for entry in entries), cursor, in_short(answer.rejections))


def _reaches(answer: Answer, boundary: datetime) -> bool:
    """Whether a page, in the order of changes, goes below ``boundary``."""
    return bool(answer.changes) and answer.changes[-1] < boundary


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def _time(value: Any) -> datetime | None:
    return moment(value, now=timezone.now()) if isinstance(value, str) else None
