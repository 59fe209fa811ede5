"""The Celery check: a real worker's heart, and the cache in which it reports."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from celery import signals
from celery.worker.heartbeat import Heart
from django.core.cache import caches
from django.core.management import call_command
from django.db import OperationalError, connections
from django_redis.pool import ConnectionFactory

from health.checks import celery
from health.checks.celery import CeleryCheck, report_worker_heartbeat
from health.status import HealthStatus
from tests.health.checks.conftest import AddDatabase, Postgresql
from tests.health.checks.faults import in_background, open_files, silent_server, until
from tests.services import RedisProcess, free_port, redis_process

SECRET = "planted-password"
DJANGO = "django.core.cache.backends.redis.RedisCache"
DJANGO_REDIS = "django_redis.cache.RedisCache"
TABLE = "django.core.cache.backends.db.DatabaseCache"
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


@pytest.fixture(scope="module")
def server() -> Iterator[RedisProcess]:
    with redis_process() as running:
        yield running


AddCache = Callable[..., str]


@pytest.fixture
def add_cache(settings: Any) -> AddCache:
    """Adds a cache to CACHES for the test, and says its alias."""

    def add(backend: str, location: Any, **entry: Any) -> str:
        entry = {"BACKEND": backend, "LOCATION": location, **entry}
        settings.CACHES = {**settings.CACHES, "shared": entry}
        return "shared"

    return add


@pytest.mark.filterwarnings("ignore:get on sharded client")  # the library warns of itself
@pytest.mark.parametrize(
    ("backend", "options"),
    [
        (DJANGO, {}),
        (DJANGO_REDIS, {}),
        (DJANGO_REDIS, {"COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor"}),
        (DJANGO_REDIS, {"CLIENT_CLASS": "django_redis.client.ShardClient"}),
        (DJANGO_REDIS, {"CLIENT_CLASS": "django_redis.client.HerdClient"}),
    ],
)
def test_a_redis_is_read_as_the_cache_writes_it_and_no_connection_is_left(
    add_cache: AddCache, server: RedisProcess, backend: str, options: dict[str, Any]
) -> None:
    cache = add_cache(backend, server.url, OPTIONS=options, KEY_PREFIX="ours", VERSION=7)
    celery._Reporter(cache)()
    with redis.Redis(port=server.port) as client:
        client.execute_command("CLIENT", "KILL", "SKIPME", "yes", "TYPE", "normal")
        one = check(cache)
        files = open_files()
        assert {one.run().code for _ in range(3)} == {"fresh"}
        assert open_files() == files
        until(lambda: len(client.client_list()) == 1)


@pytest.mark.parametrize("backend", [DJANGO, DJANGO_REDIS])
def test_a_redis_that_hangs_is_given_up_and_costs_the_requests_nothing(add_cache: AddCache, backend: str) -> None:
    with silent_server() as port:
        url = f"redis://:{SECRET}@127.0.0.1:{port}/0"
        one = CeleryCheck(name="celery", cache=add_cache(backend, url), deadline_seconds=0.2)
        began_at = time.monotonic()
        files = open_files()
        with pytest.raises(redis.TimeoutError):
            one.run()
        assert 0.2 < time.monotonic() - began_at < 0.8
        assert open_files() == files
        assert url not in ConnectionFactory._pools


@pytest.mark.parametrize("backend", [DJANGO, DJANGO_REDIS])
def test_a_redis_that_hangs_is_interrupted(add_cache: AddCache, backend: str) -> None:
    with silent_server() as port:
        cache = add_cache(backend, f"redis://127.0.0.1:{port}/1")
        one = CeleryCheck(name="celery", cache=cache, deadline_seconds=30)
        outcome = in_background(one.run)
        time.sleep(0.3)
        assert not outcome.done()
        one.interrupt()
        assert isinstance(outcome.exception(1), redis.ConnectionError)


@pytest.fixture
def in_postgresql(settings: Any, postgresql: Postgresql, scratch_url: str, add_database: AddDatabase) -> Iterator[str]:
    """The alias of a cache in a table of a real database, whose connections are kept as a project would have them."""
    other = add_database(scratch_url, CONN_MAX_AGE=60, OPTIONS=postgresql.options)
    settings.DATABASE_ROUTERS = [f"{__name__}.Router"]
    settings.CACHES = {**settings.CACHES, "shared": {"BACKEND": TABLE, "LOCATION": "cached"}}
    call_command("createcachetable", database=other)
    reported("shared", 3)
    connections[other].close()
    until(lambda: not postgresql.backends())
    return "shared"


class Router:
    """The cache's table is in the other database."""

    def db_for_read(self, model: Any, **_: Any) -> str | None:
        return "other" if model._meta.app_label == "django_cache" else None

    db_for_write = db_for_read

    def allow_migrate_model(self, db: str, _: Any) -> bool:
        return db == "other"

    def allow_migrate(self, db: str, label: str, **_: Any) -> bool | None:
        return db == "other" if label == "django_cache" else None


def test_a_cache_in_a_database_is_read_and_no_connection_is_left(in_postgresql: str, postgresql: Postgresql) -> None:
    one = check(in_postgresql)
    assert [one.run().code for _ in range(3)] == ["fresh"] * 3
    until(lambda: not postgresql.backends())


def test_a_cache_in_a_database_that_hangs_is_interrupted_and_read_again(
    in_postgresql: str, scratch_url: str, postgresql: Postgresql
) -> None:
    one = check(in_postgresql)
    with psycopg.connect(scratch_url) as locker:
        locker.execute("lock table cached in access exclusive mode")
        outcome = in_background(one.run)
        time.sleep(0.5)
        assert not outcome.done()
        one.interrupt()
        assert isinstance(outcome.exception(2), OperationalError)
    assert one.run().code == "fresh"


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
