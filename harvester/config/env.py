"""The environment as data: every variable with its type, default and meaning, read once and failing loudly.

Each variable may also be given as ``NAME_FILE``, the path of a file that holds the value (mounted secrets).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from harvester.config import parsers
from harvester.config.dotenv import over_dotenv
from harvester.config.version import BASE_DIR

#: Names another file than .env beside manage.py; empty: none is read. Only the process itself can say so.
DOTENV = "DOTENV"
ENVIRONMENTS = ("development", "test", "production")
INSECURE_SECRET_KEY = "insecure-development-key-never-use-it-in-production"  # noqa: S105 - named so that nobody mistakes it for a secret
MIN_SECRET_KEY_LENGTH = 50  # these three are what Django's own security.W009 asks for
MIN_SECRET_KEY_VARIETY = 5
GENERATED_KEY_PREFIX = "django-insecure-"


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable. ``default`` is written as in the environment; the empty string means “not set”.

    Where ``may_be_empty``, one that is there and empty says “none”, and does not fall back to the default.
    """

    name: str
    parse: Callable[[str], Any]
    default: str
    help: str
    is_secret: bool = False
    may_be_empty: bool = False


VARIABLES: tuple[Variable, ...] = (
    Variable(
        "ENVIRONMENT",
        parsers.one_of(*ENVIRONMENTS),
        "development",
        "development, test or production. Production refuses to start with an insecure setting.",
    ),
    Variable(
        "SECRET_KEY",
        parsers.text,
        "",
        "Signs sessions, cursors and tokens: at least 50 random characters. Outside production a fixed insecure one.",
        is_secret=True,
    ),
    Variable("DEBUG", parsers.flag, "false", "Django's debug pages. Refused in production."),
    Variable(
        "ALLOWED_HOSTS",
        parsers.hosts,
        "",
        "Host names served, comma-separated. Outside production: the loopback names.",
    ),
    Variable(
        "CSRF_TRUSTED_ORIGINS",
        parsers.origins,
        "",
        "Origins (https://host) allowed to post forms from, comma-separated.",
    ),
    Variable(
        "TLS_PROXY",
        parsers.flag,
        "false",
        "True behind a proxy that ends TLS and always sets X-Forwarded-Proto: that header is then believed.",
    ),
    Variable(
        "SSL_REDIRECT",
        parsers.flag,
        "",
        "Answer http with a redirect to https. Default: true in production, false elsewhere.",
    ),
    Variable(
        "DATABASE_URL",
        parsers.database_url,
        "",
        "postgresql://user:password@host:5432/name, or sqlite:///path. Default: SQLite in DATA_DIR.",
        is_secret=True,
    ),
    Variable(
        "DATABASE_CONN_MAX_AGE",
        parsers.integer(0, 86_400),
        "60",
        "Seconds a connection to PostgreSQL is kept for the next request.",
    ),
    Variable(
        "REDIS_URL",
        parsers.redis_url,
        "",
        "redis://host:6379/0. Holds the cache, and Celery's queue unless CELERY_BROKER_URL says otherwise.",
        is_secret=True,
    ),
    Variable(
        "CELERY_BROKER_URL",
        parsers.broker_url,
        "",
        "Where tasks wait. Default: REDIS_URL where set, else files in DATA_DIR (filesystem://).",
        is_secret=True,
    ),
    Variable(
        "DATA_DIR", parsers.text, "var", "Folder for what the embedded parts write: the SQLite file, the task files."
    ),
    Variable(
        "LOG_LEVEL", parsers.one_of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO", "Least severe level that is logged."
    ),
    Variable("LOG_FORMAT", parsers.one_of("json", "text"), "json", "json: one object a line. text: for people."),
    Variable(
        "RATELIMIT_TIERS",
        parsers.mapping,
        "",
        'Limits that differ from the default ones, as JSON: {"anonymous": {"limit": 100, "window_seconds": 60}}.',
    ),
    Variable(
        "RATELIMIT_ENFORCE",
        parsers.flag,
        "true",
        "False: limits are only counted and nobody is refused, to see whom they would refuse.",
    ),
    Variable(
        "RATELIMIT_TRUSTED_PROXIES",
        parsers.proxies,
        "",
        "Networks (10.0.0.0/8) of the proxies in front, comma-separated. What they say of a client's address counts.",
    ),
    Variable(
        "RATELIMIT_FORWARDED_HEADER",
        parsers.one_of("X-Forwarded-For", "Forwarded"),
        "X-Forwarded-For",
        "The header that those proxies write, X-Forwarded-For or Forwarded. The other one is never read.",
    ),
    Variable(
        "RATELIMIT_EXPECTED_PROCESSES",
        parsers.integer(1, 1_000_000),
        "1",
        "How many processes serve requests. Without Redis, or while it is away, each admits its share of a limit.",
    ),
    Variable(
        "HEALTH_TOKEN",
        parsers.text,
        "",
        "Whoever sends it as a bearer token sees the details of /health/: at least 16 random characters.",
        is_secret=True,
    ),
    Variable(
        "HEALTH_DETAIL_NETWORKS",
        parsers.networks,
        "",
        "Networks (10.0.0.0/8) from which those details are seen too, comma-separated; never through a proxy.",
    ),
    Variable(
        "HEALTH_DRAIN_SECONDS",
        parsers.integer(0, 3_600),
        "10",
        "How long the web server goes on serving after SIGTERM while it says that it is not ready. `make run`: 0.",
    ),
    Variable(
        "HEALTH_TERMINATION_GRACE_SECONDS",
        parsers.integer(1, 86_400),
        "30",
        "The pod's terminationGracePeriodSeconds: gunicorn warns where draining and finishing would outlast it.",
    ),
    Variable(
        "OBSERVABILITY_TOKEN",
        parsers.text,
        "",
        "Whoever sends it as a bearer token may read /metrics: at least 16 random characters.",
        is_secret=True,
    ),
    Variable(
        "OBSERVABILITY_ALLOWED_NETWORKS",
        parsers.networks,
        "127.0.0.0/8,::1/128",
        "Networks from which /metrics is read without a token, comma-separated, empty: none; never through a proxy.",
        may_be_empty=True,
    ),
    Variable(
        "OBSERVABILITY_WORKER_HOST",
        parsers.text,
        "127.0.0.1",
        "The address on which the Celery worker serves its metrics.",
    ),
    Variable(
        "OBSERVABILITY_WORKER_PORT",
        parsers.integer(0, 65_535),
        "0",
        "The port on which the Celery worker serves its metrics; 0: it serves none.",
    ),
    Variable(
        "HARVESTER_ALLOWED_PRIVATE_HOSTS",
        parsers.hosts,
        "",
        "Hosts, or host:port, that may be fetched although their address is not public. For development and tests.",
    ),
    Variable(
        "HARVESTER_CONTACT",
        parsers.header_text,
        "",
        "A URL or e-mail address for the User-Agent, so that the services we read can reach you.",
    ),
    Variable(
        "HARVESTER_SCHEDULE_SECONDS",
        parsers.integer(10, 86_400),
        "300",
        "How often the worker looks for sources that are due, in seconds.",
    ),
)

_BY_NAME = {variable.name: variable for variable in VARIABLES}


class Environment:
    """Typed access to the variables above; a name that is not declared there is a programming error (KeyError)."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @classmethod
    def of_process(cls) -> Environment:
        """The environment of this process and, beneath it, ``.env``: the same for every entry point.

        Raises ImproperlyConfigured where that file cannot be read.
        """
        named = os.environ.get(DOTENV)
        if named == "":
            return cls(os.environ)
        return cls(over_dotenv(os.environ, BASE_DIR / (named or ".env")))

    def get(self, name: str) -> Any:
        """The parsed value, or its parsed default; ``None`` where both are empty, or where it is empty and may be.

        Raises ImproperlyConfigured that names the variable and says what to write; a secret's value is not repeated.
        """
        variable = _BY_NAME[name]
        written = self._written(name)
        if not written and not (variable.may_be_empty and self._is_there(name)):
            written = variable.default
        if not written:
            return None
        try:
            return variable.parse(written)
        except ValueError as error:
            shown = "its value" if variable.is_secret else f"“{written}”"
            raise ImproperlyConfigured(f"{name}: {shown} cannot be used: {error}.") from None

    def text(self, name: str) -> str:
        return str(self.get(name) or "")

    def integer(self, name: str) -> int:
        return int(self.get(name))

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.get(name)
        return default if value is None else bool(value)

    def names(self, name: str) -> list[str]:
        return list(self.get(name) or ())

    def _is_there(self, name: str) -> bool:
        return name in self._values or bool(self._values.get(f"{name}_FILE"))

    def _written(self, name: str) -> str:
        path = self._values.get(f"{name}_FILE", "")
        direct = self._values.get(name, "")
        if path and direct:
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: keep one.")
        if not path:
            return direct.strip()
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(f"{name}_FILE: {path} cannot be read: {type(error).__name__}.") from error


def require_folder(folder: Path, variable: str) -> None:
    """Make the folder where it is missing. Raises ImproperlyConfigured that names the variable it comes from."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"{variable}: {folder} cannot be made: {error.strerror}.") from None


def require_production_safety(environment: Environment) -> None:
    """Raise ImproperlyConfigured listing every setting that production must not start with."""
    complaints = []
    secret = environment.text("SECRET_KEY")
    if (
        len(secret) < MIN_SECRET_KEY_LENGTH
        or len(set(secret)) < MIN_SECRET_KEY_VARIETY
        or secret.startswith((INSECURE_SECRET_KEY, GENERATED_KEY_PREFIX))
    ):
        complaints.append(f"SECRET_KEY must be set to at least {MIN_SECRET_KEY_LENGTH} random characters")
    if environment.flag("DEBUG"):
        complaints.append("DEBUG must be false")
    hosts = environment.names("ALLOWED_HOSTS")
    if not hosts or "*" in hosts:
        complaints.append("ALLOWED_HOSTS must list the host names that are served, and not *")
    if not environment.text("DATABASE_URL"):
        complaints.append("DATABASE_URL must be set (SQLite is possible, but only on purpose)")
    if environment.names("HARVESTER_ALLOWED_PRIVATE_HOSTS"):
        complaints.append("HARVESTER_ALLOWED_PRIVATE_HOSTS must be empty: it opens the private network to every source")
    if complaints:
        raise ImproperlyConfigured("ENVIRONMENT=production cannot start: " + "; ".join(complaints) + ".")
