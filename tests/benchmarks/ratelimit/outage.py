"""What a request waits while Redis is away, how soon Redis is used again, and how much memory a crowd takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.comparison.table import Row
from tests.benchmarks.comparison.workers import Worker
from tests.benchmarks.ratelimit.rounds import Runner, timed_rounds
from tests.benchmarks.ratelimit.workers import our_worker
from tests.services import RedisProcess, redis_process

_READ_TIMEOUT_MS = 50  # RATELIMIT_READ_TIMEOUT_SECONDS, as shipped
_TRIALS = 5
_ROUNDS = 15
_REQUESTS = 60
_DECISIONS = 5_000
_PATIENCE_SECONDS = 10
_ADDRESSES = 1_000_000


@dataclass(frozen=True)
class _Trial:
    first_ms: float
    """The first request after Redis went away, as a whole."""
    later_us: list[float]
    """Decisions after it."""
    back_seconds: float
    """From the moment Redis answered again to the first decision by it."""


def while_away() -> list[Row]:
    with redis_process() as server, our_worker("redis", server.url) as worker:
        hung = [_hung(server, worker, number / _TRIALS) for number in range(_TRIALS)]
        killed = [_killed(server, worker, number / _TRIALS) for number in range(_TRIALS)]
        added = _added_while_hung(server, worker)
    return [_first_row(hung, killed), _later_row(hung, added), _back_row(hung, killed)]


def crowd() -> Row:
    with redis_process() as server, our_worker("redis", server.url) as worker:
        _connect(worker)
        server.kill()
        started = time.monotonic()
        result = worker.ask("crowd", addresses=_ADDRESSES)
        seconds = time.monotonic() - started
    grown, backends = result["grown_mb"], result["backends"]
    return Row(
        "memory growth, 1,000,000 addresses during an outage",
        "≤ 20 MB",
        f"{grown:.1f} MB",
        f"{seconds / _ADDRESSES * 1e6:.1f} µs each; decided by {', '.join(backends)}",
        grown <= 20 and list(backends) == ["memory"],
        {"grown_mb": grown, "seconds": seconds},
    )


def _connect(worker: Worker) -> None:
    worker.ask("decided_by", backend="redis", patience_seconds=_PATIENCE_SECONDS)
    worker.ask("median_us", target="limited WSGI", count=20)


def _hung(server: RedisProcess, worker: Worker, phase: float) -> _Trial:
    _connect(worker)
    server.hang()
    first_ms = worker.ask("request_ms")
    later_us = worker.ask("latencies_us", count=_DECISIONS)
    time.sleep(phase)
    server.go_on()
    return _Trial(first_ms, later_us, _seconds_until_back(worker))


def _killed(server: RedisProcess, worker: Worker, phase: float) -> _Trial:
    _connect(worker)
    server.kill()
    first_ms = worker.ask("request_ms")
    later_us = worker.ask("latencies_us", count=_DECISIONS)
    time.sleep(phase)
    server.start()
    return _Trial(first_ms, later_us, _seconds_until_back(worker))


def _seconds_until_back(worker: Worker) -> float:
    returned = time.monotonic()
    back = worker.ask("decided_by", backend="redis", patience_seconds=_PATIENCE_SECONDS)
    return float("inf") if back is None else max(back - returned, 0.0)


def _added_while_hung(server: RedisProcess, worker: Worker) -> float:
    """Microseconds that the limiter adds to each later request."""
    _connect(worker)
    server.hang()
    worker.ask("request_ms")
    bare, limited = Runner(worker, "bare WSGI"), Runner(worker, "limited WSGI")
    times = timed_rounds([bare, limited], _ROUNDS, _REQUESTS)
    server.go_on()
    return median(times.added(limited, bare))


def _first_row(hung: list[_Trial], killed: list[_Trial]) -> Row:
    most = _READ_TIMEOUT_MS + 10
    typical, worst = median(trial.first_ms for trial in hung), max(trial.first_ms for trial in hung)
    killed_ms = median(trial.first_ms for trial in killed)
    return Row(
        "Redis hung: the first request",
        f"≤ {most} ms",
        f"{typical:.1f} ms",
        f"the worst of {len(hung)} {worst:.1f} ms; Redis killed {killed_ms:.1f} ms",
        typical <= most,
        {"hung_ms": typical, "hung_worst_ms": worst, "killed_ms": killed_ms},
    )


def _later_row(hung: list[_Trial], added: float) -> Row:
    decisions = sorted(taken for trial in hung for taken in trial.later_us)
    typical, late = median(decisions), decisions[int(len(decisions) * 0.99)]
    return Row(
        "Redis hung: added to later requests",
        "≤ 20 µs",
        f"+{added:.1f} µs",
        f"a decision {typical:.1f} µs, p99 {late:.1f}, worst {decisions[-1]:.0f}",
        added <= 20,
        {"added_us": added, "decision_us": typical, "decision_p99_us": late, "decision_worst_us": decisions[-1]},
    )


def _back_row(hung: list[_Trial], killed: list[_Trial]) -> Row:
    worst_hung, worst_killed = max(trial.back_seconds for trial in hung), max(trial.back_seconds for trial in killed)
    worst = max(worst_hung, worst_killed)
    return Row(
        f"back on Redis after its return, the worst of {len(hung) + len(killed)}",
        "≤ 1.2 s",
        f"{worst:.2f} s",
        f"hung {worst_hung:.2f} s, restarted {worst_killed:.2f} s",
        worst <= 1.2,
        {"hung_seconds": worst_hung, "restarted_seconds": worst_killed},
    )
