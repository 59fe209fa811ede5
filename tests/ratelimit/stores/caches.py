"""Caches as projects configure them, without a setting."""

from __future__ import annotations

import itertools
from typing import Any

from django_redis.cache import RedisCache
from fakeredis import FakeRedisConnection, FakeServer
from redis import ConnectionPool

_count = itertools.count()


def cache_at(url: str, **options: Any) -> RedisCache:
    """A django-redis cache; ``options`` are those of CACHES."""
    return RedisCache(_unique(url), {"OPTIONS": options})


def cache_on_fake() -> RedisCache:
    """A django-redis cache whose server is in this process, with scripts."""
    pool = {"connection_class": FakeRedisConnection, "server": FakeServer(version=(7, 0))}
    return RedisCache(_unique("redis://nowhere:6379/0"), {"OPTIONS": {"CONNECTION_POOL_KWARGS": pool}})


def _unique(url: str) -> str:
    """django-redis keeps one pool for each URL and process; tests must not meet in one."""
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}client_name=test-{next(_count)}"


class SpecialPool(ConnectionPool):
    """A pool with ideas of its own, as projects have them."""
