"""What is in the caches moves the numbers, and what cannot be known cheaply is not there."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import call_command

from observability.cache.telling import ATTRIBUTE
from observability.cache_types import cache_type_of
from observability.collected.caches import CacheCollector, Fill
from observability.collectors import forget_collected
from observability.metrics import CACHE_TYPES
from tests import services
from tests.observability.servers import AddDatabase, Postgresql, settled, value

DJANGO = "django.core.cache.backends"
REDIS = ["django_redis.cache.RedisCache", f"{DJANGO}.redis.RedisCache"]


@pytest.fixture
def cache(settings: Any) -> Any:
    """Makes CACHES["measured"] as it is told."""

    def make(backend: str, location: Any = "", **options: Any) -> Any:
        settings.CACHES = {
            "default": {"BACKEND": f"{DJANGO}.locmem.LocMemCache", "LOCATION": "default of the test"},
            "measured": {"BACKEND": backend, "LOCATION": location, **options},
        }
        settings.OBSERVABILITY_CACHES = ("measured",)
        return caches["measured"]

    return make


def fill(kind: str) -> tuple[float | None, float | None]:
    forget_collected()
    families = settled()
    labels = {"cache_type": kind, "cache_name": "measured"}
    assert value(families, "metrics_collector_success", collector="cache_measured") == 1
    return value(families, "cache_items", **labels), value(families, "cache_size_bytes", **labels)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with services.redis_server() as url:
        yield url


@pytest.mark.parametrize("backend", REDIS)
def test_keys_in_a_redis_are_counted(cache: Any, redis_url: str, backend: str) -> None:
    measured = cache(backend, redis_url)
    measured.clear()
    before, little = fill("redis")
    measured.set_many({f"key-{number}": "x" * 10_000 for number in range(100)})
    after, much = fill("redis")
    measured.clear()
    assert (before, after) == (0, 100)
    assert little is not None
    assert much is not None
    assert much - little > 500_000
    assert fill("redis")[0] == 0


@pytest.mark.parametrize("backend", REDIS)
def test_replies_may_be_decoded(cache: Any, redis_url: str, backend: str) -> None:
    cache(backend, f"{redis_url}?decode_responses=True")
    assert None not in fill("redis")


@pytest.mark.parametrize("backend", REDIS)
def test_asking_a_redis_leaves_the_caches_own_connections_alone(cache: Any, redis_url: str, backend: str) -> None:
    measured = cache(backend, f"{redis_url}?max_connections=1")
    measured.get("key")
    for _ in range(3):
        assert None not in fill("redis")
    measured.get("key")


def test_keys_in_local_memory_are_counted(cache: Any) -> None:
    measured = cache(f"{DJANGO}.locmem.LocMemCache", "measured by the test")
    measured.clear()
    assert fill("locmem") == (0, 0)
    measured.set("a", "b")
    key = measured.make_key("a")
    assert fill("locmem") == (1, len(key) + len(pickle.dumps("b", pickle.HIGHEST_PROTOCOL)))
    measured.clear()


def test_the_size_of_local_memory_is_estimated_from_a_part_of_it(cache: Any) -> None:
    measured = cache(f"{DJANGO}.locmem.LocMemCache", "measured too", OPTIONS={"MAX_ENTRIES": 10_000})
    for number in range(5_000):
        measured.set(f"{number:06}", "x" * (1_000 if number < 2_500 else 3_000))
    items, size = fill("locmem")
    measured.clear()
    assert items == 5_000
    assert size == pytest.approx(5_000 * 2_000, rel=0.05)


def test_files_are_counted(cache: Any, tmp_path: Any) -> None:
    measured = cache(f"{DJANGO}.filebased.FileBasedCache", str(tmp_path))
    assert fill("file") == (0, None)
    measured.set_many({"a": 1, "b": 2})
    assert fill("file") == (2, None)


def test_rows_are_counted(cache: Any, settings: Any, add_database: AddDatabase, postgresql: Postgresql) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.CachesElsewhere"]
    add_database(postgresql.url)
    measured = cache(f"{DJANGO}.db.DatabaseCache", "kept")
    call_command("createcachetable", "kept", database="other", verbosity=0)
    assert fill("database") == (0, None)
    measured.set_many({"a": 1, "b": 2})
    assert fill("database") == (2, None)


class CachesElsewhere:
    """A router that keeps the cache's table in the database ``other``."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "other" if model._meta.app_label == "django_cache" else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return db == "other" if app_label == "django_cache" else None


def test_a_cache_that_keeps_nothing_has_no_numbers(cache: Any) -> None:
    cache(f"{DJANGO}.dummy.DummyCache")
    assert fill("dummy") == (None, None)


def test_a_cache_that_is_none_fails_alone(settings: Any) -> None:
    settings.OBSERVABILITY_CACHES = ("nowhere",)
    families = settled()
    assert value(families, "metrics_collector_success", collector="cache_nowhere") == 0


def test_all_caches_are_asked_where_none_is_named(settings: Any) -> None:
    settings.CACHES = {alias: {"BACKEND": f"{DJANGO}.locmem.LocMemCache"} for alias in ("default", "second")}
    settings.OBSERVABILITY_CACHES = None
    families = settled()
    assert {sample.labels["cache_name"] for sample in families["cache_items"].samples} == {"default", "second"}


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        (REDIS[0], "redis"), (REDIS[1], "redis"), (f"{DJANGO}.locmem.LocMemCache", "locmem"),
        (f"{DJANGO}.memcached.PyMemcacheCache", "memcached"), (f"{DJANGO}.db.DatabaseCache", "database"),
        (f"{DJANGO}.filebased.FileBasedCache", "file"), (f"{DJANGO}.dummy.DummyCache", "dummy"),
        (f"{DJANGO}.base.BaseCache", "other"), ("builtins.dict", "other"),
    ],
)  # fmt: skip
def test_a_backends_kind_is_known_of_those_that_derive_from_it_too(backend: str, kind: str) -> None:
    from django.utils.module_loading import import_string

    base = import_string(backend)
    assert cache_type_of(base) == cache_type_of(type("Own", (base,), {})) == kind
    assert kind in CACHE_TYPES


def test_a_collector_is_named_for_its_cache() -> None:
    assert CacheCollector("sessions").name == "cache_sessions"


def test_the_collectors_cache_is_not_measured_and_the_projects_is(cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = cache(f"{DJANGO}.locmem.LocMemCache", "measured by the test")
    asked: list[Any] = []
    monkeypatch.setattr("observability.collected.caches._fill", lambda one, _: asked.append(one) or Fill())
    list(CacheCollector("measured").collect())
    assert [getattr(one, ATTRIBUTE) for one in asked] == [None]
    assert getattr(measured, ATTRIBUTE) is not None
