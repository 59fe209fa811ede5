"""Requests per second of a real gunicorn under wrk, with the metrics and without."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from tests.benchmarks.comparison.table import Row
from tests.benchmarks.observability.server import GTHREAD, SYNC, Server, serving

_KINDS = ("none", "ours", "django-prometheus")
_ROUNDS = 6
_SECONDS = 2
_WORKERS = {"one process": 1, "several": 4}
_GOALS = {"one process": 0.85, "several": 0.80}
_WORKER_KINDS = {"sync": SYNC, "gthread": GTHREAD}


def served(peers: Path | None) -> list[Row]:
    if shutil.which("wrk") is None:
        return [Row("requests/s in gunicorn", "", "not measured", "there is no wrk on PATH", None, {})]
    return [_row(where, worker) for where in _WORKERS for worker in _WORKER_KINDS]


def _row(where: str, worker: str) -> Row:
    with contextlib.ExitStack() as stack:
        servers = {kind: stack.enter_context(_server(kind, where, worker)) for kind in _KINDS}
        rates = _rates(servers)
    shares = {
        kind: median(a / b for a, b in zip(rates[kind], rates["none"], strict=True))
        for kind in _KINDS
        if kind != "none"
    }
    share, peer, goal = shares["ours"], shares["django-prometheus"], _GOALS[where]
    return Row(
        f"requests/s with HTTP metrics ÷ without, gunicorn {worker}, {where}",
        f"≥ {goal:.2f}",
        f"{share:.2f}",
        f"django-prometheus {peer:.2f}; {median(rates['none']):,.0f} requests/s without",
        share >= goal,
        {"share": share, "django-prometheus, share": peer, "without": median(rates["none"])},
    )


@contextlib.contextmanager
def _server(kind: str, where: str, worker: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="bench-metrics-") as folder:
        workers = _WORKERS[where]
        shared = Path(folder) if workers > 1 and kind != "none" else None
        with serving(kind, _WORKER_KINDS[worker], workers=workers, folder=shared) as server:
            yield server


def _rates(servers: Mapping[str, Server]) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {kind: [] for kind in servers}
    kinds = list(servers)
    for server in servers.values():
        _wrk(server)
    for number in range(_ROUNDS):
        start = number % len(kinds)
        for kind in (*kinds[start:], *kinds[:start]):
            rates[kind].append(_wrk(servers[kind]))
    return rates


def _wrk(server: Server) -> float:
    url = f"http://127.0.0.1:{server.port}/hello/"
    said = subprocess.run(
        ["wrk", "-t1", "-c8", f"-d{_SECONDS}s", url], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None or "Non-2xx" in said:
        raise RuntimeError(f"wrk says {said[-200:]!r}")
    return float(found[1])
