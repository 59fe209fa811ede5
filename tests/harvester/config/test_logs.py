"""Each line of the log says which request or task it belongs to, in the web and in the worker."""

from __future__ import annotations

import json
import logging
import logging.config
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django_guid import clear_guid, set_guid

from harvester.config.celery import app
from harvester.config.logs import logging_config
from tests.installation import HOUSE, installation
from tests.loopback import Answer, loopback

PATIENCE_SECONDS = 60
REQUEST_ID = "0123456789abcdef0123456789abcdef"
ASK = (
    "from django_guid import set_guid; from harvester.actions import request_harvest;"
    f"set_guid('{REQUEST_ID}'); request_harvest(owner=None, trigger='api')"
)


@pytest.fixture
def request_id() -> Iterator[str]:
    set_guid(REQUEST_ID)
    yield REQUEST_ID
    clear_guid()


def written(form: str, **extra: Any) -> str:
    config = logging_config(level="INFO", form=form)
    handler = logging.config.DictConfigurator(config)
    formatter = handler.configure_formatter(config["formatters"][form])
    record = logging.makeLogRecord({"name": "harvester", "msg": "said", "levelname": "INFO", **extra})
    handler.configure_filter(config["filters"]["request_id"]).filter(record)
    return str(formatter.format(record))


def test_a_line_for_people_has_the_id(request_id: str) -> None:
    assert f"[{request_id}] said" in written("text")


def test_a_line_of_no_request_says_so() -> None:
    assert "[-] said" in written("text")
    assert json.loads(written("json"))["request_id"] is None


def test_a_record_may_bring_its_own(request_id: str) -> None:
    assert json.loads(written("json"))["request_id"] == request_id
    assert json.loads(written("json", correlation_id="a"))["request_id"] == "a"


def test_a_worker_writes_the_id_of_the_request_that_asked(tmp_path: Path) -> None:
    log = tmp_path / "log"
    extra = {"LOG_LEVEL": "WARNING"}
    with (
        loopback(lambda _path, _headers: Answer(b"", 404)) as web,
        installation(tmp_path, extra=extra) as ready,
        log.open("w") as stream,
    ):
        ready.manage("source", "add", "feed", "--name", "a feed", "--url", f"{web.address}/rss")
        ready.manage("shell", "-v", "0", "-c", ASK)
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "--quiet", "-A", "harvester.config", "worker", "--concurrency", "1"],
            cwd=HOUSE, env=ready.environment, stdout=subprocess.DEVNULL, stderr=stream,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while "a feed" not in log.read_text():
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
        finally:
            worker.terminate()
            worker.wait(PATIENCE_SECONDS)
    lines = [json.loads(line) for line in log.read_text().splitlines() if "a feed" in line]
    assert {line["request_id"] for line in lines} == {REQUEST_ID}


def test_a_task_that_nobody_asked_for_has_an_id_of_its_own() -> None:
    seen: list[str] = []

    @app.task(name="tests.scheduled", shared=False)
    def scheduled() -> None:
        seen.append(json.loads(written("json"))["request_id"])

    scheduled.apply()
    scheduled.apply()
    app.tasks.unregister(scheduled)
    assert all(len(one) == 32 for one in seen)
    assert len(set(seen)) == 2
    assert json.loads(written("json"))["request_id"] is None
