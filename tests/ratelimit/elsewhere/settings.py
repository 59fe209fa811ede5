"""As of the limiter's own tests, but for the user."""

from __future__ import annotations

from tests.ratelimit.settings import *  # noqa: F403 - a project's settings are made so
from tests.ratelimit.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "tests.ratelimit.elsewhere"]
AUTH_USER_MODEL = "elsewhere.Person"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
ALLOWED_HOSTS = ["testserver"]
RATELIMIT_REFRESH_SECONDS = 0
