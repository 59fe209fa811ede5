"""What all measurements stand on: a PostgreSQL and a Redis of the bench's own, and what the peers reached."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tests.benchmarks.health.faults import Postgresql, private_postgresql
from tests.benchmarks.health.serving import Surroundings
from tests.services import RedisProcess, redis_process

# All are run, but how full the machine of the bench is must not tell in it.
CHECKS: Mapping[str, Any] = {
    "disk": {
        "path": tempfile.gettempdir(),
        "degraded_below_percent": 0,
        "unhealthy_below_percent": 0,
        "inodes_below_percent": 0,
    },
    "memory": {"degraded_above_percent": 100, "unhealthy_above_percent": 100},
}


@dataclass(frozen=True)
class Ground:
    postgresql: Postgresql
    redis: RedisProcess
    peers: Mapping[str, str] = field(default_factory=dict)
    """Name of a measurement → what the peers reached in it, where they were measured."""

    def healthy(
        self,
        name: str,
        *,
        database: str = "",
        redis: str = "",
        checks: Mapping[str, Any] = MappingProxyType({}),
        conn_max_age: str = "0",
        gate: str = "",
    ) -> Surroundings:
        """Everything well, but for what is given; ``name`` is that of the server towards PostgreSQL."""
        return Surroundings(
            database or self.postgresql.url(name), redis or self.redis.url, {**CHECKS, **checks}, conn_max_age, gate
        )

    def beside(self, name: str, ours: str = "") -> str:
        peers = self.peers.get(name, "")
        return "; ".join(text for text in (ours, peers and f"peers: {peers}") if text)


@contextlib.contextmanager
def ground(peers: Mapping[str, str]) -> Iterator[Ground | None]:
    """None where there is no PostgreSQL to be had."""
    postgresql = private_postgresql()
    if postgresql is None:
        yield None
        return
    with redis_process() as redis:
        yield Ground(postgresql, redis, peers)
