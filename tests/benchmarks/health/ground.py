"""What all measurements stand on: a PostgreSQL and a Redis of the bench's own, and what the peers reached."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tests.benchmarks.health.faults import Postgresql, private_postgresql
from tests.benchmarks.health.serving import Surroundings
from tests.services import RedisProcess, redis_process

# Of a busy test machine's disk and memory nothing is to be learned here; their checks wait for nothing.
CHECKS: Mapping[str, Any] = {"disk": None, "memory": None}


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
