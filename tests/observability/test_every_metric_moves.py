"""Every metric that the app declares is moved here by what it measures, and a metric without a mover is found."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeAlias

import pytest
from django.core.cache import caches
from django.db import DatabaseError, connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client
from django.urls import path
from prometheus_client.core import Metric as PrometheusFamily

from observability import collectors, get_metrics, metrics, record_error
from observability.collected import build, migrations, processes
from observability.collected import caches as cache_fill
from observability.collected import connections as connection_counts
from observability.collectors import forget_collected, read_collected, skipped_files
from observability.conf import forget_settled
from observability.live import Family
from observability.pulled import Pulled
from observability.registry import read_counted
from tests.observability.processes import PREAMBLE, environment
from tests.observability.servers import LONG_SECONDS, Postgresql, add_database, postgresql

__all__ = ("add_database", "postgresql")

pytestmark = pytest.mark.django_db

Values: TypeAlias = dict[tuple[str, tuple[str, ...]], float]
Mover: TypeAlias = Callable[[pytest.FixtureRequest], object]

_MODULES = (metrics, collectors, build, cache_fill, connection_counts, migrations, processes)


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


def streamed(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(b"x" for _ in range(3))


def broken(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError


urlpatterns = [path("hello/", hello), path("streamed/", streamed), path("broken/", broken)]


@pytest.fixture(autouse=True)
def project(settings: Any) -> Iterator[None]:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = ["observability.middleware.MetricsMiddleware"]
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "moving"}}
    settings.OBSERVABILITY_COLLECTORS = ()
    settings.OBSERVABILITY_DATABASES = ()
    forget_collected()
    yield
    forget_collected()


def ask(address: str) -> Any:
    return Client(raise_request_exception=False).get(address)


def ask_for_hello(_: pytest.FixtureRequest) -> object:
    return ask("/hello/")


def leave_a_stream_open(_: pytest.FixtureRequest) -> object:
    return ask("/streamed/")


def read_a_stream(_: pytest.FixtureRequest) -> object:
    return b"".join(ask("/streamed/").streaming_content)


def ask_for_what_breaks(_: pytest.FixtureRequest) -> object:
    return ask("/broken/")


def query(_: pytest.FixtureRequest) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("select 1")


def query_nonsense(_: pytest.FixtureRequest) -> None:
    with suppress(DatabaseError), connections["default"].cursor() as cursor:
        cursor.execute("select nonsense")


def connect(request: pytest.FixtureRequest) -> object:
    add, server = request.getfixturevalue("add_database"), request.getfixturevalue("postgresql")
    assert isinstance(server, Postgresql)
    alias = add(server.url)
    request.getfixturevalue("settings").OBSERVABILITY_DATABASES = (alias,)
    forget_settled()
    return connections[alias].cursor()


def find_in_cache(_: pytest.FixtureRequest) -> None:
    key = uuid.uuid4().hex
    caches["default"].set(key, 1)
    assert caches["default"].get(key) == 1


def miss_in_cache(_: pytest.FixtureRequest) -> None:
    assert caches["default"].get("nothing") is None


def work_a_task(_: pytest.FixtureRequest) -> None:
    from celery import Celery

    from observability import tasks

    tasks.install()

    def nothing() -> None: ...

    app = Celery("moving", broker="memory://", set_as_current=False)
    app.task(name="moving.task")(nothing).apply()


def leave_a_task_active(_: pytest.FixtureRequest) -> object:
    from celery import Celery

    from observability import tasks

    tasks.install()
    seen: list[Values] = []

    def look() -> None:
        seen.append(page())

    app = Celery("moving", broker="memory://", set_as_current=False)
    app.task(name="moving.busy")(look).apply()
    return seen


def record_an_error(_: pytest.FixtureRequest) -> None:
    record_error("moving")


def spend_a_budget(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("settings").OBSERVABILITY_STRICT = False
    metrics.errors.at("x" * 500, "error").inc()


def make_the_page(_: pytest.FixtureRequest) -> None:
    record_error(f"moving {uuid.uuid4().hex}")  # a series that the page before has not had
    get_metrics()


def break_a_collector(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("settings").OBSERVABILITY_COLLECTORS = ("tests.observability.nowhere.Collector",)


def wait_a_moment(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("settings").OBSERVABILITY_COLLECTORS = (f"{__name__}.Counting",)
    read_collected(LONG_SECONDS)
    time.sleep(0.05)


class Counting:
    """A collector that takes a while."""

    def collect(self) -> Iterator[PrometheusFamily]:
        time.sleep(0.01)
        yield from ()


def name_a_version(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("settings").OBSERVABILITY_VERSION = "moved"


def burn(_: pytest.FixtureRequest) -> object:
    """Time, memory, files and threads, all of this process."""
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    return bytearray(b"x") * 50_000_000, [socket.socket() for _ in range(3)]


MOVERS: dict[str, Mover] = {
    "http_requests_total": ask_for_hello,
    "http_request_duration_seconds": ask_for_hello,
    "http_requests_in_progress": leave_a_stream_open,
    "http_response_size_bytes": ask_for_hello,
    "http_streaming_duration_seconds": read_a_stream,
    "db_query_duration_seconds": query,
    "db_queries_total": query_nonsense,
    "db_queries_per_request": ask_for_hello,
    "db_connections_active": connect,
    "db_connections_max": connect,
    "migrations_pending": connect,
    "cache_hits_total": find_in_cache,
    "cache_misses_total": miss_in_cache,
    "cache_operation_duration_seconds": miss_in_cache,
    "cache_size_bytes": find_in_cache,
    "cache_items": find_in_cache,
    "background_tasks_active": leave_a_task_active,
    "background_tasks_completed_total": work_a_task,
    "background_task_duration_seconds": work_a_task,
    "errors_total": record_an_error,
    "exceptions_unhandled_total": ask_for_what_breaks,
    "metrics_dropped_series_total": spend_a_budget,
    "metrics_scrape_duration_seconds": make_the_page,
    "metrics_scrape_size_bytes": make_the_page,
    "metrics_scrape_samples": make_the_page,
    "metrics_collector_success": break_a_collector,
    "metrics_snapshot_age_seconds": wait_a_moment,
    "metrics_collector_duration_seconds": wait_a_moment,
    "build_details": name_a_version,
    "process_resident_memory_bytes": burn,
    "process_virtual_memory_bytes": burn,
    "process_cpu_seconds_total": burn,
    "process_open_fds": burn,
}
MOVED_BY_OTHERS = {
    "metrics_skipped_files": "a file that nobody can read",
    "process_max_fds": "another limit",
    "process_start_time_seconds": "another process",
    "process_threads": "another thread",
}
"""By processes of their own, below."""


def page() -> Values:
    """Every sample there is, with what collectors read anew."""
    families = [*read_counted().families.values(), *read_collected(LONG_SECONDS), skipped_files.family(0)]
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def of(values: Values, name: str) -> Values:
    """Those of one metric, whatever their suffix."""
    return {key: value for key, value in values.items() if key[0].startswith(name)}


def declared() -> set[str]:
    return {one.metric.name for module in _MODULES for one in vars(module).values() if isinstance(one, Family | Pulled)}


def test_no_metric_is_left_out() -> None:
    assert declared() == MOVERS.keys() | MOVED_BY_OTHERS.keys()


@pytest.mark.parametrize("name", MOVERS)
def test_it_moves(name: str, request: pytest.FixtureRequest) -> None:
    before = of(page(), name)
    forget_collected()
    kept = MOVERS[name](request)
    if name == "background_tasks_active":
        assert any(of(seen, name) != before for seen in kept)  # type: ignore[attr-defined]  # what it saw
        return
    if name != "metrics_snapshot_age_seconds":
        forget_collected()
    assert of(page(), name) != before
    if isinstance(kept, tuple):
        for opened in kept[1]:
            opened.close()


COUNTING = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (321, 4096))
metrics.errors.at("other", "error").inc()
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
"""


def test_what_tells_of_processes_moves_with_them(tmp_path: Any) -> None:
    """The page of one process, while another one lives that has other limits, another start and another thread."""
    with subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + COUNTING],
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (tmp_path / "counter_77.db").write_bytes(b"rubbish of no use")
        done = subprocess.run(
            [sys.executable, "-c", PREAMBLE + "from observability import get_metrics\nprint(get_metrics().decode())"],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        process.communicate("\n", timeout=30)
    found = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines() if line and not line.startswith("#"))
    assert float(found["metrics_skipped_files"]) == 1
    assert float(found['process_max_fds{slot="0"}']) == 321 != float(found['process_max_fds{slot="1"}'])
    assert float(found['process_threads{slot="0"}']) > 1
    starts = [float(found[f'process_start_time_seconds{{slot="{slot}"}}']) for slot in "01"]
    assert starts[0] < starts[1] <= time.time() + 1
