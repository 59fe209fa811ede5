"""A project with this app and nothing of ours beside it."""

from __future__ import annotations

import os

import dj_database_url

SECRET_KEY = "of the metrics' own tests"
INSTALLED_APPS = ["observability"]
MIDDLEWARE = ["observability.middleware.MetricsMiddleware"]
ROOT_URLCONF = "tests.observability.urls"
DATABASES = {"default": dj_database_url.parse(os.environ.get("DATABASE_URL", "sqlite:///:memory:"))}
if os.environ.get("REDIS_URL"):
    CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": os.environ["REDIS_URL"]}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
OBSERVABILITY_STRICT = True
USE_TZ = True
