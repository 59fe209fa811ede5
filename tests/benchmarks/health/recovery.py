"""How soon all is healthy again once database and Redis are back from an outage, even if old connections stay dead."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf

from tests.benchmarks.comparison.table import Row
from tests.benchmarks.health.faults import redis_url
from tests.benchmarks.health.ground import Ground
from tests.benchmarks.health.serving import READY, Server, serving
from tests.relay import Relay, relay

_OUTAGES_SECONDS = (5.0, 6.3, 4.6)
_PATIENCE_SECONDS = 15.0
_EVERY_SECONDS = (0.1, 2.0)


def _thaw(link: Relay) -> None:
    link.flows.set()


_RETURNS: Mapping[str, Callable[[Relay], None]] = {"all flows again": _thaw, "old connections stay dead": Relay.forget}


@dataclass(frozen=True)
class _Back:
    """Seconds since the return."""

    seen: float
    """Until a probe was told so."""
    known: float
    """Until the verdict was there, for whoever might have asked."""


def recovery(ground: Ground) -> list[Row]:
    cases = [(how, every) for how in _RETURNS for every in _EVERY_SECONDS]
    with ThreadPoolExecutor(len(cases)) as at_once:
        return list(at_once.map(lambda case: _row(ground, *case), cases))


def _row(ground: Ground, how: str, every_seconds: float) -> Row:
    name = f"recovery-{len(how)}-{every_seconds:g}"
    with relay("127.0.0.1", ground.postgresql.port) as database, relay("127.0.0.1", ground.redis.port) as redis:
        around = ground.healthy(
            name,
            database=ground.postgresql.url(name, database.port),
            redis=redis_url(redis.port),
            conn_max_age="none",
        )
        with serving("gthread", around) as server:
            server.wait_until_healthy()
            backs = [
                _outage(server, [database, redis], _RETURNS[how], seconds, every_seconds)
                for seconds in _OUTAGES_SECONDS
            ]
    seen, known = max(back.seen for back in backs), max(back.known for back in backs)
    decisive = seen if every_seconds < 1 else known
    return Row(
        f"database and Redis back, {how}, a probe each {every_seconds:g} s: healthy after",
        "≤ 2 s",
        f"{decisive:.2f} s",
        ground.beside(
            "recovery",
            f"the worst of {len(backs)}; a probe saw it after {seen:.2f} s, the verdict was there after {known:.2f} s",
        ),
        decisive <= 2,
        {"seen_seconds": seen, "known_seconds": known},
    )


def _outage(
    server: Server, links: list[Relay], give_back: Callable[[Relay], None], seconds: float, every_seconds: float
) -> _Back:
    for link in links:
        link.flows.clear()
    next_at = began = time.monotonic()
    back_at = 0.0
    was_unhealthy = False
    seen_at = inf
    while seen_at == inf:
        if not back_at and time.monotonic() >= began + seconds:
            for link in links:
                give_back(link)
            back_at = time.monotonic()
        if time.monotonic() >= next_at:
            next_at += every_seconds
            answer = server.get(READY)
            was_unhealthy |= answer.status == 503
            if back_at and answer.at > back_at and answer.status == 200 and answer.told["status"] == "healthy":
                seen_at = answer.at + answer.seconds
        if back_at and time.monotonic() > back_at + _PATIENCE_SECONDS:
            return _Back(inf, inf)
        time.sleep(0.01)
    if not was_unhealthy:
        raise RuntimeError("the outage was not noticed at all")
    known_at = max(at for at, _, status in server.insides()["changes"] if status == "healthy")
    return _Back(seen_at - back_at, max(0.0, known_at - back_at))
