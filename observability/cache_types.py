"""Which kind of store is behind a cache's backend."""

from __future__ import annotations

_BY_MODULE = {
    "django.core.cache.backends.redis": "redis",
    "django_redis.cache": "redis",
    "django.core.cache.backends.memcached": "memcached",
    "django.core.cache.backends.locmem": "locmem",
    "django.core.cache.backends.db": "database",
    "django.core.cache.backends.filebased": "file",
    "django.core.cache.backends.dummy": "dummy",
}


def cache_type_of(backend: type) -> str:
    """One of ``metrics.CACHE_TYPES``, by the nearest of the class's ancestors that is known."""
    return next((_BY_MODULE[base.__module__] for base in backend.__mro__ if base.__module__ in _BY_MODULE), "other")
