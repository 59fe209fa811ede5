"""The Celery check: a real worker's heart, and the cache in which it reports."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import signals
from celery.worker.heartbeat import Heart
from django.core.cache import caches

from health.checks import celery
from health.checks.celery import CeleryCheck, report_worker_heartbeat
from health.status import HealthStatus
from tests.services import free_port

SECRET = "planted-password"
FILES = "django.core.cache.backends.filebased.FileBasedCache"


class Eventer:
    """Celery's dispatcher of events, as far as a heart knows it."""

    def __init__(self) -> None:
        self.on_enabled: set[Any] = set()
        self.on_disabled: set[Any] = set()
        self.enabled = True

    def send(self, *_: Any, **__: Any) -> None: ...


class Timer:
    def call_repeatedly(self, *_: Any) -> None: ...


@pytest.fixture
def shared(settings: Any, tmp_path: Path) -> str:
    """The alias of a cache that processes share."""
    settings.CACHES = {**settings.CACHES, "shared": {"BACKEND": FILES, "LOCATION": str(tmp_path)}}
    return "shared"


@pytest.fixture(autouse=True)
def connected_for_the_test() -> Iterator[None]:
    yield
    for signal in (signals.worker_ready, signals.heartbeat_sent):
        signal.disconnect(dispatch_uid=celery._KEY)


def check(cache: str) -> CeleryCheck:
    return CeleryCheck(name="celery", cache=cache)


def reported(cache: str, seconds_ago: float) -> None:
    caches[cache].set(celery._KEY, time.time() - seconds_ago)


@pytest.mark.parametrize(
    ("seconds_ago", "status", "message"),
    [
        (3, HealthStatus.HEALTHY, "A worker reported 3 s ago."),
        (59, HealthStatus.HEALTHY, "A worker reported 59 s ago."),
        (61, HealthStatus.DEGRADED, "The last report of a worker is 61 s old."),
        (-30, HealthStatus.HEALTHY, "A worker reported 0 s ago."),
    ],
)
def test_the_age_of_the_last_report_decides(
    shared: str, seconds_ago: float, status: HealthStatus, message: str
) -> None:
    reported(shared, seconds_ago)
    finding = check(shared).run()
    assert (finding.status, finding.message) == (status, message)


def test_no_report_is_degraded(shared: str) -> None:
    assert check(shared).run().code == "silent"


def test_a_report_that_nobody_understands_is_none(shared: str) -> None:
    caches[shared].set(celery._KEY, SECRET)
    finding = check(shared).run()
    assert finding.code == "silent"
    assert SECRET not in finding.message


def test_a_beating_heart_reports(shared: str) -> None:
    report_worker_heartbeat(shared)
    Heart(Timer(), Eventer()).start()
    assert check(shared).run().code == "fresh"


def test_a_worker_that_is_ready_reports(shared: str) -> None:
    report_worker_heartbeat(shared)
    signals.worker_ready.send(sender=None)
    assert check(shared).run().code == "fresh"


def test_the_setting_says_where_to_report(settings: Any, shared: str) -> None:
    settings.HEALTH_CACHE = shared
    report_worker_heartbeat()
    signals.heartbeat_sent.send(sender=None)
    assert CeleryCheck(name="celery").run().code == "fresh"


def test_a_report_is_written_every_few_seconds(shared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("health.checks.celery.time.monotonic", lambda: now)
    report = celery._Reporter(shared)
    written = []
    for _ in range(12):  # one beat in two seconds
        caches[shared].delete(celery._KEY)
        report()
        written.append(caches[shared].get(celery._KEY) is not None)
        now += 2
    assert written == [True, False, False] * 4


def test_a_cache_that_fails_harms_no_worker(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.CACHES = {
        **settings.CACHES,
        "shared": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://:{SECRET}@127.0.0.1:{free_port()}/0",
        },
    }
    with caplog.at_level(logging.WARNING):
        celery._Reporter("shared")()
    assert "ConnectionError" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("backend", ["locmem.LocMemCache", "dummy.DummyCache"])
def test_a_cache_that_is_not_shared_is_refused(settings: Any, backend: str) -> None:
    settings.CACHES = {**settings.CACHES, "own": {"BACKEND": f"django.core.cache.backends.{backend}"}}
    with pytest.raises(ValueError, match="own"):
        CeleryCheck.expand("celery", {"cache": "own"})


def test_it_is_never_worse_than_degraded(shared: str) -> None:
    [made] = CeleryCheck.expand("celery", {"cache": shared, "stale_seconds": 10})
    assert (made.critical, made.worst) == (False, HealthStatus.DEGRADED)


def test_a_project_without_celery_can_import_it() -> None:
    code = "import sys; sys.modules['celery'] = None; import health.checks.celery"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
