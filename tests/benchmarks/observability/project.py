"""One Django project under the metrics that BENCH_KIND names: none, ours, django-prometheus or opentelemetry.

It needs Django and the named metrics only, since the peers' environments have it too. BENCH_DATABASE may be the port of
a PostgreSQL, and BENCH_SETTINGS more settings as JSON.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from prometheus_client.core import REGISTRY, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

KIND = os.environ["BENCH_KIND"]
ROUTES = int(os.environ.get("BENCH_ROUTES", "20"))
"""How many routes there are that only count; see ``exactness``."""

_PEER = "django_prometheus"
_APPS = {"ours": ["observability"], "django-prometheus": [_PEER]}
_MIDDLEWARE = {
    "ours": ["observability.middleware.MetricsMiddleware"],
    "django-prometheus": [
        f"{_PEER}.middleware.PrometheusBeforeMiddleware",
        f"{_PEER}.middleware.PrometheusAfterMiddleware",
    ],
}


def _database() -> dict[str, Any]:
    prefix = f"{_PEER}.db.backends" if KIND == "django-prometheus" else "django.db.backends"
    if port := os.environ.get("BENCH_DATABASE"):
        where = {"NAME": "postgres", "USER": "postgres", "HOST": "127.0.0.1", "PORT": port}
        return {"ENGINE": f"{prefix}.postgresql", "CONN_MAX_AGE": None, **where}
    return {"ENGINE": f"{prefix}.sqlite3", "NAME": ":memory:"}


def _cache() -> dict[str, Any]:
    prefix = f"{_PEER}.cache.backends" if KIND == "django-prometheus" else "django.core.cache.backends"
    return {"BACKEND": f"{prefix}.locmem.LocMemCache"}


_outermost = os.environ.get("BENCH_OUTERMOST")
_settings: dict[str, Any] = {
    "SECRET_KEY": "of the bench",
    "ALLOWED_HOSTS": ["*"],
    "ROOT_URLCONF": __name__,
    "INSTALLED_APPS": _APPS.get(KIND, []),
    "MIDDLEWARE": [*([_outermost] if _outermost else []), *_MIDDLEWARE.get(KIND, [])],
    "DATABASES": {"default": _database()},
    "CACHES": {"default": _cache()},
    "LOGGING_CONFIG": None,
    "USE_TZ": True,
}
settings.configure(**(_settings | json.loads(os.environ.get("BENCH_SETTINGS", "{}"))))
django.setup()
logging.disable(logging.CRITICAL)


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"ok")


def routed(request: HttpRequest) -> HttpResponse:
    """Writes that the view has begun where BENCH_JOURNAL says, so that the truth is known whatever happens next."""
    note(b"begun", request)
    return HttpResponse(b"ok")


def note(what: bytes, request: HttpRequest) -> None:
    """One write to a file that is only appended to: the kernel keeps it although the process is killed right after."""
    os.write(_journal(), b"%s %s\n" % (what, request.path_info.encode()))


_journals: dict[int, int] = {}


def _journal() -> int:
    """Every process opens it for itself."""
    process = os.getpid()
    if process not in _journals:
        _journals[process] = os.open(os.environ["BENCH_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    return _journals[process]


class Journal:
    """In front of everything: writes that a request is through the metrics as well."""

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        response = self._get_response(request)
        note(b"ended", request)
        return response


class Asking(Collector):
    """What a project writes that has prometheus_client alone: it asks the database whenever somebody scrapes."""

    def describe(self) -> Iterable[Family]:
        """Nothing: or it would be asked while it is registered, when django-prometheus cannot register its own."""
        return []

    def collect(self) -> Iterable[Family]:
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from pg_stat_activity")
            (count,) = cursor.fetchone()
        yield GaugeMetricFamily("db_connections_active", "Of the server.", value=count)


urlpatterns = [path("hello/", hello), *(path(f"r{number}/", routed, name=f"r{number}") for number in range(ROUTES))]
if KIND == "django-prometheus":
    from django_prometheus.exports import ExportToDjangoView  # type: ignore[import-untyped]  # it has no types

    urlpatterns.append(path("metrics", ExportToDjangoView))
if KIND == "django-prometheus" and "BENCH_DATABASE" in os.environ:
    REGISTRY.register(Asking())


def _instrument() -> None:
    from opentelemetry import metrics  # type: ignore[import-not-found]  # the peers' environment has it
    from opentelemetry.instrumentation.django import DjangoInstrumentor  # type: ignore[import-not-found]  # as above
    from opentelemetry.sdk.metrics import MeterProvider  # type: ignore[import-not-found]  # as above
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # type: ignore[import-not-found]  # as above

    provider = MeterProvider(metric_readers=[InMemoryMetricReader()])
    metrics.set_meter_provider(provider)
    DjangoInstrumentor().instrument(meter_provider=provider)


if KIND == "opentelemetry":
    _instrument()
application = get_wsgi_application()


# --- requests without a server ----------------------------------------------------------------------------------------


def environ(address: str) -> dict[str, Any]:
    """Of a GET request."""
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": address,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def answered(request: Mapping[str, Any]) -> None:
    """To the last byte, as a server does; an answer's status is not looked at, which would cost time."""
    response = application({**request, "wsgi.input": io.BytesIO(b"")}, _start)
    b"".join(response)
    response.close()


def _start(status: str, headers: Any, exc_info: Any = None) -> Any: ...
