"""A real worker takes a run that was asked for, over files as embedded and over Redis as grown up."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import services
from tests.fakes import rss, rss_item
from tests.installation import HOUSE, Installation, installation
from tests.loopback import Answer, loopback

PATIENCE_SECONDS = 60
# What the API does, without a browser's session: the run is queued and a worker is told.
ASK = "from harvester.actions import request_harvest; print(request_harvest(owner=None, trigger='api').pk)"
LIVES = "SELECT count(*) FROM harvester_workerheartbeat"


@pytest.fixture(params=["filesystem", "redis"])
def installed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    if request.param == "filesystem":
        with installation(tmp_path) as ready:
            yield ready
    else:
        with services.redis_server() as url, installation(tmp_path, extra={"REDIS_URL": url}) as ready:
            yield ready


def start_worker(installed: Installation) -> subprocess.Popen[str]:
    command = ["-m", "celery", "-A", "harvester.config", "worker", "--beat", "--concurrency", "1"]
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=HOUSE,
        env=installed.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


def test_a_queued_run_is_taken_and_worked(installed: Installation) -> None:
    document = rss(rss_item("1"), rss_item("2")).encode()
    with loopback(lambda _path, _headers: Answer(document)) as web:
        installed.manage("source", "add", "feed", "--name", "a feed", "--url", f"{web.address}/rss")
        run = int(installed.manage("shell", "-v", "0", "-c", ASK).stdout)
        worker = start_worker(installed)
        try:
            wait_until(lambda: installed.rows(f"SELECT status FROM harvester_run WHERE id = {run}") == [("succeeded",)])  # noqa: S608 - a number of ours
            assert installed.count(LIVES) == 1
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(PATIENCE_SECONDS)
    assert installed.count("SELECT count(*) FROM harvester_score") == 2
    assert installed.count(LIVES) == 0, "a worker that leaves says so"


def test_a_run_whose_message_was_lost_is_found_by_the_schedule(installed: Installation) -> None:
    lost = (
        "from datetime import timedelta; from django.utils import timezone; from harvester.models import Run;"
        "Run.objects.create(trigger='api', created_at=timezone.now() - timedelta(minutes=2));"
        "from harvester.tasks import sweep_runs; sweep_runs()"
    )
    installed.manage("shell", "-v", "0", "-c", lost)
    assert installed.rows("SELECT status FROM harvester_run") == [("succeeded",)]
