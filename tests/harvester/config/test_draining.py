"""Told to stop, the product drains first, in less time than it is given; `make run` does not wait for it."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from harvester.config.env import Environment
from health.gunicorn import drain_seconds
from tests.installation import HOUSE, installation
from tests.services import free_port

KUBERNETES_KILLS_AFTER_SECONDS = 30
PATIENCE_SECONDS = 30


def test_draining_and_finishing_take_less_than_kubernetes_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")  # or the configuration would set it, for all tests to come
    finishing = runpy.run_path(str(HOUSE / "gunicorn.conf.py"))["graceful_timeout"]
    draining = Environment({}).integer("HEALTH_DRAIN_SECONDS")
    assert draining == drain_seconds({})
    assert draining + finishing < KUBERNETES_KILLS_AFTER_SECONDS
    assert Environment({}).integer("HEALTH_TERMINATION_GRACE_SECONDS") == KUBERNETES_KILLS_AFTER_SECONDS


def test_it_goes_on_serving_when_it_is_told_to_stop(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    extra = {"PORT": str(port), "LOG_LEVEL": "INFO", "HEALTH_DRAIN_SECONDS": "300"}
    extra["HEALTH_TERMINATION_GRACE_SECONDS"] = "40"
    (tmp_path / "static").mkdir()  # whitenoise warns where there is none
    with installation(tmp_path, extra=extra) as ready, log.open("w") as stream:
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py"],
            cwd=HOUSE, env=ready.environment, stdout=stream, stderr=stream,
        )  # fmt: skip
        try:
            wait_until_it_answers(port, log)
            server.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while "Draining" not in log.read_text():
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            assert answers(port)
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE_SECONDS) == 0
        finally:
            server.kill()
            server.wait(PATIENCE_SECONDS)
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert [event for event in events if event.startswith("A pod is killed 40 s after")], "it was told when it started"
    assert [event for event in events if event.startswith("Drain")] == [
        "Draining: not ready, but serving for 300 s more, then up to 15 s for what is in flight",
        "Drained: stopping",
    ]


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/runs", timeout=10) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def wait_until_it_answers(port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not answers(port):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def told_by_the_procfile(folder: Path, process: str, variable: str, given: str | None) -> str:
    """What ``process`` gets to see of ``variable``, where the one who starts it has ``given`` one or none."""
    (folder / "python").write_text(f'#!/bin/sh\necho "${variable}"\n')
    (folder / "python").chmod(0o755)
    commands = dict(line.split(": ", 1) for line in (HOUSE / "Procfile").read_text().splitlines())
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"} | ({variable: given} if given else {})
    command = ["sh", "-c", commands[process]]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.rstrip("\n")


@pytest.mark.parametrize(("given", "seconds"), [(None, "0"), ("7", "7")], ids=str)
def test_the_procfile_drains_only_when_it_is_told_to(tmp_path: Path, given: str | None, seconds: str) -> None:
    """honcho, which `make run` starts, kills after 5 s what has not stopped, and nobody sends anything meanwhile."""
    assert told_by_the_procfile(tmp_path, "web", "HEALTH_DRAIN_SECONDS", given) == seconds


@pytest.mark.parametrize(("given", "port"), [(None, "9808"), ("0", "0"), ("9000", "9000")], ids=str)
def test_the_procfile_has_the_worker_serve_its_numbers(tmp_path: Path, given: str | None, port: str) -> None:
    assert told_by_the_procfile(tmp_path, "worker", "OBSERVABILITY_WORKER_PORT", given) == port
