"""Django's cache: Redis where there is one, and nothing that breaks where it is away; else the process's memory."""

from __future__ import annotations

from typing import Any

# A page asks twice: half a second each at worst, against a database that answers in milliseconds.
_TIMEOUT_SECONDS = 0.25


def cache_config(redis_url: str, key_prefix: str = "signal-harvester") -> dict[str, Any]:
    """One alias of ``CACHES``; with an empty URL the cache is in memory, of each process its own."""
    if not redis_url:
        return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": key_prefix}
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": redis_url,
        "KEY_PREFIX": key_prefix,
        "OPTIONS": {
            "IGNORE_EXCEPTIONS": True,  # a cache that is away is an empty one
            "SOCKET_CONNECT_TIMEOUT": _TIMEOUT_SECONDS,
            "SOCKET_TIMEOUT": _TIMEOUT_SECONDS,
        },
    }
