"""What a decision costs beside a bare round trip and beside the peers, and what the limiter adds to a request."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.comparison.table import Row
from tests.benchmarks.comparison.workers import Worker
from tests.benchmarks.ratelimit.rounds import Rounds, Runner, timed_rounds
from tests.benchmarks.ratelimit.workers import our_worker, peers_worker
from tests.services import RedisProcess

_ROUNDS = 60
_DECISIONS = 150  # in a block
_FAST_DECISIONS = 1000  # of those that stay in the process
_REQUESTS = 60
_HOPS_REQUESTS = 200

# How the peers' scripts call what is compared here.
_PEERS_ROUND_TRIP = "EVALSHA 'return 1' (redis-py)"
_PEERS_DECISIONS = {
    "limits": "limits fixed window (hit)",
    "limits with header data": "limits fixed window (hit + stats for headers)",
    "throttled-py": "throttled-py token bucket",
}
_LIMITS_IN_MEMORY = "mem limits fixed window"
_PEERS_BARE = "request: bare view"
_SMART = "django-smart-ratelimit"
_PEERS_REQUESTS = {
    _SMART: "request: django-smart-ratelimit own middleware",
    "throttled-py": "request: throttled-py bucket, thin middleware",
    "limits": "request: limits fixed window, thin middleware",
}


def through_redis(server: RedisProcess, peers: Path | None) -> list[Row]:
    with ExitStack() as stack:
        ours = stack.enter_context(our_worker("redis", server.url))
        ordinary = stack.enter_context(our_worker("ordinary", server.url))
        theirs = stack.enter_context(peers_worker(peers, "redis", server.port)) if peers else None
        return [
            *_decisions(ours, ordinary, theirs),
            _denials(ours),
            _requests_through_redis(ours, theirs),
            _requests_on_a_loop(ours),
        ]


def in_memory(server: RedisProcess, peers: Path | None) -> list[Row]:
    with ExitStack() as stack:
        ours = stack.enter_context(our_worker("memory"))
        theirs = stack.enter_context(peers_worker(peers, "memory", server.port)) if peers else None
        return [_decisions_in_memory(ours, theirs), _requests_in_memory(ours, theirs)]


# --- decisions -------------------------------------------------------------------------------------------------------


def _decisions(ours: Worker, ordinary: Worker, theirs: Worker | None) -> list[Row]:
    trip, decision = Runner(ours, "round trip"), Runner(ours, "check and read")
    ordinary_trip, ordinary_decision = Runner(ordinary, "round trip"), Runner(ordinary, "check and read")
    peers = _runners(theirs, _PEERS_DECISIONS)
    peers_trip = _runners(theirs, {"trip": _PEERS_ROUND_TRIP})
    runners = [trip, decision, ordinary_trip, ordinary_decision, *peers.values(), *peers_trip.values()]
    times = timed_rounds(runners, _ROUNDS, _DECISIONS)
    ratios = {name: times.ratio(peer, peers_trip["trip"]) for name, peer in peers.items()}
    return [
        _decision_row("admitted, all header data, ÷ EVALSHA `return 1`", 0.85, times, decision, trip, ratios),
        _decision_row("the same through the ordinary client", 1.35, times, ordinary_decision, ordinary_trip, {}),
    ]


def _decision_row(
    what: str, goal: float, times: Rounds, decision: Runner, trip: Runner, peers: Mapping[str, float]
) -> Row:
    ratio, decision_us, trip_us = times.ratio(decision, trip), times.typical_us(decision), times.typical_us(trip)
    return Row(
        what,
        f"≤ {goal}",
        f"{ratio:.2f}",
        f"{decision_us:.1f} µs ÷ {trip_us:.1f} µs{_listed(peers, '.2f')}",
        ratio <= goal,
        {"ratio": ratio, "decision_us": decision_us, "evalsha_us": trip_us, **_named(peers, "ratio")},
    )


def _denials(ours: Worker) -> Row:
    denial, read = Runner(ours, "denial"), Runner(ours, "denial and read")
    times = timed_rounds([denial, read], _ROUNDS, _FAST_DECISIONS)
    denial_us, read_us = times.typical_us(denial), times.typical_us(read)
    return Row(
        "a denial from the deny cache",
        "≤ 2 µs",
        f"{denial_us:.2f} µs",
        f"{read_us:.2f} µs with all header data read",
        denial_us <= 2,
        {"denial_us": denial_us, "with_header_data_us": read_us},
    )


def _decisions_in_memory(ours: Worker, theirs: Worker | None) -> Row:
    decision, read = Runner(ours, "check"), Runner(ours, "check and read")
    peers = _runners(theirs, {"limits": _LIMITS_IN_MEMORY})
    times = timed_rounds([decision, read, *peers.values()], _ROUNDS, _FAST_DECISIONS)
    decision_us, read_us = times.typical_us(decision), times.typical_us(read)
    what, goal, figures = "a decision in memory ÷ limits' fixed window", "≤ 0.4", {"decision_us": decision_us}
    figures["with_header_data_us"] = read_us
    if not peers:
        return Row(what, goal, f"{decision_us:.2f} µs", f"{read_us:.2f} µs with all header data read", None, figures)
    limits = peers["limits"]
    ratio, read_ratio, limits_us = times.ratio(decision, limits), times.ratio(read, limits), times.typical_us(limits)
    figures |= {"ratio": ratio, "with_header_data_ratio": read_ratio, "limits_us": limits_us}
    beside = f"{decision_us:.2f} µs ÷ {limits_us:.2f} µs; with all header data read {read_ratio:.2f}"
    return Row(what, goal, f"{ratio:.2f}", beside, ratio <= 0.4, figures)


# --- requests --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Added:
    """Microseconds that each limiter adds to a request, in each round."""

    bare_us: float
    ours: list[float]
    peers: dict[str, list[float]]

    @property
    def ours_us(self) -> float:
        return median(self.ours)

    @property
    def peers_us(self) -> dict[str, float]:
        return {name: median(added) for name, added in self.peers.items()}

    @property
    def figures(self) -> dict[str, float]:
        return {"added_us": self.ours_us, "bare_us": self.bare_us, **_named(self.peers_us, "added_us")}


def _added(ours: Worker, theirs: Worker | None) -> _Added:
    bare, limited = Runner(ours, "bare WSGI"), Runner(ours, "limited WSGI")
    peers, peers_bare = _runners(theirs, _PEERS_REQUESTS), _runners(theirs, {"bare": _PEERS_BARE})
    times = timed_rounds([bare, limited, *peers.values(), *peers_bare.values()], _ROUNDS, _REQUESTS)
    return _Added(
        times.typical_us(bare),
        times.added(limited, bare),
        {name: times.added(peer, peers_bare["bare"]) for name, peer in peers.items()},
    )


def _requests_through_redis(ours: Worker, theirs: Worker | None) -> Row:
    added = _added(ours, theirs)
    what, goal = "added to a WSGI request, Redis, ÷ django-smart-ratelimit", "≤ 0.45"
    beside = f"+{added.ours_us:.1f} µs on {added.bare_us:.0f}{_listed(added.peers_us, '+.0f')}"
    if not added.peers:
        return Row(what, goal, f"+{added.ours_us:.1f} µs", beside, None, added.figures)
    ratio = median(ours / peer for ours, peer in zip(added.ours, added.peers[_SMART], strict=True))
    return Row(what, goal, f"{ratio:.2f}", beside, ratio <= 0.45, added.figures | {"ratio": ratio})


def _requests_in_memory(ours: Worker, theirs: Worker | None) -> Row:
    added = _added(ours, theirs)
    beside = f"on {added.bare_us:.0f} µs{_listed(added.peers_us, '+.0f')}"
    what, holds = "added to a WSGI request, memory", added.ours_us <= 12
    return Row(what, "≤ 12 µs", f"+{added.ours_us:.1f} µs", beside, holds, added.figures)


def _requests_on_a_loop(ours: Worker) -> Row:
    bare, limited, pinging = (Runner(ours, f"{kind} ASGI") for kind in ("bare", "limited", "pinging"))
    times = timed_rounds([bare, limited, pinging], _ROUNDS, _REQUESTS)
    added_us, ping_us, bare_us = (
        median(times.added(limited, bare)),
        median(times.added(pinging, bare)),
        times.typical_us(bare),
    )
    hops = ours.ask("thread_hops", requests=_HOPS_REQUESTS)
    added_hops, bare_hops = (hops["limited"] - hops["bare"]) / _HOPS_REQUESTS, hops["bare"] / _HOPS_REQUESTS
    return Row(
        "thread hops added to an ASGI request, Redis",
        "0",
        f"{added_hops:g}",
        f"+{added_us:.0f} µs on {bare_us:.0f}; redis.asyncio PING +{ping_us:.0f}; Django's own hops {bare_hops:g}",
        added_hops == 0,
        {
            "added_us": added_us,
            "ping_added_us": ping_us,
            "bare_us": bare_us,
            "added_hops": added_hops,
            "bare_hops": bare_hops,
        },
    )


# --- peers, where there are any --------------------------------------------------------------------------------------


def _runners(worker: Worker | None, targets: Mapping[str, str]) -> dict[str, Runner]:
    return {name: Runner(worker, target) for name, target in targets.items()} if worker else {}


def _listed(peers: Mapping[str, float], form: str) -> str:
    return "".join(f"; {name} {value:{form}}" for name, value in peers.items())


def _named(peers: Mapping[str, float], unit: str) -> dict[str, float]:
    return {f"{name}, {unit}": value for name, value in peers.items()}
