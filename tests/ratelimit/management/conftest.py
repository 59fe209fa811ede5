"""A Redis whose buckets commands look at, and a way to run commands as a shell does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command

from tests.services import RedisProcess, redis_process

PATIENT_SECONDS = 5.0  # where a timeout is not the point, a busy machine must not make it one


@dataclass(frozen=True)
class Outcome:
    """What the shell would see."""

    exit_code: int
    out: str
    error: str = ""

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run() -> Callable[..., Outcome]:
    def run(*arguments: str) -> Outcome:
        out = StringIO()
        try:
            call_command(*arguments, stdout=out)
        except CommandError as error:
            return Outcome(error.returncode, out.getvalue(), str(error))
        except SystemExit as end:
            return Outcome(int(end.code or 0), out.getvalue())
        return Outcome(0, out.getvalue())

    return run


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisProcess]:
    with redis_process() as server:
        yield server


@pytest.fixture
def buckets_at(settings: Any) -> Callable[[str], None]:
    """Have the limiter keep its buckets there; an empty address means in memory."""

    def choose(url: str) -> None:
        memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
        on_redis = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url}
        settings.RATELIMIT_READ_TIMEOUT_SECONDS = PATIENT_SECONDS
        settings.CACHES = {"default": memory, "ratelimit": on_redis if url else memory}

    return choose


@pytest.fixture
def on_redis(shared_redis: RedisProcess, buckets_at: Callable[[str], None]) -> str:
    """Its address."""
    with redis.Redis.from_url(shared_redis.url) as client:
        client.flushall()
    buckets_at(shared_redis.url)
    return shared_redis.url
