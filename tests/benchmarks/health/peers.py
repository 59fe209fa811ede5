"""Other Django health apps, measured by their own scripts in their own environment; and ours by the same scripts.

A folder with requirements.txt and ``bench_latency``, ``bench_storm``, ``bench_hang``, ``bench_conn``, ``bench_term``,
which take paths as arguments and a project's apps, middleware and settings from the environment, and write what they
measured into the folder OUT. Ours needs a run of its own: django-healthchecks has a setting HEALTH_CHECKS too.

Shortened, so that all of it takes about four minutes: 200 requests a path instead of 400 for latency, 100 probes
instead of 300 for connections, and a client that waits 10 s instead of 75 s for an answer: “none in 10 s” is what it
says of those who give none in 75 s either. The two storms share 40 s.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import services
from tests.benchmarks.comparison.environment import peers_python
from tests.benchmarks.comparison.table import Row
from tests.benchmarks.health.ground import CHECKS
from tests.benchmarks.health.serving import LIVE, READY
from tests.installation import HOUSE

_PATIENCE_SECONDS = 10
_SHORTENED = {"latency": "200", "conn": "100", "storm": "40", "hang": "2"}
_MOST_SECONDS = 400
_TRIALS = 2
"""They start up to a dozen servers at once, on ports that were free a moment ago, and give each 20 s."""
_NAMES = {
    "/dhc": "django-health-check",
    "/watchman": "watchman",
    "/alive_health": "django-alive",
    "/dhcs": "django-healthchecks",
    "/wm_ping": "watchman's ping",
    "/bare": "a bare view",
}
_PEERS = ("/dhc", "/watchman", "/alive_health", "/dhcs")
_STORMED = ("/dhc", "/watchman")
_OURS = {
    "EXTRA_APPS": "health",
    "EXTRA_MIDDLEWARE": "health.middleware.HealthMiddleware",
    "EXTRA_SETTINGS": json.dumps({"HEALTH_CHECKS": dict(CHECKS)}),
    "PYTHONPATH": str(HOUSE),
}
_KINDS = {"sync": "sync", "gthread": "gthread", "asgi": "uvicorn"}
_HUNG_KINDS = ("gthread", "uvicorn")
_FAULTS = {
    "database never answers": "pg_hang",
    "database drops packets (SYN)": "pg_blackhole",
    "redis never answers": "redis_hang",
    "redis refuses": "redis_refuse",
    "redis drops packets (SYN)": "redis_blackhole",
}


class ScriptFailedError(Exception):
    """A peers' script ended badly, with what it last wrote."""


Figures = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Measured:
    """What the scripts wrote: script → its figures."""

    peers: Figures
    ours: Figures

    def beside(self) -> dict[str, str]:
        """Name of a measurement of ours → the peers' figures."""
        texts = {"live": _latency(self.peers, "sync", ["/wm_ping"])}
        for kind, theirs in _KINDS.items():
            texts[f"ready {kind}"] = _latency(self.peers, theirs, _PEERS)
            texts[f"storm {kind}"] = _storm(self.peers, theirs, _STORMED)
        for name, fault in _FAULTS.items():
            texts[name] = " | ".join(f"{kind}: {_hang(self.peers, kind, fault, _PEERS)}" for kind in _HUNG_KINDS)
        for kind in ("gthread", "asgi"):
            for age in ("0", "60"):
                texts[f"leaks {kind} {age}"] = _left(self.peers, _KINDS[kind], age, _PEERS)
        for kind in ("sync", "gthread"):
            texts[f"drain {kind}"] = _term(self.peers, kind)
        return texts

    def rows(self) -> list[Row]:
        """Ours by the peers' scripts."""
        rows = {
            "latency": self._latency_rows,
            "hang": self._hang_rows,
            "storm": self._storm_rows,
            "conn": self._connection_rows,
        }
        return [row for script, made in rows.items() if script in self.ours for row in made()]

    def _latency_rows(self) -> list[Row]:
        rows = []
        for kind in _KINDS.values():
            for path, most, peers in ((LIVE, (1, 10), ["/bare", "/wm_ping"]), (READY, (2, 15), _PEERS)):
                found = self.ours["latency"][f"{kind} {path}"]
                rows.append(
                    Row(
                        f"bench_latency: {path}, {kind}, p50 / p99",
                        f"≤ {most[0]} / {most[1]} ms",
                        f"{found['p50']} / {found['p99']} ms",
                        _latency(self.peers, kind, peers),
                        found["p50"] <= most[0] and found["p99"] <= most[1] and found["status"] == 200,
                        {"p50_ms": found["p50"], "p99_ms": found["p99"]},
                    )
                )
        return rows

    def _hang_rows(self) -> list[Row]:
        rows = []
        for name, fault in _FAULTS.items():
            for kind in _HUNG_KINDS:
                found = self.ours["hang"][f"{kind} {fault}"][READY]
                again = found.get("again_s", float("inf"))
                status, most = (503, 1.1) if name.startswith("database") else (200, 0.6)
                rows.append(
                    Row(
                        f"bench_hang: {name}, {kind}, first and second answer",
                        f"{status} in ≤ {most} s, ≤ 20 ms",
                        f"{found['status']} {found['s']:.2f} s, {again * 1000:.0f} ms",
                        _hang(self.peers, kind, fault, _PEERS),
                        found["status"] == status and found["s"] <= most and again <= 0.02,
                        {"first_seconds": found["s"], "again_seconds": again},
                    )
                )
        return rows

    def _storm_rows(self) -> list[Row]:
        rows = []
        for kind in _KINDS.values():
            found = self.ours["storm"][f"{kind} {READY}"]
            rows.append(
                Row(
                    f"bench_storm: pages answered, {kind}",
                    f"{found['of']} of {found['of']}",
                    f"{found['plain_ok']} of {found['of']}",
                    _storm(self.peers, kind, _STORMED),
                    found["plain_ok"] == found["of"],
                    {"answered": found["plain_ok"]},
                )
            )
        return rows

    def _connection_rows(self) -> list[Row]:
        rows = []
        for kind in _HUNG_KINDS:
            for age in ("0", "60"):
                found = self.ours["conn"][f"{kind} age={age} {READY}"]
                rows.append(
                    Row(
                        f"bench_conn: CONN_MAX_AGE={age}, {kind}, backends left, false 503s",
                        "≤ 1, 0",
                        f"{found['backends']}, {found['bad']}",
                        _left(self.peers, kind, age, _PEERS),
                        found["backends"] <= 1 and found["bad"] == 0,
                        {"backends": found["backends"], "false": found["bad"]},
                    )
                )
        return rows


def measure(folder: Path) -> Measured:
    """``folder`` is that of the scripts."""
    python = peers_python(folder)
    with tempfile.TemporaryDirectory(prefix="health-peers-") as scratch, ThreadPoolExecutor(2) as at_once:
        places = {whose: Path(scratch) / whose for whose in ("peers", "ours")}
        for place in places.values():
            place.mkdir()

        def run(whose: str, script: str, *paths: str) -> None:
            for trial in range(_TRIALS):
                print(f"… bench_{script}, {whose}", file=sys.stderr, flush=True)
                try:
                    _run(python, folder, script, paths, places[whose], _OURS if whose == "ours" else {})
                except ScriptFailedError as error:
                    print(f"{error}\n{'Once more.' if trial + 1 < _TRIALS else 'Left out.'}", file=sys.stderr)
                else:
                    return

        run("peers", "latency")
        run("ours", "latency", "/bare", LIVE, READY)
        run("peers", "conn")
        run("ours", "conn", READY)
        run("peers", "hang")
        run("ours", "hang", READY)
        run("peers", "term")
        list(at_once.map(lambda job: run(*job), [("peers", "storm"), ("ours", "storm", READY)]))
        return Measured(*(_read(places[whose]) for whose in ("peers", "ours")))


def _run(python: Path, folder: Path, script: str, paths: Sequence[str], out: Path, extra: Mapping[str, str]) -> None:
    postgres = services.binary("postgres")
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {"OUT": str(out), "CLIENT": str(_PATIENCE_SECONDS), "PYTHONDONTWRITEBYTECODE": "1"}
    if script in _SHORTENED:
        environment["ROUNDS"] = _SHORTENED[script]
    if postgres is not None:
        environment["PG_BIN"] = str(Path(postgres).parent)
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [python, folder / f"bench_{script}.py", *paths],
            cwd=out, env={**environment, **extra}, stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(_MOST_SECONDS)
        except subprocess.TimeoutExpired:
            raise ScriptFailedError(f"bench_{script} does not end") from None
        finally:
            _end(process)
        if code != 0:
            said.seek(0)
            raise ScriptFailedError(f"bench_{script} ended with {code}: {said.read()[-300:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """By an interrupt first: the script itself knows which servers it has started."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def _read(folder: Path) -> Figures:
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


# --- figures as texts -------------------------------------------------------------------------------------------------


def _each(paths: Sequence[str], texts: Sequence[str]) -> str:
    return ", ".join(f"{_NAMES[path]} {text}" for path, text in zip(paths, texts, strict=True))


def _latency(figures: Figures, kind: str, paths: Sequence[str]) -> str:
    if "latency" not in figures:
        return ""
    found = [figures["latency"][f"{kind} {path}"] for path in paths]
    return _each(paths, [f"{one['p50']} / {one['p99']}" for one in found])


def _hang(figures: Figures, kind: str, fault: str, paths: Sequence[str]) -> str:
    if "hang" not in figures:
        return ""
    found = [figures["hang"][f"{kind} {fault}"][path] for path in paths]
    return _each(paths, [_answer(one) for one in found])


def _answer(one: Mapping[str, Any]) -> str:
    if one["status"] == "client-timeout":
        return f"none in {_PATIENCE_SECONDS} s"
    return f"{one['status']} {one['s']:.2f} s"


def _storm(figures: Figures, kind: str, paths: Sequence[str]) -> str:
    if "storm" not in figures:
        return ""
    found = [figures["storm"][f"{kind} {path}"] for path in paths]
    return _each(paths, [f"{one['plain_ok']} of {one['of']}" for one in found])


def _left(figures: Figures, kind: str, age: str, paths: Sequence[str]) -> str:
    if "conn" not in figures:
        return ""
    found = [figures["conn"][f"{kind} age={age} {path}"] for path in paths]
    return _each(paths, [f"{one['backends']}, {one['bad']}" for one in found])


def _term(figures: Figures, kind: str) -> str:
    if "term" not in figures:
        return ""
    found = figures["term"][kind]
    after = found["new_after_term"]
    failed, first = sum(after.values()) - after.get("200", 0), found["first_bad"]
    when = f", the first after {first[0]:.2f} s" if first else ""
    return f"stock gunicorn: {failed} of {sum(after.values())} new connections failed{when}"
