"""Many probes: do they take the service down, open connections and threads, or start a run each?"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from tests.benchmarks.comparison.table import Row
from tests.benchmarks.health.faults import Silent, postgresql_url, silent
from tests.benchmarks.health.ground import Ground
from tests.benchmarks.health.serving import READY, Answer, Server, flood, serving, serving_all, statuses

_STORM_SECONDS = 40
_KINDS = ("sync", "gthread", "asgi")
_PROBES = 1_000
_AT_ONCE = 50
_CROWD_PER_SECOND = 160
"""So that 1,000 probes take six seconds: a hung run is given up after two."""
_RATE, _RATE_SECONDS = 1_000, 10


def storm(ground: Ground) -> list[Row]:
    """As the peers' bench_storm: a probe each second with a second's patience, and a page half a second later."""
    with silent() as database:
        around = ground.healthy("storm", database=postgresql_url(database.port))
        with serving_all({kind: (kind, around) for kind in _KINDS}) as servers, ThreadPoolExecutor(len(_KINDS)) as all_:
            outcomes = dict(zip(servers, all_.map(_storm, servers.values()), strict=True))
    return [_storm_row(ground, kind, *outcome) for kind, outcome in outcomes.items()]


def _storm(server: Server) -> tuple[list[Answer], list[Answer]]:
    probes: list[Answer] = []
    pages: list[Answer] = []
    asking = []
    began = time.monotonic()
    for second in range(_STORM_SECONDS):
        probe = threading.Thread(target=lambda: probes.append(server.get(READY, 1.0)))
        probe.start()
        asking.append(probe)
        time.sleep(0.5)
        pages.append(server.get("/bare", 0.5))
        time.sleep(max(0.0, began + second + 1 - time.monotonic()))
    for probe in asking:
        probe.join()
    return probes, pages


def _storm_row(ground: Ground, kind: str, probes: list[Answer], pages: list[Answer]) -> Row:
    answered = sum(page.status == 200 for page in pages)
    worst = max(page.ms for page in pages)
    return Row(
        f"database hung, a probe a second: pages answered, {kind}",
        f"{_STORM_SECONDS} of {_STORM_SECONDS}",
        f"{answered} of {len(pages)}",
        ground.beside(f"storm {kind}", f"the slowest {worst:.1f} ms; probes {statuses(probes)}"),
        answered == _STORM_SECONDS,
        {"answered": answered, "worst_ms": worst},
    )


# --- 1,000 probes, 50 at a time, database hung ------------------------------------------------------------------------


def crowd(ground: Ground) -> list[Row]:
    return [_crowd(ground, kind) for kind in _KINDS]


def _crowd(ground: Ground, kind: str) -> Row:
    with silent() as database:
        with serving(kind, ground.healthy("crowd", database=postgresql_url(database.port))) as server:
            threads, answers = _crowd_at(server)
        return _crowd_row(ground, kind, database, threads, answers)


def _crowd_at(server: Server) -> tuple[Mapping[str, int], list[Answer]]:
    """The most threads of each name at once, and the answers."""
    most: Counter[str] = Counter()
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.05):
            most.update(
                {name: count - most[name] for name, count in server.health_threads().items() if count > most[name]}
            )

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        answers = flood(server, READY, _PROBES, at_once=_AT_ONCE, per_second=_CROWD_PER_SECOND)
    finally:
        is_over.set()
        watching.join()
    return most, answers


def _crowd_row(ground: Ground, kind: str, database: Silent, threads: Mapping[str, int], answers: list[Answer]) -> Row:
    of_a_check = max(count for name, count in threads.items() if name != "health-watch")
    return Row(
        f"database hung, 1,000 probes, 50 at once: connections, threads of a check, {kind}",
        "≤ 2, ≤ 2",
        f"{database.most}, {of_a_check}",
        ground.beside(
            f"crowd {kind}",
            f"{database.total} connections one after the other, {sum(threads.values())} threads in all; "
            f"{statuses(answers)}",
        ),
        database.most <= 2 and of_a_check <= 2,
        {"connections": database.most, "threads_of_a_check": of_a_check, "threads": sum(threads.values())},
    )


# --- 1,000 probes a second for 10 s, healthy --------------------------------------------------------------------------


def rate(ground: Ground) -> list[Row]:
    return [_rate(ground, kind) for kind in ("gthread", "asgi")]


def _rate(ground: Ground, kind: str) -> Row:
    with serving(kind, ground.healthy("rate", database=ground.postgresql.url("rate"))) as server:
        server.get(READY)
        began = time.monotonic()
        reached, how, told = _probes_a_second(server)
        ended = time.monotonic()
        checked = server.insides()["checked"]
    runs = {name: [at for at in times if began <= at <= ended] for name, times in checked.items()}
    most = max(_per_second(times) for times in runs.values())
    return Row(
        f"1,000 probes a second for 10 s: runs per check and second, {kind}",
        "≤ 1",
        f"{most:.2f}",
        f"{reached:.0f} probes/s reached ({how}; {told}); runs: "
        + ", ".join(f"{name} {len(times)}" for name, times in runs.items()),
        most <= 1,
        {"runs_per_second": most, "probes_per_second": reached},
    )


def _per_second(times: list[float]) -> float:
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0


def _probes_a_second(server: Server) -> tuple[float, str, str]:
    """By wrk as fast as it goes, else by threads of our own, which keep to the rate."""
    if wrk := shutil.which("wrk"):
        command = [wrk, "-t1", "-c8", f"-d{_RATE_SECONDS}s", f"http://127.0.0.1:{server.port}{READY}"]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = dict(line.strip().split(":", 1) for line in printed.splitlines() if ":" in line)
        return float(found["Requests/sec"]), "wrk, as fast as it goes", found.get("Non-2xx or 3xx responses", "all 200")
    began = time.monotonic()
    answers = flood(server, READY, _RATE * _RATE_SECONDS, at_once=8, per_second=_RATE, seconds=_RATE_SECONDS)
    return len(answers) / (time.monotonic() - began), "own threads", statuses(answers)
