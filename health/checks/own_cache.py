"""A cache that belongs to a check: what it reads goes over connections outside those of requests, and none is left."""

from __future__ import annotations

from typing import Any, Protocol

from django.core.cache import caches
from django.core.cache.backends.db import DatabaseCache
from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper

from health.checks.cache import cache_class
from health.checks.connection import OwnConnection, in_place_of_the_threads
from health.checks.redis import OwnRedisCache, speaks_redis


class OwnCache(Protocol):
    """For one thread at a time."""

    def get(self, key: str) -> object:
        """The value as Django's cache has it, None where there is none. Raises what the cache's client does."""

    def interrupt(self) -> None:
        """Make a hung ``get`` fail, from another thread, where that can be done; neither waits nor raises."""


def own_cache(alias: str, deadline_seconds: float) -> OwnCache:
    """Of this alias. Raises UnusableOptionError where there is none."""
    kind = cache_class(alias)
    if issubclass(kind, DatabaseCache):
        return _InDatabase(alias)
    if speaks_redis(kind):
        return OwnRedisCache(alias, deadline_seconds)
    return _Elsewhere(alias)


class _InDatabase:
    def __init__(self, alias: str) -> None:
        made: Any = caches.create_connection(alias)
        self._cache: DatabaseCache = made
        self._own = OwnConnection(router.db_for_read(made.cache_model_class))

    def get(self, key: str) -> object:
        def read(connection: BaseDatabaseWrapper) -> object:
            with in_place_of_the_threads(connection):
                return self._cache.get(key)

        try:
            return self._own.run(read)
        finally:
            self._own.close()

    def interrupt(self) -> None:
        self._own.interrupt()


class _Elsewhere:
    """In files, which have no connection, or in a cache that has timeouts of its own, such as memcached's clients."""

    def __init__(self, alias: str) -> None:
        self._cache = caches.create_connection(alias)

    def get(self, key: str) -> object:
        try:
            return self._cache.get(key)
        finally:
            self._cache.close()

    def interrupt(self) -> None: ...
