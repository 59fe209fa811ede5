"""A distributed token bucket for any Django project.

The names below are the public ones. They are imported when first used, so that ``import ratelimit`` needs no settings.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ratelimit.bucket import Decision, Limit
    from ratelimit.decorators import exempt, rate_limit
    from ratelimit.errors import InvalidLimitError, RateLimitError, StoreError, UnknownTierError
    from ratelimit.identity import Identity, VerifiedKey
    from ratelimit.limiter import RateLimiter, Scope, Stats, get_rate_limiter
    from ratelimit.tiers import RateLimitTier, limit_for

__all__ = [
    "Decision",
    "Identity",
    "InvalidLimitError",
    "Limit",
    "RateLimitError",
    "RateLimitTier",
    "RateLimiter",
    "Scope",
    "Stats",
    "StoreError",
    "UnknownTierError",
    "VerifiedKey",
    "exempt",
    "get_rate_limiter",
    "limit_for",
    "rate_limit",
]

_HOMES = {
    "bucket": ("Decision", "Limit"),
    "decorators": ("exempt", "rate_limit"),
    "errors": ("InvalidLimitError", "RateLimitError", "StoreError", "UnknownTierError"),
    "identity": ("Identity", "VerifiedKey"),
    "limiter": ("RateLimiter", "Scope", "Stats", "get_rate_limiter"),
    "tiers": ("RateLimitTier", "limit_for"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
