"""What a probe takes while all is well, and a liveness probe while nothing is."""

from __future__ import annotations

import threading
import time

from tests.benchmarks.comparison.table import Row
from tests.benchmarks.health.faults import postgresql_url, redis_url, silent
from tests.benchmarks.health.ground import Ground
from tests.benchmarks.health.serving import LIVE, READY, Server, quantile, serving

_KINDS = ("sync", "gthread", "asgi")
_REQUESTS = 1_000
_WARMING = 30
_HUNG_DISK = "tests.benchmarks.health.project.HungDisk"


def live(ground: Ground) -> list[Row]:
    return [_live_speed(ground), _live_while_all_hangs(ground), _live_asks_nobody(ground)]


def ready(ground: Ground) -> list[Row]:
    return [_ready_speed(ground, kind) for kind in _KINDS]


def _live_speed(ground: Ground) -> Row:
    return _speed(ground, "sync", "live", LIVE, 1, 10)


def _live_while_all_hangs(ground: Ground) -> Row:
    """Readiness is asked all the time, so that all three are really waited for."""
    with silent() as database, silent() as redis:
        around = ground.healthy(
            "live-hung",
            database=postgresql_url(database.port),
            redis=redis_url(redis.port),
            checks={"disk": {"check": _HUNG_DISK}},
        )
        with serving("gthread", around) as server:
            is_over = threading.Event()

            def keep_asking() -> None:
                while not is_over.is_set():
                    server.get(READY)
                    is_over.wait(0.1)

            asking = threading.Thread(target=keep_asking)
            asking.start()
            time.sleep(0.3)
            try:
                answers = []
                for _ in range(_REQUESTS):
                    answers.append(server.get(LIVE))
                    time.sleep(0.002)  # 4 s in all: the runs time out, are interrupted and begin anew meanwhile
                hung = server.health_threads()
            finally:
                is_over.set()
                asking.join()
    in_time = sum(answer.status == 200 and answer.seconds < 0.1 for answer in answers)
    worst = max(answer.ms for answer in answers)
    return Row(
        "live while database, Redis and disk hang: 200 in < 100 ms",
        f"{_REQUESTS:,} of {_REQUESTS:,}",
        f"{in_time:,}",
        f"the slowest {worst:.1f} ms; hung then: {', '.join(sorted(set(hung) - {'health-watch'}))}",
        in_time == _REQUESTS,
        {"in_time": in_time, "worst_ms": worst},
    )


def _live_asks_nobody(ground: Ground) -> Row:
    with silent() as database, silent() as redis:
        around = ground.healthy("live-alone", database=postgresql_url(database.port), redis=redis_url(redis.port))
        with serving("sync", around) as server:
            for _ in range(100):
                server.get(LIVE)
            threads = server.health_threads()
        asked = database.total + redis.total
    return Row(
        "live: connections to database and Redis, 100 probes",
        "0",
        str(asked),
        f"{sum(threads.values())} threads of the checks",
        asked == 0,
        {"connections": asked},
    )


def _ready_speed(ground: Ground, kind: str) -> Row:
    return _speed(ground, kind, "ready", READY, 2, 15)


def _speed(ground: Ground, kind: str, probe: str, path: str, most_p50_ms: int, most_p99_ms: int) -> Row:
    with serving(kind, ground.healthy(f"{probe}-{kind}")) as server:
        times = _taken_in_turns(server, path, "/bare")
    ours, bare = times[path], times["/bare"]
    p50, p99 = quantile(ours, 0.5), quantile(ours, 0.99)
    bare_p50, bare_p99 = quantile(bare, 0.5), quantile(bare, 0.99)
    return Row(
        f"{probe}, one {kind} worker: p50 / p99 of {_REQUESTS:,}",
        f"≤ {most_p50_ms} / {most_p99_ms} ms",
        f"{p50:.2f} / {p99:.2f} ms",
        ground.beside(
            probe if probe == "live" else f"{probe} {kind}",
            f"a bare view {bare_p50:.2f} / {bare_p99:.2f}, the slowest {max(ours):.1f}",
        ),
        p50 <= most_p50_ms and p99 <= most_p99_ms,
        {"p50_ms": p50, "p99_ms": p99, "worst_ms": max(ours), "bare_p50_ms": bare_p50, "bare_p99_ms": bare_p99},
    )


def _taken_in_turns(server: Server, *paths: str) -> dict[str, list[float]]:
    """Milliseconds, on a new connection each; in turns, so that all see the same machine."""
    times: dict[str, list[float]] = {path: [] for path in paths}
    for number in range(_REQUESTS + _WARMING):
        for path in paths:
            answer = server.get(path)
            if number < _WARMING:
                continue
            if answer.status != 200:
                raise RuntimeError(f"{path} answers {answer.status}: {answer.body[:300]!r}")
            times[path].append(answer.ms)
    return times
