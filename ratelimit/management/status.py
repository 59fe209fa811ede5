"""How rate limiting stands, asked of everybody who has a part in it."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

from django.conf import settings

from ratelimit.conf import conf
from ratelimit.errors import InvalidLimitError, StoreError
from ratelimit.identity import Identity
from ratelimit.limiter import get_rate_limiter
from ratelimit.stores import eviction_policy
from ratelimit.stores.memory import MemoryStore
from ratelimit.tiers import known_tiers, limit_for

COUNTING_SECONDS = 1.0
"""How long buckets are counted at the most."""
KEEPS_BUCKETS = "noeviction"

_PROBE_NAME = "manage.py ratelimit status"
_UNSHOWN = "(not of a shape that can be shown without its credentials)"
# Strictly: what is not surely free of a password is not shown. A user and password stand before the @; a query may
# hold them too.
_SERVER = re.compile(r"(rediss?://)(?:[^@/?#]*@)?([A-Za-z0-9_.\-\[\]:]+(?:/[0-9]*)?)(?:\?[^@]*)?")
_SOCKET = re.compile(r"(unix://)(?:[^@/?#]*@)?(/[^@?#]*)(?:\?[^@]*)?")

Verdict = Literal["ok", "redis_away", "drops_buckets"]


@dataclass(frozen=True, slots=True)
class Status:
    """What was found. None where it does not apply or nobody would tell."""

    verdict: Verdict
    backend: str
    """Who decides now: ``redis`` or ``memory``."""
    wanted: str
    """Who decides when all is well."""
    reason: str
    """Why it is not the wanted one, in one word; else empty."""
    cache: str
    """The alias."""
    address: str | None
    round_trip_ms: float | None
    maxmemory_policy: str | None
    drops_buckets: bool | None
    buckets: int | None
    """How many are not full; None also where they were too many to be counted."""
    expected_processes: int
    shares: dict[str, int | None]
    """Tier → what a process that decides alone admits a window; None: no limit, or none that can be read."""


def read_status() -> Status:
    """Takes and gives back one token of a bucket of its own, so that a server which cannot write is found out.

    Every question keeps to the limiter's own timeouts, and counting to ``COUNTING_SECONDS``. Never raises StoreError.
    """
    limiter = get_rate_limiter()
    wants_redis = limiter.stats().wanted != MemoryStore.name
    round_trip_ms = policy = buckets = None
    if wants_redis:
        round_trip_ms = _probe()
    if wants_redis and limiter.stats().backend != MemoryStore.name:
        buckets = limiter.count_buckets(COUNTING_SECONDS)
        policy = _eviction_policy()
    stats = limiter.stats()  # last, as any of these questions may have found Redis away
    backend = stats.backend or stats.wanted
    is_away = wants_redis and backend == MemoryStore.name
    drops = policy != KEEPS_BUCKETS if policy is not None else None
    return Status(
        verdict="redis_away" if is_away or stats.reason else "drops_buckets" if drops else "ok",
        backend=backend,
        wanted="redis" if stats.reason else stats.wanted,
        reason=stats.reason,
        cache=conf.cache,
        address=address_of(conf.cache) if wants_redis or stats.reason else None,
        round_trip_ms=None if is_away else round_trip_ms,
        maxmemory_policy=policy,
        drops_buckets=drops,
        buckets=None if is_away else buckets,
        expected_processes=conf.expected_processes,
        shares={tier: share_of(tier) for tier in known_tiers()},
    )


def share_of(tier: str) -> int | None:
    """Requests a window that each process admits where it decides alone."""
    try:
        limit = limit_for(tier)
    except InvalidLimitError:
        return None
    return limit.shared_by(conf.expected_processes).requests if limit is not None else None


def address_of(alias: str) -> str | None:
    """Where the cache's server is, without user, password and options; None where the alias does not say."""
    configured: Any = settings.CACHES.get(alias, {}).get("LOCATION", "")
    places = re.split("[;,]", configured) if isinstance(configured, str) else configured
    return ", ".join(dict.fromkeys(_without_credentials(str(place).strip()) for place in places if place)) or None


def _without_credentials(place: str) -> str:
    match = _SERVER.fullmatch(place) or _SOCKET.fullmatch(place)
    return f"{match[1]}{match[2]}" if match else _UNSHOWN


def _probe() -> float | None:
    """Milliseconds of a round trip, once connected; None where no tier has a limit, so that nobody need be asked."""
    limiter = get_rate_limiter()
    probe = next((Identity.of(_PROBE_NAME, tier) for tier in known_tiers() if share_of(tier) is not None), None)
    if probe is None:
        return None
    limiter.check(probe)
    began = perf_counter()
    limiter.peek(probe)
    seconds = perf_counter() - began
    with suppress(StoreError):  # should it have gone away meanwhile, the stats say so
        limiter.reset(probe)
    return round(seconds * 1000, 3)


def _eviction_policy() -> str | None:
    try:
        return eviction_policy() or None
    except StoreError:
        return None  # not every server that speaks like Redis tells this
