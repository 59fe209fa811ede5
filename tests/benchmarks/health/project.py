"""One project that every kind of server serves: the probes, a bare view, and what the bench has to know of the process.

The environment says what it stands on: BENCH_DATABASE (a URL), BENCH_REDIS (a URL), BENCH_CHECKS (HEALTH_CHECKS as
JSON), BENCH_CONN_MAX_AGE (seconds, ``none`` or ``pool``) and BENCH_GATE (the file that opens the gate).
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import dj_database_url
import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from health.base import Check, Finding
from health.checks.disk import DiskCheck
from health.status import HealthStatus

_age = os.environ.get("BENCH_CONN_MAX_AGE", "0")
_database: dict[str, Any] = {**dj_database_url.parse(os.environ["BENCH_DATABASE"])}
if _age == "pool":
    _database["OPTIONS"] = {**_database.get("OPTIONS", {}), "pool": True}
else:
    _database["CONN_MAX_AGE"] = None if _age == "none" else int(_age)
settings.configure(
    SECRET_KEY="of the bench",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["health"],
    MIDDLEWARE=["health.middleware.HealthMiddleware"],
    DATABASES={"default": _database},
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["BENCH_REDIS"],
        }
    },
    HEALTH_CHECKS=json.loads(os.environ["BENCH_CHECKS"]),
    LOGGING_CONFIG=None,
    USE_TZ=True,
)
django.setup()
logging.disable(logging.CRITICAL)

from django.core.asgi import get_asgi_application  # noqa: E402 - Django has to be set up before
from django.core.wsgi import get_wsgi_application  # noqa: E402 - as above

from health.signals import component_checked, status_changed  # noqa: E402 - as above

_checked: dict[str, list[float]] = {}
_changes: list[tuple[float, str, str]] = []


def _never(path: str) -> NoReturn:
    threading.Event().wait()
    raise AssertionError


@dataclass(kw_only=True)
class HungDisk(DiskCheck):
    """What a dead network disk does to whoever asks it: no answer, and nothing that could be interrupted."""

    statvfs: Callable[[str], os.statvfs_result] = field(default=_never, repr=False)


@dataclass(kw_only=True)
class Gate(Check):
    """Passes once the file is there."""

    fresh_seconds: float = 0.001  # less than it is polled; 0 makes no check
    messages: ClassVar[dict[str, str]] = {"open": "It is open.", "closed": "It is closed."}

    def run(self) -> Finding:
        if Path(os.environ["BENCH_GATE"]).exists():
            return self.found(HealthStatus.HEALTHY, "open")
        return self.found(HealthStatus.UNHEALTHY, "closed")


def count(component: Any, **_: Any) -> None:
    _checked.setdefault(component.name, []).append(time.monotonic())


def note(component: Any, **_: Any) -> None:
    _changes.append((time.monotonic(), component.name, component.status))


component_checked.connect(count)
status_changed.connect(note)


def bare(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def insides(request: HttpRequest) -> HttpResponse:
    """Times are monotonic, one clock for all processes of this machine."""
    return JsonResponse(
        {"threads": [thread.name for thread in threading.enumerate()], "checked": _checked, "changes": _changes}
    )


urlpatterns = [path("bare", bare), path("insides", insides)]
application = get_wsgi_application()
asgi = get_asgi_application()
