"""Ours by the peers' own scripts, in the peers' environment, beside what these say of the others in the same run.

A folder with requirements.txt, ``bench_http``, which takes variants as arguments and a middleware from the environment,
and ``bench_db_cache``, which takes ``mp`` and what instruments a connection and a cache.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.comparison.environment import peers_python
from tests.benchmarks.comparison.table import Row
from tests.benchmarks.observability.rounds import clean_environment
from tests.installation import HOUSE

_MOST_SECONDS = 900
_HTTP = {
    "CANDIDATE_MIDDLEWARE": "observability.middleware.MetricsMiddleware",
    "CANDIDATE_APPS": "observability",
}
_STORES = {
    "CANDIDATE_DB": "observability.database:measure",
    "CANDIDATE_CACHE": f"{__package__}.measured_cache.MeasuredCache",
}
_MODES = {"": "one process", "mp": "several"}
_GOALS = {"query": 1 / 4, "cache get": 1 / 3}
_PEER, _CANDIDATE = "django-prometheus", "candidate"


class ScriptFailedError(Exception):
    """A peers' script ended badly, with what it last wrote."""


def by_their_scripts(peers: Path | None) -> list[Row]:
    if peers is None:
        return []
    return [*_requests(peers), *(row for mode in _MODES for row in _stores(peers, mode))]


def _requests(peers: Path) -> list[Row]:
    said = _run(peers, "bench_http", ["none", _PEER, "otel-metrics", _CANDIDATE], _HTTP)
    found = re.findall(r"^(\S+(?: mp)?) +median.*? min +([\d.]+) us .*added +([-+\d.]+) us", said, re.MULTILINE)
    least, added = {name: float(us) for name, us, _ in found}, {name: float(us) for name, _, us in found}
    rows = []
    for suffix, where in _MODES.items():
        ours, theirs = f"{_CANDIDATE} {suffix}".strip(), f"{_PEER} {suffix}".strip()
        ratio = added[ours] / added[theirs]
        rows.append(
            Row(
                f"bench_http: added per request ÷ django-prometheus, {where}",
                "≤ 0.20",
                f"{ratio:.3f}",
                f"{added[ours]:+.1f} µs on {least['none']:.1f}; django-prometheus {added[theirs]:+.1f}, "
                f"OpenTelemetry {added['otel-metrics']:+.1f}; requests/s ÷ without {least['none'] / least[ours]:.2f}",
                ratio <= 1 / 5,
                {"ratio": ratio, "added_us": added[ours], "django-prometheus, added_us": added[theirs]},
            )
        )
    return rows


def _stores(peers: Path, mode: str) -> list[Row]:
    said = _run(peers, "bench_db_cache", [mode] if mode else [], _STORES)
    rows = []
    for what, goal in _GOALS.items():
        found = re.findall(rf"^\S+ +{what} +(\S.*?) +([\d.]+) us +([-+\d.]+)$", said, re.MULTILINE)
        added = {name: float(us) for name, _, us in found}
        ours = next(us for name, us in added.items() if name.startswith("CANDIDATE"))
        theirs = next(us for name, us in added.items() if name.startswith(_PEER))
        rows.append(
            Row(
                f"bench_db_cache: added per {what} ÷ django-prometheus, {_MODES[mode]}",
                f"≤ {goal:.2f}",
                f"{ours / theirs:.3f}",
                f"{ours:+.2f} µs on {float(found[0][1]):.2f}; django-prometheus {theirs:+.2f}",
                ours / theirs <= goal,
                {"ratio": ours / theirs, "added_us": ours, "django-prometheus, added_us": theirs},
            )
        )
    return rows


def _run(peers: Path, script: str, arguments: Sequence[str], candidate: Mapping[str, str]) -> str:
    around = clean_environment() | {"PYTHONPATH": str(HOUSE), "PYTHONDONTWRITEBYTECODE": "1"} | dict(candidate)
    command = [str(peers_python(peers)), str(peers / f"{script}.py"), *arguments]
    done = subprocess.run(command, env=around, capture_output=True, text=True, check=False, timeout=_MOST_SECONDS)
    if done.returncode:
        raise ScriptFailedError(f"{script} ended with {done.returncode}: {done.stderr[-300:]}")
    return done.stdout
