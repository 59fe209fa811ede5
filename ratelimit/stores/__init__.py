"""Where buckets are kept, and who decides."""

from __future__ import annotations

from django.core.cache import caches
from django.core.cache.backends.base import InvalidCacheBackendError
from django.core.cache.backends.locmem import LocMemCache

from ratelimit.conf import conf
from ratelimit.stores.base import Store
from ratelimit.stores.fallback import FallbackStore, announce
from ratelimit.stores.memory import MemoryStore

__all__ = ["build_store"]


def build_store() -> Store:
    """What the settings ask for: Redis with memory to fall back on, or memory alone where the cache has no Redis.

    Nothing is connected yet. The first decision by memory alone announces why: ``locmem`` where that is what the alias
    says, ``no_redis`` for any other cache, ``no_cache`` for an alias that does not exist or cannot be made.
    """
    try:
        cache = caches[conf.cache]
    except (InvalidCacheBackendError, ImportError):
        return _memory_alone("no_cache")
    if isinstance(cache, LocMemCache):
        return _memory_alone("locmem")
    try:
        from ratelimit.stores.redis import RedisStore, speaks_redis
    except ImportError:  # whoever has a Redis has the client library
        return _memory_alone("no_redis")
    if not speaks_redis(cache):
        return _memory_alone("no_redis")
    return FallbackStore(
        RedisStore(cache, conf.read_timeout_seconds, conf.connect_timeout_seconds),
        MemoryStore(conf.memory_keys, conf.expected_processes),
        f"{conf.key_prefix}:{{probe}}",
        conf.probe_interval_seconds,
    )


def _memory_alone(reason: str) -> Store:
    return MemoryStore(
        conf.memory_keys,
        conf.expected_processes,
        on_first_use=lambda store: announce(store, "", store.name, reason),
    )
