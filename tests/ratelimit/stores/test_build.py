"""Which store the settings make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.core.cache.backends.base import BaseCache
from django.test import override_settings

from ratelimit.bucket import Limit
from ratelimit.signals import backend_changed
from ratelimit.stores import build_store, eviction_policy
from ratelimit.stores.fallback import FallbackStore
from ratelimit.stores.memory import MemoryStore

SLOW = Limit(10, 3600)


class BrokenCache(BaseCache):
    """Raises what no cache should."""

    def __init__(self, *_: object) -> None:
        raise RuntimeError("redis://:password@redis.example cannot be used")


@pytest.fixture
def changes() -> Iterator[list[tuple[str, str, str]]]:
    heard: list[tuple[str, str, str]] = []

    def hear(sender: object, previous: str, current: str, reason: str, **_: Any) -> None:
        heard.append((previous, current, reason))

    backend_changed.connect(hear)
    yield heard
    backend_changed.disconnect(hear)


@pytest.mark.parametrize(
    ("cache", "reason"),
    [
        ({"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}, "locmem"),
        ({"BACKEND": "django.core.cache.backends.dummy.DummyCache"}, "no_redis"),
        ({"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "/nowhere"}, "no_redis"),
        ({"BACKEND": "nowhere.Cache"}, "no_cache"),
        ({"BACKEND": f"{__name__}.BrokenCache"}, "no_cache"),
    ],
)
def test_without_redis_memory_decides_and_says_why(
    cache: dict[str, str], reason: str, changes: list[tuple[str, str, str]]
) -> None:
    with override_settings(CACHES={"default": cache}, RATELIMIT_EXPECTED_PROCESSES=5):
        store = build_store()
        assert isinstance(store, MemoryStore)
        assert changes == []
        assert [store.take_one("a", SLOW).allowed for _ in range(3)] == [True, True, False]  # its share is 2
    assert changes == [("", "memory", reason)]


def test_a_cache_that_cannot_be_made_is_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    with override_settings(CACHES={"default": {"BACKEND": f"{__name__}.BrokenCache"}}):
        build_store()
        assert eviction_policy() == ""
    assert "“default” cannot be made (RuntimeError)" in caplog.text
    assert "password" not in caplog.text


def test_an_alias_that_does_not_exist_is_no_reason_to_fail(changes: list[tuple[str, str, str]]) -> None:
    with override_settings(RATELIMIT_CACHE="nowhere"):
        assert build_store().take_one("a", SLOW).allowed
    assert changes == [("", "memory", "no_cache")]


@pytest.mark.parametrize("backend", ["django_redis.cache.RedisCache", "django.core.cache.backends.redis.RedisCache"])
def test_with_redis_memory_stands_behind_it(redis_url: str, backend: str, changes: list[tuple[str, str, str]]) -> None:
    caches = {"default": {"BACKEND": "nowhere.Cache"}, "ratelimit": {"BACKEND": backend, "LOCATION": redis_url}}
    with override_settings(CACHES=caches, RATELIMIT_READ_TIMEOUT_SECONDS=5, RATELIMIT_KEY_PREFIX="shop"):
        store = build_store()
        assert isinstance(store, FallbackStore)
        assert store.take_one("{somebody}:anonymous", SLOW).backend == "redis"
        store.close()
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys("*") == [b"shop:{somebody}:anonymous"]
    assert changes == [("", "redis", "first_use")]


def test_the_eviction_policy_is_asked_of_redis_where_there_is_one(redis_url: str) -> None:
    caches = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": redis_url}}
    with override_settings(CACHES=caches, RATELIMIT_READ_TIMEOUT_SECONDS=5):
        assert eviction_policy() == "noeviction"
    assert eviction_policy() == ""


def test_a_cache_whose_client_cannot_be_made_leaves_memory(changes: list[tuple[str, str, str]]) -> None:
    options = {"CONNECTION_FACTORY": "nowhere.Factory"}
    cache = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:1/0", "OPTIONS": options}
    with override_settings(CACHES={"default": cache}):
        store = build_store()
        assert store.take_one("a", SLOW).backend == "memory"
        store.close()
    assert changes == [("", "memory", "unusable")]
