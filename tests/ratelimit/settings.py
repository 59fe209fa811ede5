"""A project with this app and nothing of ours beside it."""

from __future__ import annotations

import os

import dj_database_url

SECRET_KEY = "of the limiter's own tests"
INSTALLED_APPS = ["ratelimit", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES = {"default": dj_database_url.parse(os.environ.get("DATABASE_URL", "sqlite:///:memory:"))}
if os.environ.get("BUCKETS_URL"):
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "ratelimit": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": os.environ["BUCKETS_URL"]},
    }
    RATELIMIT_READ_TIMEOUT_SECONDS = 5.0  # where a timeout is not the point, a busy machine must not make it one
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = True
