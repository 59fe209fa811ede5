"""A project with the limiter and nothing else. BENCH_STORE: what keeps its buckets; BENCH_REDIS_URL: where."""

from __future__ import annotations

import os

import redis


class ForeignPool(redis.ConnectionPool):
    """A pool the limiter knows nothing of, so that only the ordinary client can be used."""


SECRET_KEY = "of the benchmarks, and of nothing else"
INSTALLED_APPS = ["ratelimit", "django.contrib.auth", "django.contrib.contenttypes"]
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.benchmarks.ratelimit.views"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
LOGGING_CONFIG = None
_LOCATION = os.environ.get("BENCH_REDIS_URL", "")
_REDIS = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": _LOCATION}
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "memory": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "redis": _REDIS,
    "ordinary": {**_REDIS, "OPTIONS": {"CONNECTION_POOL_CLASS": f"{__name__}.ForeignPool"}},
}
RATELIMIT_CACHE = os.environ.get("BENCH_STORE", "memory")
