"""What metrics add to a request, a query, a read of the cache, and what a single operation takes; beside the peers'."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.comparison.table import Row
from tests.benchmarks.observability.operations import NAMES
from tests.benchmarks.observability.rounds import (
    ALL,
    NONE,
    OURS,
    OURS_SHARED,
    PEER,
    PEER_SHARED,
    Rounds,
    Subject,
    timed,
)

_ROUNDS = 16
_REQUESTS = 300
_QUERIES = 2_000
_READS = 4_000
_OPERATIONS = 10_000

_PAIRS = {"one process": (OURS, PEER), "several": (OURS_SHARED, PEER_SHARED)}


def request(peers: Path | None) -> list[Row]:
    bare, other = Subject("none", peers=peers), Subject("opentelemetry", peers=peers)
    rounds = timed([*ALL, *([bare, other] if peers else [])], "request", rounds=_ROUNDS, calls=_REQUESTS)
    beyond = f"; OpenTelemetry +{rounds.added(other, bare):.0f}" if peers else ""
    rows = [_added_row("request", 1 / 5, rounds, where, beyond) for where in _PAIRS]
    for (where, (ours, peer)), goal in zip(_PAIRS.items(), (0.85, 0.80), strict=True):
        share, theirs = 1 / rounds.ratio(ours, NONE), 1 / rounds.ratio(peer, NONE)
        third = f", OpenTelemetry {1 / rounds.ratio(other, bare):.2f}" if peers else ""
        rows.append(
            Row(
                f"requests/s with HTTP metrics ÷ without, in process, {where}",
                f"≥ {goal:.2f}",
                f"{share:.2f}",
                f"django-prometheus {theirs:.2f}{third}; {1e6 / rounds.typical(NONE):,.0f} requests/s without",
                share >= goal,
                {"share": share, "django-prometheus, share": theirs},
            )
        )
    return rows


def query(peers: Path | None) -> list[Row]:
    rounds = timed(ALL, "query", rounds=_ROUNDS, calls=_QUERIES)
    return [_added_row("database query", 1 / 4, rounds, where) for where in _PAIRS]


def cache(peers: Path | None) -> list[Row]:
    rounds = timed(ALL, "cache get", rounds=_ROUNDS, calls=_READS)
    return [_added_row("cache get", 1 / 3, rounds, where) for where in _PAIRS]


def _added_row(what: str, goal: float, rounds: Rounds, where: str, beyond: str = "") -> Row:
    ours, peer = _PAIRS[where]
    ratio, least = rounds.ratio_of_added(ours, peer, NONE), rounds.least_ratio_of_added(ours, peer, NONE)
    added, theirs, bare = rounds.added(ours, NONE), rounds.added(peer, NONE), rounds.typical(NONE)
    return Row(
        f"CPU added per {what} ÷ django-prometheus, {where}",
        f"≤ {goal:.2f}",
        f"{ratio:.3f}",
        f"+{added:.2f} µs on {bare:.2f}; django-prometheus +{theirs:.2f}{beyond}; ratio of the minima {least:.3f}",
        ratio <= goal,
        {
            "ratio": ratio,
            "least_ratio": least,
            "added_us": added,
            "bare_us": bare,
            "django-prometheus, added_us": theirs,
        },
    )


def operations(peers: Path | None) -> list[Row]:
    """No goal: prometheus_client's own figures beside them."""
    rows = []
    subjects = ALL[1:]
    for name in NAMES:
        rounds = timed(subjects, name, rounds=5, calls=_OPERATIONS)
        for where, (ours, peer) in _PAIRS.items():
            ours_ns, peer_ns = rounds.typical(ours) * 1000, rounds.typical(peer) * 1000
            rows.append(
                Row(
                    f"{name}, {where}",
                    "",
                    f"{ours_ns:,.0f} ns",
                    f"prometheus_client {peer_ns:,.0f} ns; ÷ {rounds.ratio(ours, peer):.2f}",
                    None,
                    {"ours_ns": ours_ns, "prometheus_client_ns": peer_ns},
                )
            )
    return rows
