"""What kind of cache a backend is, in the words of the metrics."""

from __future__ import annotations

_OTHER = "other"
_TYPES_BY_MODULE = {
    "django.core.cache.backends.redis": "redis",
    "django.core.cache.backends.memcached": "memcached",
    "django.core.cache.backends.locmem": "locmem",
    "django.core.cache.backends.db": "database",
    "django.core.cache.backends.filebased": "file",
    "django.core.cache.backends.dummy": "dummy",
    "django_redis.cache": "redis",
    "django_valkey.base": "redis",  # speaks the same protocol
    "django_bmemcached.memcached": "memcached",
}


def cache_type_of(backend_class: type) -> str:
    """One of CACHE_TYPES: that of the class, or of the nearest class it derives from; ``other`` for any else."""
    for one in backend_class.__mro__:
        found = _TYPES_BY_MODULE.get(one.__module__, _OTHER)
        if found != _OTHER:
            return found
    return _OTHER
