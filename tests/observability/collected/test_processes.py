"""Every living process is on the page, by its slot, and costs little."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from math import inf
from pathlib import Path
from typing import Any

import psutil
import pytest

from observability.collected import processes
from observability.collected.processes import read_process
from observability.storage import VARIABLE, storage
from tests.observability.servers import LONG_SECONDS, settled, value

ROOT = Path(__file__).parents[3]
WORKER = """
import sys, time
import django
django.setup()
from observability.metrics import errors
errors.at("collector", "error").inc(0)
print("ready", flush=True)
time.sleep(60)
"""
READER = """
import django
django.setup()
from observability.collectors import read_collected
print({sample.labels["slot"]: sample.value for family in read_collected()
       if family.name == "process_resident_memory_bytes" for sample in family.samples})
"""


@pytest.fixture(params=["psutil", "proc"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With and without psutil."""
    way: str = request.param
    monkeypatch.setattr(processes, "has_psutil", way == "psutil")
    if way == "proc":
        assert Path("/proc/self/stat").exists()
    return way


def read(process: int) -> dict[str, float]:
    return {metric.name: number for metric, number in read_process(process)}


def test_this_process_is_slot_0_where_it_is_alone(way: str) -> None:
    if storage.is_shared:
        pytest.fail(f"these tests want no {VARIABLE}")
    families = settled()
    one = psutil.Process()
    assert value(families, "process_resident_memory_bytes", slot="0") == pytest.approx(one.memory_info().rss, rel=0.1)
    assert value(families, "process_virtual_memory_bytes", slot="0") == pytest.approx(one.memory_info().vms, rel=0.1)
    assert value(families, "process_start_time_seconds", slot="0") == pytest.approx(one.create_time(), abs=2)
    assert value(families, "process_max_fds", slot="0") == one.rlimit(psutil.RLIMIT_NOFILE)[0]
    assert families["process_cpu_seconds"].type == "counter"
    cpu = families["process_cpu_seconds"].samples[0]
    assert cpu.name == "process_cpu_seconds_total"
    assert cpu.value == pytest.approx(sum(one.cpu_times()[:2]), abs=1)


def test_files_and_threads_move_the_numbers(way: str) -> None:
    before = read(os.getpid())
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    with Path(os.devnull).open(), Path(os.devnull).open():
        after = read(os.getpid())
    done.set()
    thread.join()
    assert after["process_open_fds"] == before["process_open_fds"] + 2
    assert after["process_threads"] == before["process_threads"] + 1


def test_processor_time_and_memory_move_the_numbers(way: str) -> None:
    before = read(os.getpid())
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    kept = b"x" * 30_000_000
    after = read(os.getpid())
    assert after["process_cpu_seconds_total"] > before["process_cpu_seconds_total"]
    assert after["process_resident_memory_bytes"] > before["process_resident_memory_bytes"] + len(kept) / 2


def test_a_process_that_has_ended_has_no_numbers(way: str) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait(LONG_SECONDS)
    assert read(ended.pid) == {}


def test_without_a_limit_the_limit_is_infinite(way: str) -> None:
    code = "import resource, time; resource.setrlimit(resource.RLIMIT_NOFILE, (10, 20)); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as limited:
        assert limited.stdout is not None
        limited.stdout.readline()
        assert read(limited.pid)["process_max_fds"] == 10
        limited.communicate("\n", LONG_SECONDS)
    assert processes._limit(-1) == inf


def test_a_process_is_read_in_a_millisecond(way: str) -> None:
    read(os.getpid())
    times = []
    for _ in range(50):
        began = time.perf_counter()
        read(os.getpid())
        times.append(time.perf_counter() - began)
    assert sorted(times)[len(times) // 4] < 0.01  # ten times the goal


def test_every_living_process_that_shares_the_folder_has_its_slot(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.observability.settings",
        VARIABLE: str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        read_once = [sys.executable, "-c", READER]
        assert set(_printed(read_once, environment)) == {"0", "1", "2", "3"}
        workers[1].kill()
        workers[1].wait(LONG_SECONDS)
        left = _printed(read_once, environment)
        assert len(left) == 3  # the reader has taken the slot of the dead one
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate(timeout=LONG_SECONDS)


def _printed(command: list[str], environment: dict[str, str]) -> Any:
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return eval(done.stdout)  # noqa: S307 - printed by the line above


def test_the_versions_are_told(settings: Any) -> None:
    import platform

    import django

    settings.OBSERVABILITY_VERSION = "1.2.3"
    labels = {"version": "1.2.3", "python": platform.python_version(), "django": django.get_version()}
    assert value(settled(), "build_details", **labels) == 1
