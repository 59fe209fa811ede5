"""Stores of every kind, each with empty hands."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from ratelimit.stores.base import Store
from ratelimit.stores.fallback import FallbackStore
from ratelimit.stores.memory import MemoryStore
from ratelimit.stores.redis import RedisStore
from tests.ratelimit.stores.caches import cache_at, cache_on_fake
from tests.services import RedisProcess, redis_process

PATIENT = 5.0  # seconds; where a timeout is not the point, a busy machine must not make it one
PROBE = "rate_limit:{probe}"


@pytest.fixture(scope="session")
def running_redis() -> Iterator[RedisProcess]:
    """One for all tests that do it no harm."""
    with redis_process() as server:
        yield server


@pytest.fixture
def redis_url(running_redis: RedisProcess) -> str:
    with redis.Redis.from_url(running_redis.url) as client:
        client.flushall()
    return running_redis.url


@pytest.fixture
def own_redis() -> Iterator[RedisProcess]:
    """One to be ill-treated."""
    with redis_process() as server:
        yield server


@pytest.fixture
def make_redis_store() -> Iterator[Callable[..., RedisStore]]:
    """From a URL and options of CACHES; closed when the test is over."""
    made: list[RedisStore] = []

    def make(url: str, read: float = PATIENT, connect: float = PATIENT, **options: object) -> RedisStore:
        made.append(RedisStore(cache_at(url, **options), read, connect))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def make_fallback(make_redis_store: Callable[..., RedisStore]) -> Iterator[Callable[..., FallbackStore]]:
    """With the timeouts of the defaults, and memory for 1,000 keys."""
    made: list[FallbackStore] = []

    def make(url: str, processes: int = 1, probe_interval_seconds: float = 1.0) -> FallbackStore:
        primary, memory = make_redis_store(url, 0.05, 0.25), MemoryStore(1_000, processes)
        made.append(FallbackStore(primary, memory, PROBE, probe_interval_seconds))
        return made[-1]

    yield make
    for store in made:
        store.close()


KINDS = ["memory", "redis", "redis through the ordinary client", "fakeredis", "fallback"]


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """One of every kind in turn."""
    kind = request.param
    if kind == "memory":
        made: Store = MemoryStore(1_000)
    elif kind == "fakeredis":
        made = RedisStore(cache_on_fake(), PATIENT, PATIENT)
    elif kind == "redis through the ordinary client":
        options = {"CONNECTION_POOL_CLASS": "tests.ratelimit.stores.caches.SpecialPool"}
        made = RedisStore(cache_at(request.getfixturevalue("redis_url"), **options), PATIENT, PATIENT)
    else:
        made = RedisStore(cache_at(request.getfixturevalue("redis_url")), PATIENT, PATIENT)
    if kind == "fallback":
        made = FallbackStore(made, MemoryStore(1_000), PROBE)
    yield made
    made.close()
