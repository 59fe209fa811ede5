"""Where buckets are kept, and who decides."""

from __future__ import annotations

import logging

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache

from ratelimit.conf import conf
from ratelimit.errors import StoreError
from ratelimit.stores.base import Store
from ratelimit.stores.fallback import FallbackStore, announce
from ratelimit.stores.memory import MemoryStore

logger = logging.getLogger(__name__)

__all__ = ["build_store", "eviction_policy"]


def build_store() -> Store:
    """What the settings ask for: Redis with memory to fall back on, or memory alone where the cache has no Redis.

    Nothing is connected yet. The first decision by memory alone announces why: ``locmem`` where that is what the alias
    says, ``no_redis`` for any other cache, ``no_cache`` for an alias that does not exist or cannot be made.
    """
    cache = _cache()
    reason = _why_not_redis(cache)
    if cache is None or reason:
        return MemoryStore(
            conf.memory_keys,
            conf.expected_processes,
            on_first_use=lambda store: announce(store, "", store.name, reason),
            stands_in=reason == "no_cache",
        )
    from ratelimit.stores.redis import RedisStore

    return FallbackStore(
        RedisStore(cache, conf.read_timeout_seconds, conf.connect_timeout_seconds, f"{conf.key_prefix}:"),
        MemoryStore(conf.memory_keys, conf.expected_processes),
        "{probe}",
        conf.probe_interval_seconds,
    )


def eviction_policy() -> str:
    """What Redis does when its memory is full (``maxmemory-policy``); empty where no Redis decides.

    Asks on a connection of its own, which it closes. Raises StoreError.
    """
    cache = _cache()
    if cache is None or _why_not_redis(cache):
        return ""
    from ratelimit.stores.redis import RedisStore

    try:
        return RedisStore(cache, conf.read_timeout_seconds, conf.connect_timeout_seconds).eviction_policy()
    except StoreError:
        raise
    except Exception as error:
        raise StoreError("unreadable") from error  # not every server that speaks like Redis tells this, or tells it so


def _cache() -> BaseCache | None:
    try:
        return caches[conf.cache]
    except Exception as error:  # noqa: BLE001 - a cache may do anything to make itself, and no request may fail for it
        # its words may be an address with a password in it
        logger.error("The cache “%s” cannot be made (%s).", conf.cache, type(error).__name__)  # noqa: TRY400 - as above
        return None


def _why_not_redis(cache: BaseCache | None) -> str:
    """Empty if there is no reason why not."""
    if cache is None:
        return "no_cache"
    if isinstance(cache, LocMemCache):
        return "locmem"
    try:
        from ratelimit.stores.redis import speaks_redis
    except ImportError:  # whoever has a Redis has the client library
        return "no_redis"
    return "" if speaks_redis(cache) else "no_redis"
