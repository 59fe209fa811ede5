"""Django's settings, from the environment (see ``env.py``); production refuses to start with an insecure one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url
from django_guid.integrations import CeleryIntegration

from harvester.config.broker import celery_broker
from harvester.config.cache import cache_config
from harvester.config.env import INSECURE_SECRET_KEY, Environment, require_folder, require_production_safety
from harvester.config.logs import logging_config
from harvester.config.version import BASE_DIR, VERSION

environment = Environment.of_process()

ENVIRONMENT = environment.text("ENVIRONMENT")
IS_PRODUCTION = ENVIRONMENT == "production"
if IS_PRODUCTION:
    require_production_safety(environment)

SECRET_KEY = environment.text("SECRET_KEY") or INSECURE_SECRET_KEY
DEBUG = environment.flag("DEBUG")
ALLOWED_HOSTS = environment.names("ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = environment.names("CSRF_TRUSTED_ORIGINS")
DATA_DIR = (BASE_DIR / environment.text("DATA_DIR")).resolve()

# --- Apps and middleware -------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "harvester",
    "ratelimit",
    "observability",
    "health",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "django_guid",
    "ninja",  # serves the files of the API's docs page, so that it needs no other host
]
MIDDLEWARE = [
    "health.middleware.HealthMiddleware",  # in front of hosts, redirects, sessions and limits
    "observability.middleware.MetricsMiddleware",  # times everything below; probes would only be noise
    "django_guid.middleware.guid_middleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "ratelimit.middleware.RateLimitMiddleware",  # behind those whose headers a 429 must have too
]
ROOT_URLCONF = "harvester.config.urls"
WSGI_APPLICATION = "harvester.config.wsgi.application"
ASGI_APPLICATION = "harvester.config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": False,
        "DIRS": [BASE_DIR / "harvester" / "pages" / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "harvester.pages.context.page_head",
            ],
            "builtins": ["harvester.pages.words"],
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        "django.template.loaders.app_directories.Loader",
                    ],
                )
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.DjangoTemplates"

# --- Data ----------------------------------------------------------------------------------------------------------

_SQLITE_OPTIONS: dict[str, Any] = {
    # Web and worker share the file: readers never wait (WAL), and a writer waits its turn from the start of its
    # transaction instead of failing in the middle of it.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
}


def _database() -> dict[str, Any]:
    url = environment.text("DATABASE_URL") or f"sqlite:///{DATA_DIR / 'harvester.sqlite3'}"
    parsed: dict[str, Any] = dict(dj_database_url.parse(url))
    if parsed["ENGINE"].endswith("sqlite3"):
        require_folder(Path(parsed["NAME"]).parent, "DATABASE_URL" if environment.text("DATABASE_URL") else "DATA_DIR")
        return parsed | {"OPTIONS": _SQLITE_OPTIONS}
    options = {"connect_timeout": 5} | parsed.get("OPTIONS", {})
    return parsed | {
        "OPTIONS": options,
        "CONN_MAX_AGE": environment.integer("DATABASE_CONN_MAX_AGE"),
        "CONN_HEALTH_CHECKS": True,
    }


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "harvester.User"

REDIS_URL = environment.text("REDIS_URL")
# The limiter has an alias of its own, so that it can be given a server that never evicts.
CACHES = {
    "default": cache_config(REDIS_URL, "signal-harvester"),
    "ratelimit": cache_config(REDIS_URL, "signal-harvester-limits"),
}
DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True

# --- Tasks ---------------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = celery_broker(environment.text("CELERY_BROKER_URL") or REDIS_URL or "filesystem://")
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {}
if CELERY_BROKER_URL.startswith("filesystem:"):
    _queue = DATA_DIR / "tasks"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_queue / "waiting"),
        "data_folder_out": str(_queue / "waiting"),
        "processed_folder": str(_queue / "done"),
        "control_folder": str(_queue / "control"),
        "store_processed": False,
    }
    for _folder in ("waiting", "done", "control"):
        require_folder(_queue / _folder, "DATA_DIR")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True  # what a run did stands on its Run
CELERY_TASK_ACKS_LATE = False  # a run that lost its worker is found by its heartbeat, never run twice by redelivery
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    "end runs that lost their worker": {
        "task": "harvester.tasks.sweep_runs",
        "schedule": timedelta(seconds=45),
        "options": {"expires": 45},
    },
    "harvest sources that are due": {
        "task": "harvester.tasks.harvest_due",
        "schedule": timedelta(seconds=environment.integer("HARVESTER_SCHEDULE_SECONDS")),
        "options": {"expires": 300},
    },
}

# --- Security ------------------------------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "discoveries"
LOGOUT_REDIRECT_URL = "discoveries"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "img-src": ["'self'", "data:"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
if environment.flag("TLS_PROXY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = environment.flag("SSL_REDIRECT", default=IS_PRODUCTION)
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if IS_PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = IS_PRODUCTION
SECURE_HSTS_PRELOAD = IS_PRODUCTION
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = IS_PRODUCTION
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = IS_PRODUCTION
CSRF_FAILURE_VIEW = "harvester.pages.errors.csrf_failure"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000  # bytes; the API answers 413 beyond it

# --- Limits --------------------------------------------------------------------------------------------------------

_TESTING = ENVIRONMENT == "test"
RATELIMIT_TIERS: dict[str, dict[str, int]] = environment.get("RATELIMIT_TIERS") or {}
RATELIMIT_ENFORCE = environment.flag("RATELIMIT_ENFORCE", default=True)
if _TESTING:
    # The one place where tests pass the limiter. Those that are about limits set their own.
    RATELIMIT_TIERS = {tier: {"limit": 500_000} for tier in ("anonymous", "api_key", "premium")} | RATELIMIT_TIERS
    RATELIMIT_ENFORCE = False  # single operations have limits beside the tiers'
    RATELIMIT_REFRESH_SECONDS = 0  # no other connection sees what a test has written
RATELIMIT_TRUSTED_PROXIES = environment.names("RATELIMIT_TRUSTED_PROXIES")
RATELIMIT_FORWARDED_HEADER = environment.text("RATELIMIT_FORWARDED_HEADER")
RATELIMIT_EXPECTED_PROCESSES = environment.integer("RATELIMIT_EXPECTED_PROCESSES")
RATELIMIT_EXEMPT_PATHS = ["/health/*", "/metrics"]
RATELIMIT_DENIED_VIEW = "harvester.config.error_handlers.too_many_requests"

# --- Probes --------------------------------------------------------------------------------------------------------

HEALTH_DISK_PATH = str(DATA_DIR)
HEALTH_CHECKS = {
    "sources": "harvester.health_checks.SourcesCheck",
    "pipeline": "harvester.health_checks.PipelineCheck",
    "worker": "harvester.health_checks.WorkerCheck",
}
HEALTH_TOKEN = environment.text("HEALTH_TOKEN")
HEALTH_DETAIL_NETWORKS = environment.names("HEALTH_DETAIL_NETWORKS")
HEALTH_VERSION = VERSION

# --- Metrics -------------------------------------------------------------------------------------------------------

OBSERVABILITY_TOKEN = environment.text("OBSERVABILITY_TOKEN")
OBSERVABILITY_ALLOWED_NETWORKS = environment.names("OBSERVABILITY_ALLOWED_NETWORKS")
OBSERVABILITY_WORKER_HOST = environment.text("OBSERVABILITY_WORKER_HOST")
OBSERVABILITY_WORKER_PORT = environment.integer("OBSERVABILITY_WORKER_PORT")
OBSERVABILITY_VERSION = VERSION
OBSERVABILITY_COLLECTORS = [
    "harvester.collectors.DiscoveryCollector",
    "harvester.collectors.BucketCollector",
    "harvester.collectors.ApiKeyCollector",
]
OBSERVABILITY_STRICT = _TESTING
PROMETHEUS_EXPORT_MIGRATIONS = False  # of django-prometheus we take the counters of models, and nothing else

# --- Words, times, files -------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
APPEND_SLASH = False

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "harvester" / "pages" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if _TESTING or DEBUG
            else "whitenoise.storage.CompressedManifestStaticFilesStorage"
        )
    },
}
WHITENOISE_USE_FINDERS = _TESTING or DEBUG

# --- Logs ----------------------------------------------------------------------------------------------------------

LOGGING = logging_config(level=environment.text("LOG_LEVEL"), form=environment.text("LOG_FORMAT"))
DJANGO_GUID = {
    "GUID_HEADER_NAME": "X-Request-ID",
    "VALIDATE_GUID": True,  # anything else than a UUID from outside is replaced, so logs hold no foreign text
    "RETURN_HEADER": True,
    "EXPOSE_HEADER": False,
    "UUID_FORMAT": "hex",
    "INTEGRATIONS": [CeleryIntegration()],  # a task carries the id of the request that asked for it, or has its own
}

# --- The product ---------------------------------------------------------------------------------------------------

HARVESTER_VERSION = VERSION
HARVESTER_ALLOWED_PRIVATE_HOSTS = environment.names("HARVESTER_ALLOWED_PRIVATE_HOSTS")
HARVESTER_CONTACT = environment.text("HARVESTER_CONTACT")
# Hosts that are answered in process instead of over the network: the sample world's. Dotted path to a function
# `answer(url, headers) -> Reply`.
HARVESTER_IN_PROCESS_HOSTS = {"sample.invalid": "harvester.sample.server.answer"}
