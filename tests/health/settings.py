"""A project with this app and nothing of ours beside it."""

from __future__ import annotations

import os

import dj_database_url

SECRET_KEY = "of the probes' own tests"
INSTALLED_APPS = ["health"]
MIDDLEWARE = ["health.middleware.HealthMiddleware"]
ROOT_URLCONF = "tests.health.urls"
DATABASES = {"default": dj_database_url.parse(os.environ.get("DATABASE_URL", "sqlite:///:memory:"))}
if os.environ.get("REDIS_URL"):
    CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": os.environ["REDIS_URL"]}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
