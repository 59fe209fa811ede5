"""Which tiers there are and what each may."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from ratelimit.bucket import Limit
from ratelimit.conf import conf, settled
from ratelimit.errors import InvalidLimitError, UnknownTierError


class RateLimitTier(StrEnum):
    """The tiers every project has; RATELIMIT_TIERS may add others."""

    ANONYMOUS = "anonymous"
    API_KEY = "api_key"
    PREMIUM = "premium"
    ADMIN = "admin"


def limit_for(tier: str) -> Limit | None:
    """The tier's limit; None where it is unlimited. Raises UnknownTierError, or InvalidLimitError for a bad setting."""
    limits = _limits()
    try:
        return limits[tier]
    except KeyError:
        raise UnknownTierError(tier, tuple(limits)) from None


def known_tiers() -> tuple[str, ...]:
    """Every tier's name: those of RateLimitTier first, then those that only RATELIMIT_TIERS names."""
    return tuple(_limits())


@settled
def _limits() -> Mapping[str, Limit | None]:
    configured = conf.tiers
    names = dict.fromkeys([*(tier.value for tier in RateLimitTier), *configured])
    return {name: _limit(name, configured[name]) if name in configured else None for name in names}


def _limit(tier: str, configured: Mapping[str, int | None]) -> Limit | None:
    """``{"limit": None}`` says unlimited, which ``admin`` is unless the setting names it."""
    try:
        requests = configured["limit"]
        if requests is None:
            return None
        return Limit(requests, configured.get("window_seconds") or 60, configured.get("burst") or 0)
    except (KeyError, TypeError, AttributeError, InvalidLimitError) as error:
        raise InvalidLimitError(f"RATELIMIT_TIERS[{tier!r}] is no limit: {error}") from error
