"""Requests per second of a real gunicorn under wrk, with the metrics and without, and what CPU each takes."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.benchmarks.comparison.table import Row
from tests.benchmarks.observability.server import GTHREAD, Server, serving

_KINDS = ("none", "ours", "django-prometheus")
_ROUNDS = 8
_SECONDS = 2
_WORKERS = {"one process": 1, "several": 4}
_GOALS = {"one process": 0.85, "several": 0.80}


class _Round(NamedTuple):
    per_second: float
    cpu_us: float
    """Of the workers, for each request: what foreign load spoils less."""


def served(peers: Path | None) -> list[Row]:
    if shutil.which("wrk") is None:
        return [Row("requests/s in gunicorn", "", "not measured", "there is no wrk on PATH", None, {})]
    return [_row(where) for where in _WORKERS]


def _row(where: str) -> Row:
    with contextlib.ExitStack() as stack:
        servers = {kind: stack.enter_context(_server(kind, _WORKERS[where])) for kind in _KINDS}
        rounds = _rounds(servers)
    bare = rounds["none"]
    shares = {kind: _median(one.per_second / none.per_second for one, none in _pairs(rounds, kind)) for kind in _KINDS}
    by_cpu = {kind: _median(none.cpu_us / one.cpu_us for one, none in _pairs(rounds, kind)) for kind in _KINDS}
    rate, cpu_us = _median(one.per_second for one in bare), _median(one.cpu_us for one in bare)
    share, peer, goal = shares["ours"], shares["django-prometheus"], _GOALS[where]
    return Row(
        f"the same in gunicorn (gthread) under wrk, {where}",
        f"≥ {goal:.2f}",
        f"{share:.2f}",
        f"django-prometheus {peer:.2f}; {rate:,.0f} requests/s without; by the workers' CPU ({cpu_us:.0f} µs without) "
        f"{by_cpu['ours']:.2f}, django-prometheus {by_cpu['django-prometheus']:.2f}",
        share >= goal,
        {"share": share, "django-prometheus, share": peer, "share_by_cpu": by_cpu["ours"], "without": rate},
    )


def _median(values: Iterable[float]) -> float:
    return median(list(values))


def _pairs(rounds: Mapping[str, Sequence[_Round]], kind: str) -> Iterator[tuple[_Round, _Round]]:
    return zip(rounds[kind], rounds["none"], strict=True)


@contextlib.contextmanager
def _server(kind: str, workers: int) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="bench-metrics-") as folder:
        shared = Path(folder) if workers > 1 and kind != "none" else None
        with serving(kind, GTHREAD, workers=workers, folder=shared) as server:
            yield server


def _rounds(servers: Mapping[str, Server]) -> dict[str, list[_Round]]:
    rounds: dict[str, list[_Round]] = {kind: [] for kind in servers}
    kinds = list(servers)
    for number in range(-1, _ROUNDS):
        start = number % len(kinds)
        for kind in (*kinds[start:], *kinds[:start]):
            one = _wrk(servers[kind])
            if number >= 0:
                rounds[kind].append(one)
    return rounds


def _wrk(server: Server) -> _Round:
    url = f"http://127.0.0.1:{server.port}/hello/"
    command = ["wrk", "-t1", "-c8", f"-d{_SECONDS}s", url]
    before = server.cpu_seconds()
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    taken = server.cpu_seconds() - before
    per_second, count = re.search(r"Requests/sec:\s+([\d.]+)", said), re.search(r"(\d+) requests in", said)
    if per_second is None or count is None or "Non-2xx" in said:
        raise RuntimeError(f"wrk says {said[-200:]!r}")
    return _Round(float(per_second[1]), taken / int(count[1]) * 1e6)
