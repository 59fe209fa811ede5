"""Which tiers there are and what each may."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from ratelimit.bucket import Limit
from ratelimit.conf import conf, settled
from ratelimit.errors import InvalidLimitError, UnknownTierError

logger = logging.getLogger(__name__)


class RateLimitTier(StrEnum):
    """The tiers every project has; RATELIMIT_TIERS may add others."""

    ANONYMOUS = "anonymous"
    API_KEY = "api_key"
    PREMIUM = "premium"
    ADMIN = "admin"


_NAME = re.compile(r"[a-z0-9_-]{1,32}")  # part of keys: a colon would make “a:b” the scope “b” of the tier “a”
_KEYS = ("limit", "window_seconds", "burst")


def limit_for(tier: str) -> Limit | None:
    """The tier's limit; None where it is unlimited. Raises UnknownTierError, or InvalidLimitError for a bad setting."""
    limits = _limits()
    try:
        limit = limits[tier]
    except KeyError:
        raise UnknownTierError(tier, tuple(limits)) from None
    if isinstance(limit, InvalidLimitError):
        raise InvalidLimitError(str(limit)) from limit
    return limit


def known_tiers() -> tuple[str, ...]:
    """Every tier's name: those of RateLimitTier first, then those that only RATELIMIT_TIERS names."""
    return tuple(_limits())


def counted_as(assigned: str) -> str:
    """The tier that an assignment gives: a name that the settings no longer know, or none, is that of any API key."""
    return assigned if assigned in _limits() else RateLimitTier.API_KEY.value


@settled
def tiers_in_shadow() -> frozenset[str]:
    """Those whose refusals are counted and told of, but let through (RATELIMIT_ENFORCE)."""
    enforce = conf.enforce
    if isinstance(enforce, bool):
        return frozenset() if enforce else frozenset(known_tiers())
    return frozenset(tier for tier, is_enforced in enforce.items() if not is_enforced)


@settled
def unusable_names() -> tuple[str, ...]:
    """Names in RATELIMIT_TIERS that no tier can have, and that are therefore left out; told in the log once."""
    names = tuple(name for name in conf.tiers if not _NAME.fullmatch(name))
    for name in names:
        logger.error("RATELIMIT_TIERS names a tier %r, which is left out: its name is none", name)
    return names


@settled
def _limits() -> Mapping[str, Limit | InvalidLimitError | None]:
    """A tier that is written wrongly is kept as its error, so that it does not take the others with it."""
    unusable = unusable_names()
    configured = {name: limit for name, limit in conf.tiers.items() if name not in unusable}
    names = dict.fromkeys([*(tier.value for tier in RateLimitTier), *configured])
    return {name: _limit_or_error(name, configured[name]) if name in configured else None for name in names}


def _limit_or_error(tier: str, configured: Any) -> Limit | InvalidLimitError | None:
    try:
        return _limit(f"RATELIMIT_TIERS[{tier!r}]", configured)
    except InvalidLimitError as error:
        return error


def _limit(place: str, configured: Any) -> Limit | None:
    """``{"limit": None}`` says unlimited, which ``admin`` is unless the setting names it."""
    if not isinstance(configured, Mapping) or "limit" not in configured:
        raise InvalidLimitError(f"{place} is no limit: it has no “limit”.")
    for key, value in configured.items():
        if key not in _KEYS:
            raise InvalidLimitError(f"{place} has “{key}”: a tier has {', '.join(_KEYS)} and nothing else.")
        is_unlimited = key == "limit" and value is None
        if not is_unlimited and (type(value) is not int or value < 1):
            raise InvalidLimitError(f"{place}[{key!r}] is {value!r}: write a whole number, at least 1.")
    if configured["limit"] is None:
        return None
    try:
        return Limit(configured["limit"], configured.get("window_seconds", 60), configured.get("burst", 0))
    except InvalidLimitError as error:
        raise InvalidLimitError(f"{place} is no limit: {error}") from error
