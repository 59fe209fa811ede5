"""A real Prometheus scrapes the page and finds what was sent, and promtool finds nothing to say about it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tests.observability.guarded_settings import OBSERVABILITY_TOKEN
from tests.observability.processes import HOUSE, PREAMBLE, environment, run
from tests.services import REQUIRED, binary, free_port

PATIENCE_SECONDS = 60
REQUESTS = 200
TASKS = 7

MOVE_EVERYTHING = """
from observability.catalogue import Closed
from observability.exposition import get_metrics, render
from observability.live import Counter, Gauge, Histogram, families
for family in families():
    domains = [label.domain for label in family.metric.labels]
    labels = [domain.values[0] if isinstance(domain, Closed) else 'a \\\\ "b" {c}' for domain in domains]
    child = family.at(*labels)
    if isinstance(family, Histogram):
        child.observe(1.5)
    elif isinstance(family, Gauge):
        child.set(2.5)
    else:
        child.inc()
get_metrics()
"""
PRINT = """
from observability.exposition import get_metrics
sys.stdout.buffer.write(get_metrics())
"""


def required(name: str) -> str:
    found = binary(name)
    if found is None:
        reason = f"no {name} binary is on PATH"
        pytest.fail(reason) if REQUIRED else pytest.skip(reason)
    return found


def findings(page: str) -> str:
    """What promtool has to say about it."""
    done = subprocess.run(
        [required("promtool"), "check", "metrics"],
        input=page, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_promtool_finds_what_is_wrong() -> None:
    assert "total" in findings("# HELP bad_total Bad.\n# TYPE bad_total gauge\nbad_total 1\n")


@pytest.mark.parametrize("before", ["", MOVE_EVERYTHING], ids=["fresh", "moved"])
def test_promtool_finds_nothing_to_say(tmp_path: Path, before: str) -> None:
    lenient = {"DJANGO_SETTINGS_MODULE": "tests.observability.lenient_settings"}
    page = run(before + PRINT, tmp_path, **lenient) + "\n"
    assert page.count("# TYPE") > 10
    assert findings(page) == ""


def test_promtool_finds_nothing_to_say_of_one_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + MOVE_EVERYTHING + PRINT],
        env={**environment(Path()), "PROMETHEUS_MULTIPROC_DIR": "",
             "DJANGO_SETTINGS_MODULE": "tests.observability.lenient_settings"},
        cwd=HOUSE, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True,
    )  # fmt: skip
    assert findings(done.stdout) == ""


# --- a real one -------------------------------------------------------------------------------------------------------

CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - {{job_name: web, authorization: &guarded {{credentials: "{token}"}}, static_configs: &web [{{targets: ["{web}"]}}]}}
  - {{job_name: worker, authorization: *guarded, static_configs: &worker [{{targets: ["{worker}"]}}]}}
  - {{job_name: stranger, authorization: {{credentials: "wrong"}}, static_configs: *web}}
  - {{job_name: nobody, static_configs: *worker}}
"""
WORKER = """
from observability.conf import conf
from observability.worker_port import serve_in_background
server = serve_in_background(conf.worker_host, int(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    metrics.background_tasks_completed.at("harvest", "success").inc()
    metrics.background_task_duration.at("harvest").observe(3)
sys.stdin.readline()
"""


@dataclass
class Prometheus:
    port: int
    log: Path

    def query(self, expression: str) -> float | None:
        """Of the one series there is; None where there is none."""
        with urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?query={quote(expression)}", timeout=20) as response:
            result: list[Any] = json.load(response)["data"]["result"]
        assert len(result) <= 1
        return float(result[0]["value"][1]) if result else None

    def wait_for(self, expression: str, expected: float) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        found = None
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, HTTPException):
                if (found := self.query(expression)) == expected:
                    return
            time.sleep(0.2)
        pytest.fail(f"{expression} is {found} and not {expected}; Prometheus says:\n{self.log.read_text()}")


@contextlib.contextmanager
def process(command: list[str], log: Path, end: signal.Signals = signal.SIGKILL, **options: Any) -> Iterator[None]:
    with log.open("wb") as stream:
        running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stream, stderr=stream, **options)
        try:
            yield
        finally:
            running.send_signal(end)
            running.wait(PATIENCE_SECONDS)
            assert running.stdin is not None
            running.stdin.close()


def hello(port: int) -> int:
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)) as connection:
        connection.request("GET", "/hello/")
        return connection.getresponse().status


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    """It scrapes two web workers, which have answered nobody yet, and a worker that has done its tasks."""
    web, worker, own = free_port(), free_port(), free_port()
    settings = {"DJANGO_SETTINGS_MODULE": "tests.observability.guarded_settings"}
    gunicorn = [
        *(sys.executable, "-m", "gunicorn", "tests.observability.served:application", "--no-control-socket"),
        *("--bind", f"127.0.0.1:{web}", "--workers", "2", "--log-level", "error"),
    ]
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(
        CONFIGURATION.format(token=OBSERVABILITY_TOKEN, web=f"127.0.0.1:{web}", worker=f"127.0.0.1:{worker}")
    )
    server = [
        *(required("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path / 'data'}"),
        *(f"--web.listen-address=127.0.0.1:{own}", "--log.level=warn"),
    ]
    log = tmp_path / "prometheus.log"
    with (
        process(
            gunicorn, tmp_path / "web.log", signal.SIGQUIT, cwd=HOUSE, env=environment(tmp_path / "web", **settings)
        ),
        process(
            [sys.executable, "-c", PREAMBLE + WORKER, str(worker), str(TASKS)],
            tmp_path / "worker.log",
            cwd=HOUSE,
            env=environment(tmp_path / "worker", **settings),
        ),
        process(server, log, cwd=tmp_path),
    ):
        running = Prometheus(own, log)
        running.wait_for('up{job="web"}', 1)
        running.wait_for('up{job="worker"}', 1)
        yield Prometheus(own, log)


def web_port(prometheus: Prometheus) -> int:
    with urlopen(f"http://127.0.0.1:{prometheus.port}/api/v1/targets", timeout=20) as response:
        targets = json.load(response)["data"]["activeTargets"]
    (address,) = {target["labels"]["instance"] for target in targets if target["labels"]["job"] == "web"}
    return int(address.rpartition(":")[2])


def test_what_was_sent_is_what_is_found(prometheus: Prometheus) -> None:
    port = web_port(prometheus)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(hello, [port] * REQUESTS)) == [200] * REQUESTS
    of_hello = '{job="web",endpoint="hello/"}'
    prometheus.wait_for(f"sum(http_requests_total{of_hello})", REQUESTS)
    prometheus.wait_for(f"sum(http_request_duration_seconds_count{of_hello})", REQUESTS)
    prometheus.wait_for('sum(http_request_duration_seconds_bucket{job="web",endpoint="hello/",le="+Inf"})', REQUESTS)
    prometheus.wait_for('sum(http_requests_in_progress{job="web"})', 0)
    prometheus.wait_for('sum(background_tasks_completed_total{job="worker",task="harvest"})', TASKS)
    prometheus.wait_for('sum(background_task_duration_seconds_sum{job="worker"})', 3 * TASKS)
    pages = '{job="web",__name__="metrics_scrape_duration_seconds_count"}'
    seen = prometheus.query(f"sum({pages})") or 0
    prometheus.wait_for(f"sum({pages}) > bool {seen + 1}", 1)  # two more scrapes, and the sums are what they were
    prometheus.wait_for(f"sum(http_requests_total{of_hello})", REQUESTS)
    prometheus.wait_for('sum(http_requests_total{job="web"})', REQUESTS)  # scrapes are no requests
    prometheus.wait_for('up{job="stranger"}', 0)
    prometheus.wait_for('up{job="nobody"}', 0)
    prometheus.wait_for('metrics_skipped_files{job="web"}', 0)
    log = prometheus.log.read_text()
    assert not [word for word in ("duplicate", "out-of-order", "out of order", "append") if word in log.lower()], log
