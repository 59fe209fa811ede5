"""What every living process of the project takes: memory, processor time, files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from math import inf
from pathlib import Path

from prometheus_client.core import Metric as Family

from observability.catalogue import Budget, Kind, Label
from observability.multiprocess.slots import MOST_SLOTS, living_slots
from observability.pulled import Pulled
from observability.storage import storage

try:
    import psutil
except ImportError:  # /proc is enough, where there is one
    has_psutil = False
else:
    has_psutil = True

_slot = Label("slot", Budget(MOST_SLOTS))


def _of_each(name: str, help_text: str, kind: Kind = Kind.GAUGE) -> Pulled:
    return Pulled(name, f"{help_text}, of each process.", group="Processes", labels=(_slot,), kind=kind)


resident_memory = _of_each("process_resident_memory_bytes", "Memory in use")
virtual_memory = _of_each("process_virtual_memory_bytes", "Memory that is mapped, in use or not")
cpu_seconds = _of_each("process_cpu_seconds_total", "Processor time spent, in user and system mode", Kind.COUNTER)
open_fds = _of_each("process_open_fds", "Files and sockets that are open")
max_fds = _of_each("process_max_fds", "How many files and sockets may be open")
start_time = _of_each("process_start_time_seconds", "When it started, in seconds since 1970")
threads = _of_each("process_threads", "Threads")

_METRICS = (resident_memory, virtual_memory, cpu_seconds, open_fds, max_fds, start_time, threads)


class ProcessesCollector:
    """Of the processes that share the folder, by their slots; without one, of this process, as slot 0."""

    name = "processes"

    def collect(self) -> Iterable[Family]:
        slots = {storage.slot: os.getpid()} if storage.folder is None else living_slots(storage.folder)
        series: dict[Pulled, dict[tuple[str, ...], float]] = {metric: {} for metric in _METRICS}
        for slot, process in sorted(slots.items()):
            for metric, value in read_process(process):
                series[metric][(str(slot),)] = value
        for metric, values in series.items():
            yield metric.family(values)


def read_process(process: int) -> Iterator[tuple[Pulled, float]]:
    """What is known of a process; nothing of one that has ended meanwhile, or lives in another container."""
    return _by_psutil(process) if has_psutil else _by_proc(process)


def _by_psutil(process: int) -> Iterator[tuple[Pulled, float]]:
    with suppress(psutil.Error):
        one = psutil.Process(process)
        with one.oneshot():
            memory, times = one.memory_info(), one.cpu_times()
            yield resident_memory, memory.rss
            yield virtual_memory, memory.vms
            yield cpu_seconds, times.user + times.system
            yield start_time, one.create_time()
            yield threads, one.num_threads()
        yield open_fds, one.num_fds()  # of another user's process these two are not told
        yield max_fds, _limit(one.rlimit(psutil.RLIMIT_NOFILE)[0])


def _by_proc(process: int) -> Iterator[tuple[Pulled, float]]:
    folder = Path("/proc") / str(process)
    with suppress(OSError, ValueError, IndexError):
        # The name, the second field, may hold blanks and brackets itself. The fields' numbers are those of proc(5).
        fields = ["", "", "", *(folder / "stat").read_text().rpartition(")")[2].split()]
        ticks = os.sysconf("SC_CLK_TCK")
        yield resident_memory, float(fields[24]) * os.sysconf("SC_PAGE_SIZE")
        yield virtual_memory, float(fields[23])
        yield cpu_seconds, (float(fields[14]) + float(fields[15])) / ticks
        yield start_time, _booted_at() + float(fields[22]) / ticks
        yield threads, float(fields[20])
        yield open_fds, float(sum(1 for _ in (folder / "fd").iterdir()))
        limits = (folder / "limits").read_text().partition("Max open files")[2].split()
        yield max_fds, inf if limits[0] == "unlimited" else float(limits[0])


@cache
def _booted_at() -> float:
    return float(Path("/proc/stat").read_text().partition("\nbtime ")[2].split()[0])


def _limit(number: int) -> float:
    return inf if number < 0 else float(number)
