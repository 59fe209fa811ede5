"""The buckets of one page: read in one call, when the first cell is asked for, and put into words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from django.utils import timezone

from ratelimit.bucket import Decision, Limit
from ratelimit.errors import InvalidLimitError, StoreError
from ratelimit.identity import Identity
from ratelimit.limiter import Stats, get_rate_limiter
from ratelimit.tiers import limit_for, tiers_in_shadow

_WINDOWS = {1: "/s", 60: "/min", 3600: "/h", 86400: "/day"}
_ALONE = "memory"


class Cells(NamedTuple):
    """A row's bucket in words."""

    limit: str = "–"
    remaining: str = "–"
    full_again: str = "–"


class Notice(NamedTuple):
    """What has to be known about every bucket of the page; ``level`` as of Django's messages."""

    level: str
    text: str


class _Reading(NamedTuple):
    cells: Mapping[Any, Cells]
    notice: Notice | None


class LiveBuckets:
    """How the buckets of these rows stand now. ``identities``: by primary key; None for a row that has no bucket."""

    def __init__(self, identities: Mapping[Any, Identity | None]) -> None:
        self._identities = identities

    def cells(self, pk: Any) -> Cells:
        return self._reading.cells.get(pk, Cells())

    @property
    def notice(self) -> Notice | None:
        return self._reading.notice

    @cached_property
    def _reading(self) -> _Reading:
        """One call for all, so a page of fifty costs one round trip. Never raises for a store that is away."""
        cells: dict[Any, Cells] = {}
        asked: dict[Any, Identity] = {}
        for pk, identity in self._identities.items():
            if identity is None:
                continue
            limit = words_of_tier(identity.tier)
            cells[pk] = Cells(limit.text)
            if limit.has_bucket:
                asked[pk] = identity
        limiter = get_rate_limiter()
        try:
            decisions = limiter.peek_many(list(asked.values()))
        except StoreError as error:
            notice = Notice("error", f"The store of the buckets is away ({error.reason}): they cannot be read.")
            return _Reading(cells, notice)
        stats = limiter.stats()
        answered_by = {decision.backend for decision in decisions}
        cells.update((pk, _cells(decision, cells[pk].limit)) for pk, decision in zip(asked, decisions, strict=True))
        return _Reading(cells, _notice(stats, answered_by))


class TierWords(NamedTuple):
    """A tier's limit in words, and whether there is a bucket behind it."""

    text: str
    has_bucket: bool


def words_of_tier(tier: str) -> TierWords:
    """Of a known tier: ``5,000/min``, ``no limit``."""
    try:
        limit = limit_for(tier)
    except InvalidLimitError:
        return TierWords("set wrongly", has_bucket=False)
    if limit is None:
        return TierWords("no limit", has_bucket=False)
    return TierWords(_limit(limit, tier), has_bucket=True)


def _limit(limit: Limit, tier: str) -> str:
    window = _WINDOWS.get(limit.window_seconds, f" in {limit.window_seconds:,} s")
    at_once = f", {limit.burst:,} at once" if limit.burst != limit.requests else ""
    not_enforced = ", not enforced" if tier in tiers_in_shadow() else ""
    return f"{limit.requests:,}{window}{at_once}{not_enforced}"


def _cells(decision: Decision, limit: str) -> Cells:
    if decision.spec is None:  # RATELIMIT_ON_OUTAGE: open
        return Cells(limit, "let through")
    if decision.backend == "none":  # RATELIMIT_ON_OUTAGE: closed
        return Cells(limit, "refused")
    applied = _limit(decision.spec, decision.tier)  # a process that decides alone has its share of the limit
    return Cells(applied, f"{decision.remaining:,}", _full_again(decision.reset_after_seconds))


def _full_again(seconds: float) -> str:
    """On this machine's clock; what the store tells is how long it takes."""
    if not seconds:
        return "full"
    now = timezone.now()
    here, at = local(now), local(now + timedelta(seconds=seconds))
    return f"{at:%H:%M:%S}" if at.date() == here.date() else f"{at:%Y-%m-%d %H:%M:%S}"


def local(moment: datetime) -> datetime:
    """As this project's clocks show it; without USE_TZ that is what a moment is already."""
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment


def _notice(stats: Stats, answered_by: set[str]) -> Notice | None:
    if stats.wanted == _ALONE:
        if stats.reason:
            return Notice("warning", f"The store is away ({stats.reason}): what follows is this process’s own count.")
        return Notice(
            "info", "There is no Redis, so every process counts for itself: what follows is this one’s count."
        )
    is_away = stats.backend not in {"", stats.wanted}
    if is_away or answered_by - {stats.wanted}:
        reason = stats.reason or "just now"
        return Notice("warning", f"Redis is away ({reason}): what follows is this process’s own count.")
    return None
