"""Whether django-prometheus does a second time what is done here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage

from observability.conf import conf
from observability.system_checks.middleware import classes_of

_FOREIGN_MIDDLEWARE = "django_prometheus.middleware."
_FOREIGN_ENGINES = "django_prometheus.db.backends."
_FOREIGN_CACHES = "django_prometheus.cache.backends."


def check_neighbours() -> Iterator[CheckMessage]:
    """Of django-prometheus only what does something twice: its model mixin does nothing that is done here."""
    for path in settings.MIDDLEWARE or ():
        if any(name.startswith(_FOREIGN_MIDDLEWARE) for name in classes_of(path)):
            yield checks.Warning(
                f"{path} counts and times the requests that MetricsMiddleware counts and times, under other names.",
                hint="Take it out. Besides, it labels by whatever method a client invents, so that anybody can make as "
                "many series as they like.",
                id="observability.W011",
            )
    for alias, engine in _those_measured(settings.DATABASES, "ENGINE", conf.databases):
        if engine.startswith(_FOREIGN_ENGINES):
            yield checks.Warning(
                f"DATABASES[{alias!r}] has the engine {engine}, which times the queries that are timed here.",
                hint=f"Write django.db.backends.{engine.removeprefix(_FOREIGN_ENGINES)} (or GeoDjango's), or leave "
                f"{alias!r} out of OBSERVABILITY_DATABASES.",
                id="observability.W012",
            )
    for alias, backend in _those_measured(settings.CACHES, "BACKEND", conf.caches):
        if backend.startswith(_FOREIGN_CACHES):
            yield checks.Warning(
                f"CACHES[{alias!r}] has the backend {backend}, which counts the hits and misses that are counted here.",
                hint=f"Write the backend that it wraps, or leave {alias!r} out of OBSERVABILITY_CACHES.",
                id="observability.W013",
            )
    if apps.is_installed("django_prometheus") and getattr(settings, "PROMETHEUS_EXPORT_MIGRATIONS", False):
        yield checks.Warning(
            "PROMETHEUS_EXPORT_MIGRATIONS lets django-prometheus ask every database at the start of every process, for "
            "gauges whose names end in _total.",
            hint="Take it out: migrations_pending says how many wait.",
            id="observability.W014",
        )


def _those_measured(entries: Any, key: str, aliases: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    for alias, entry in entries.items():
        if aliases is None or alias in aliases:
            yield alias, str(entry.get(key, ""))
