"""The two ends of a server's life: what it says before it has started, and after it was told to stop."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests import services
from tests.benchmarks.comparison.table import Row
from tests.benchmarks.health.faults import postgresql_url
from tests.benchmarks.health.ground import Ground
from tests.benchmarks.health.serving import READY, STARTUP, Answer, Server, quantile, serving, started, statuses
from tests.relay import Relay

_DRAIN_SECONDS = 4.0
_WINDOW_SECONDS = 3.0
_NOT_READY_SECONDS = 0.2
_PER_SECOND = 50

_STARTS = 50
_STARTS_AT_ONCE = 2
_POLL_SECONDS = 0.01
_CLOSED_SECONDS = 0.7
"""From the first answer of the server to the moment when the last thing that it needs is there."""
_GATE = "tests.benchmarks.health.project.Gate"


# --- the end ----------------------------------------------------------------------------------------------------------


def drain(ground: Ground) -> list[Row]:
    return [_drain(ground, kind) for kind in ("sync", "gthread", "asgi")]


def _drain(ground: Ground, kind: str) -> Row:
    pages: list[Answer] = []
    probes: list[Answer] = []
    asking: list[threading.Thread] = []

    def ask(path: str, answers: list[Answer]) -> None:
        thread = threading.Thread(target=lambda: answers.append(server.get(path)))
        thread.start()
        asking.append(thread)

    with serving(kind, ground.healthy(f"drain-{kind}"), _DRAIN_SECONDS) as server:
        server.wait_until_healthy()
        began, told_at = time.monotonic(), 0.0
        for number in range(int(_PER_SECOND * (_WINDOW_SECONDS + 1))):
            time.sleep(max(0.0, began + number / _PER_SECOND - time.monotonic()))
            if not told_at and number >= _PER_SECOND:
                told_at = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
            ask("/bare", pages)
            ask(READY, probes)
        for thread in asking:
            thread.join()
        exit_code = server.process.wait(30)
    after = [answer for answer in pages if answer.at > told_at]
    failed = sum(answer.status != 200 for answer in pages)
    not_ready = min((one.at + one.seconds - told_at for one in probes if one.status == 503), default=float("inf"))
    return Row(
        f"SIGTERM at 50 connections/s: not ready after, failed in 3 s, exit, {kind}",
        "≤ 0.2 s, 0, 0",
        f"{not_ready:.2f} s, {failed}, {exit_code}",
        ground.beside(f"drain {kind}", f"pages after SIGTERM {statuses(after)}"),
        not_ready <= _NOT_READY_SECONDS and failed == 0 and exit_code == 0,
        {"not_ready_seconds": not_ready, "failed": failed, "exit_code": exit_code},
    )


# --- the beginning ----------------------------------------------------------------------------------------------------


@dataclass
class _Start:
    early: int = 0
    polls: int = 0
    open_seconds: float = float("inf")
    """From the moment when all was there to the first 200."""
    statuses: Counter[str] = field(default_factory=Counter)


def startup(ground: Ground) -> list[Row]:
    """In turns by a check that passes late, and by a database whose server listens late."""
    with ThreadPoolExecutor(_STARTS_AT_ONCE) as at_once:
        ways = [_behind_a_gate, _before_the_database]
        starts = list(at_once.map(lambda number: ways[number % len(ways)](ground), range(_STARTS)))
    early = sum(start.early for start in starts)
    after = [start.open_seconds for start in starts]
    seen = sum((start.statuses for start in starts), Counter[str]())
    before = ", ".join(f"{name} × {count}" for name, count in sorted(seen.items()))
    typical, worst = quantile(after, 0.5), max(after)
    return [
        Row(
            f"{_STARTS} starts polled every 10 ms: 200 before the first full pass",
            "0",
            str(early),
            f"{sum(start.polls for start in starts):,} polls; 200 came {typical:.2f} s after all was there, "
            f"at most {worst:.2f} s; before: {before}",
            early == 0 and worst < float("inf"),
            {"early": early, "open_p50_seconds": typical, "open_worst_seconds": worst},
        )
    ]


def _behind_a_gate(ground: Ground) -> _Start:
    with tempfile.TemporaryDirectory() as folder:
        gate = Path(folder) / "open"
        around = ground.healthy("start", checks={"gate": _GATE}, gate=str(gate))
        with started("sync", around) as server:
            return _poll(server, gate.touch)


def _before_the_database(ground: Ground) -> _Start:
    port = services.free_port()
    with contextlib.ExitStack() as stack:

        def begin_to_listen() -> None:
            link = Relay("127.0.0.1", ground.postgresql.port, port)
            stack.callback(link.close)

        server = stack.enter_context(started("sync", ground.healthy("start", database=postgresql_url(port))))
        return _poll(server, begin_to_listen)


def _poll(server: Server, make_complete: Callable[[], object]) -> _Start:
    start = _Start()
    answered_at = complete_at = 0.0
    until = time.monotonic() + 60
    while time.monotonic() < until:
        answer = server.get(STARTUP, 1.5)
        start.polls += 1
        if not isinstance(answer.status, str) and not answered_at:
            answered_at = time.monotonic()
        if answer.status == 200 and not complete_at:
            start.early += 1
        if not complete_at:
            start.statuses[str(answer.status)] += 1
            if answered_at and time.monotonic() > answered_at + _CLOSED_SECONDS:
                complete_at = time.monotonic()
                make_complete()
        elif answer.status == 200:
            start.open_seconds = time.monotonic() - complete_at
            break
        time.sleep(_POLL_SECONDS)
    return start
