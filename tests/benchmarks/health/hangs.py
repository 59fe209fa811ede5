"""What a readiness probe is told, and when, while the database or Redis is out of order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests import services
from tests.benchmarks.comparison.table import Row
from tests.benchmarks.health.faults import black_hole, postgresql_url, redis_url, silent
from tests.benchmarks.health.ground import Ground
from tests.benchmarks.health.serving import KINDS, READY, Answer, Server, Surroundings, quantile, serving_all
from tests.relay import relay

_STALE_SECONDS = 1.2
"""After so long the last verdict, of a second at most, is not told any more."""
_LATER_SECONDS = 6.0
"""Long enough for runs to time out, to be interrupted and to be begun anew, several times."""
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class _Told:
    first: Answer
    later: list[Answer]

    @property
    def later_ms(self) -> list[float]:
        return [answer.ms for answer in self.later]


def database(ground: Ground) -> list[Row]:
    rows = []
    with silent() as server:
        around = ground.healthy("hang", database=postgresql_url(server.port))
        rows += _database_rows(ground, "never answers", _from_the_start(around))
    with black_hole() as port:
        around = ground.healthy("hole", database=postgresql_url(port))
        rows += _database_rows(ground, "drops packets (SYN)", _from_the_start(around))
    rows += _database_rows(ground, "frozen while connected", _frozen(ground))
    rows += _database_rows(ground, "backend stopped (SIGSTOP)", _backend_stopped(ground))
    return rows


def redis(ground: Ground) -> list[Row]:
    rows = []
    with silent() as server:
        rows += _redis_rows(ground, "never answers", _from_the_start(_kept(ground, redis_url(server.port))))
    with black_hole() as port:
        rows += _redis_rows(ground, "drops packets (SYN)", _from_the_start(_kept(ground, redis_url(port))))
    rows += _redis_rows(ground, "refuses", _from_the_start(_kept(ground, redis_url(services.free_port()))))
    rows += _redis_rows(ground, "frozen while connected", _redis_frozen(ground))
    return rows


def _kept(ground: Ground, url: str) -> Surroundings:
    """With a database that needs no new connection each second: that is no part of what Redis costs."""
    return ground.healthy("r", redis=url, conn_max_age="60")


# --- the faults: kind of worker → what was told -----------------------------------------------------------------------


def _from_the_start(around: Surroundings) -> dict[str, _Told]:
    with serving_all({kind: (kind, around) for kind in KINDS}) as servers:
        return _told_by_all(servers)


def _frozen(ground: Ground) -> dict[str, _Told]:
    with relay("127.0.0.1", ground.postgresql.port) as link:
        around = ground.healthy("frozen", database=ground.postgresql.url("frozen", link.port), conn_max_age="none")
        with serving_all({kind: (kind, around) for kind in KINDS}) as servers:
            _be_well(servers)
            link.flows.clear()
            return _told_by_all(servers)


def _redis_frozen(ground: Ground) -> dict[str, _Told]:
    with services.redis_process() as server:
        around = _kept(ground, server.url)
        with serving_all({kind: (kind, around) for kind in KINDS}) as servers:
            _be_well(servers)
            server.hang()
            return _told_by_all(servers)


def _backend_stopped(ground: Ground) -> dict[str, _Told]:
    """Only the one that the check holds: new connections are served."""
    name = "stopped"
    around = ground.healthy(name, conn_max_age="none")
    with serving_all({kind: (kind, around) for kind in KINDS}) as servers:
        _be_well(servers)
        backends = ground.postgresql.backends(name)
        if len(backends) != len(servers):
            raise RuntimeError(f"the checks hold {len(backends)} connections, not {len(servers)}")
        with ground.postgresql.stopped(backends):
            return _told_by_all(servers)


def _be_well(servers: Mapping[str, Server]) -> None:
    """Healthy at a time when all is warm."""
    for server in servers.values():
        server.get(READY)
    time.sleep(_STALE_SECONDS)
    for server in servers.values():
        server.wait_until_healthy()


def _told_by_all(servers: Mapping[str, Server]) -> dict[str, _Told]:
    """First one after the other, as two cores are few for so many at once; they load their drivers then, too."""
    time.sleep(_STALE_SECONDS)
    first = {kind: server.get(READY) for kind, server in servers.items()}
    with ThreadPoolExecutor(len(servers)) as at_once:
        later = at_once.map(_later, servers.values())
        return {kind: _Told(first[kind], answers) for kind, answers in zip(servers, later, strict=True)}


def _later(server: Server) -> list[Answer]:
    later: list[Answer] = []
    until = time.monotonic() + _LATER_SECONDS
    while time.monotonic() < until:
        time.sleep(_PAUSE_SECONDS)
        later.append(server.get(READY))
    return later


# --- the rows ---------------------------------------------------------------------------------------------------------


def _database_rows(ground: Ground, fault: str, told: Mapping[str, _Told]) -> list[Row]:
    return [
        _row(f"database {fault}, {kind}", ground, "database " + fault, one, most_seconds=1.1, status=503)
        for kind, one in told.items()
    ]


def _redis_rows(ground: Ground, fault: str, told: Mapping[str, _Told]) -> list[Row]:
    return [
        _row(f"Redis {fault}, {kind}", ground, "redis " + fault, one, most_seconds=0.6, status=200)
        for kind, one in told.items()
    ]


def _row(what: str, ground: Ground, peers: str, told: _Told, *, most_seconds: float, status: int) -> Row:
    worst, typical = max(told.later_ms), quantile(told.later_ms, 0.5)
    word = _word(told.first)
    is_as_said = told.first.status == status and word == ("degraded" if status == 200 else "unhealthy")
    words = sorted({_word(answer) for answer in told.later})
    return Row(
        what,
        f"{status} in ≤ {most_seconds:g} s, later ≤ 20 ms",
        f"{told.first.status} {told.first.seconds:.2f} s, {worst:.1f} ms",
        ground.beside(peers, f"{word}; later p50 {typical:.1f} ms, {' or '.join(words)}"),
        is_as_said and told.first.seconds <= most_seconds and worst <= 20,
        {"first_seconds": told.first.seconds, "later_p50_ms": typical, "later_worst_ms": worst},
    )


def _word(answer: Answer) -> str:
    return str(answer.told["status"]) if answer.body else str(answer.status)
