"""Counts lost or doubled while workers are killed, reloaded and replaced under load.

The project writes into a file that is only appended to when a view has begun, and when a request is through the
metrics, so that the truth is known: what is through must have been counted, once; what has not begun must not. A
request that a kill has met between the two may be counted or not. Each of many routes is judged by itself: no loss
in one is hidden by a double in another.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks.comparison.table import Row
from tests.benchmarks.observability.server import GTHREAD, PATIENCE_SECONDS, SYNC, Server, ask, serving

_ROUTES = 100
_WORKERS = 4
_CLIENTS = 6
_KILLS, _RELOADS = 30, 6
_PAUSE_SECONDS = 0.4
_REPLACED_AFTER = 150
_REPLACING_SECONDS = 15.0
_KINDS: dict[str, Sequence[str]] = {
    "gthread": GTHREAD,
    "gthread preloaded": (*GTHREAD, "--preload"),
    "sync": SYNC,
}
_REPLACING = ("--max-requests", str(_REPLACED_AFTER), "--max-requests-jitter", "50")


@dataclass
class _Load:
    """Clients that keep their connections and ask for routes by chance, until they are told to stop."""

    answered: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    """Answers other than 200."""


@dataclass(frozen=True)
class _Truth:
    begun: Counter[str]
    ended: Counter[str]


@dataclass(frozen=True)
class _Verdict:
    requests: int
    answered: int
    broken: int
    uncertain: int
    lost: int
    doubled: int
    lives: int
    files: int
    in_progress: float


def exactness(peers: Path | None) -> list[Row]:
    rows = []
    for name, options in _KINDS.items():
        rows.append(
            _row(f"{_KILLS} SIGKILLs, {_RELOADS} HUPs, {name}", _ordeal("ours", options, _kill_and_reload), None)
        )
    replacing = _ordeal("ours", (*SYNC, *_REPLACING), _let_replace)
    peer = _ordeal("django-prometheus", (*SYNC, *_REPLACING), _let_replace) if peers else None
    rows.append(_row("max_requests, sync", replacing, peer))
    return rows


def _row(what: str, found: _Verdict, peer: _Verdict | None) -> Row:
    beside = (
        f"{found.requests:,} begun, {found.answered:,} answered, {found.broken} broken, {found.uncertain} cut off "
        f"between view and count; {found.lives} workers, {found.files} files; left in progress {found.in_progress:.0f}"
    )
    if peer:
        beside += f"; django-prometheus {peer.lost}, {peer.doubled}; {peer.lives} workers, {peer.files} files"
    return Row(
        f"counts lost, doubled: {what}",
        "0, 0",
        f"{found.lost}, {found.doubled}",
        beside,
        found.lost == found.doubled == found.in_progress == 0,
        {"lost": found.lost, "doubled": found.doubled, "uncertain": found.uncertain, "requests": found.requests},
    )


def _ordeal(kind: str, options: Sequence[str], trouble: Callable[[Server, set[int]], None]) -> _Verdict:
    with tempfile.TemporaryDirectory(prefix="bench-metrics-") as scratch:
        folder, journal = Path(scratch) / "metrics", Path(scratch) / "journal"
        folder.mkdir()
        more = {"BENCH_JOURNAL": str(journal), "BENCH_OUTERMOST": f"{__package__}.project.Journal"}
        more["BENCH_ROUTES"] = str(_ROUTES)
        with serving(kind, options, workers=_WORKERS, folder=folder, more=more) as server:
            seen: set[int] = set()
            with _loaded(server) as load:
                trouble(server, seen)
            server.wait_until_it_serves()
            page = server.get("/metrics", {"Accept": "text/plain"})
            files = sum(1 for _ in folder.iterdir())
        if page.status != 200:
            raise RuntimeError(f"the page is answered with {page.status}")
        counted, in_progress = _told(page.body.decode())
        return _judged(load, _truth(journal), counted, in_progress, len(seen), files)


# --- the load ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _loaded(server: Server) -> Iterator[_Load]:
    load, is_over, lock = _Load(), threading.Event(), threading.Lock()
    threads = [threading.Thread(target=_ask, args=(server, load, is_over, lock)) for _ in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def _ask(server: Server, load: _Load, is_over: threading.Event, lock: threading.Lock) -> None:
    with contextlib.closing(HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)) as connection:
        while not is_over.is_set():
            path = f"/r{random.randrange(_ROUTES)}/"  # noqa: S311 - nobody guesses a route
            answer = ask(connection, path)
            with lock:
                if answer.status == 200:
                    load.answered[path] += 1
                elif answer.status == 0:
                    load.broken[path] += 1
                else:
                    load.refused += 1


# --- the trouble ------------------------------------------------------------------------------------------------------


def _kill_and_reload(server: Server, seen: set[int]) -> None:
    for number in range(_KILLS):
        time.sleep(_PAUSE_SECONDS)
        workers = server.workers()
        seen.update(workers)
        if workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(workers[number % len(workers)], signal.SIGKILL)
    for _ in range(_RELOADS):
        time.sleep(2 * _PAUSE_SECONDS)
        server.process.send_signal(signal.SIGHUP)
        seen.update(server.workers())
    time.sleep(5 * _PAUSE_SECONDS)
    seen.update(server.workers())


def _let_replace(server: Server, seen: set[int]) -> None:
    until = time.monotonic() + _REPLACING_SECONDS
    while time.monotonic() < until:
        seen.update(server.workers())
        time.sleep(0.02)


# --- the verdict ------------------------------------------------------------------------------------------------------


def _truth(journal: Path) -> _Truth:
    found: dict[str, Counter[str]] = {"begun": Counter(), "ended": Counter()}
    for line in journal.read_text().splitlines():
        what, path = line.split()
        if path.startswith("/r"):
            found[what][path] += 1
    return _Truth(found["begun"], found["ended"])


def _told(page: str) -> tuple[dict[str, dict[str, float]], float]:
    """Name of a metric that counts requests → path → its number; and how many are in progress, if that is told."""
    counted: dict[str, dict[str, float]] = {}
    in_progress = 0.0
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            name, route = sample.name, sample.labels.get("endpoint", "")
            if name.startswith("django_http_responses_total_by_status_view_method"):
                route = f"{sample.labels['view']}/"
            if name == "http_requests_in_progress":
                in_progress += sample.value
            elif name in _COUNTING and route.startswith("r"):
                by_path = counted.setdefault(name, {})
                by_path[f"/{route}"] = by_path.get(f"/{route}", 0.0) + sample.value
    return counted, in_progress


_COUNTING = (
    *("http_requests_total", "http_request_duration_seconds_count", "http_response_size_bytes_count"),
    "django_http_responses_total_by_status_view_method_total",
)


def _judged(
    load: _Load,
    truth: _Truth,
    counted: dict[str, dict[str, float]],
    in_progress: float,
    lives: int,
    files: int,
) -> _Verdict:
    lost = doubled = 0
    for by_path in counted.values():
        for path in truth.begun:
            found = int(by_path.get(path, 0))
            lost += max(0, truth.ended[path] - found, load.answered[path] - found)
            doubled += max(0, found - truth.begun[path])
    if not counted:
        raise RuntimeError("the page tells of no request")
    uncertain = truth.begun.total() - truth.ended.total()
    return _Verdict(
        truth.begun.total(),
        load.answered.total(),
        load.broken.total() + load.refused,
        uncertain,
        lost,
        doubled,
        lives,
        files,
        in_progress,
    )
