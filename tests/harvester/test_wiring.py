"""What the limiter and the probes tell is counted, by real requests on real servers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from celery.signals import worker_ready
from django.test import Client

from harvester import metrics, wiring
from harvester.config.celery import app
from harvester.metrics import Mishap
from health.engine import stop_engine
from health.signals import component_checked
from health.status import ComponentHealth, HealthStatus
from observability import get_metrics
from observability.metrics import TASK_OUTCOMES, background_task_duration, background_tasks_completed
from ratelimit import get_rate_limiter
from ratelimit.identity import Identity
from ratelimit.identity.identities import address_identity
from ratelimit.keys import new_key
from ratelimit.models import ApiKey
from ratelimit.signals import backend_changed, identity_rejected, request_checked
from tests import services
from tests.factories import make_user
from tests.harvester.moving import Watch, moves, values_of
from tests.health.fakes import only

CHEAP = "/robots.txt"
PATIENCE_SECONDS = 30
SIGNALS = (request_checked, identity_rejected, backend_changed, component_checked)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


# --- the limiter -----------------------------------------------------------------------------------------------------


@moves(metrics.rate_limit_requests, metrics.rate_limit_check_duration)
def test_an_admission_is_counted_once(client: Client) -> None:
    watch = Watch()
    assert client.get(CHEAP).status_code == 200
    assert watch.all_of(metrics.rate_limit_requests) == {("anonymous", "allowed"): 1}
    assert watch.all_of(metrics.rate_limit_check_duration) == {("memory",): 1}
    assert watch.all_of(metrics.rate_limit_denials) == {}


@pytest.fixture
def one_an_hour(settings: Any) -> Any:
    settings.RATELIMIT_TIERS = {"anonymous": {"limit": 1, "window_seconds": 3600}}
    settings.RATELIMIT_ENFORCE = True
    return settings


@moves(metrics.rate_limit_requests, metrics.rate_limit_denials)
def test_a_denial_is_counted_once(client: Client, one_an_hour: Any) -> None:
    watch = Watch()
    assert [client.get(CHEAP).status_code for _ in range(4)] == [200, 429, 429, 429]
    assert watch.all_of(metrics.rate_limit_requests) == {("anonymous", "allowed"): 1, ("anonymous", "denied"): 3}
    assert watch.all_of(metrics.rate_limit_denials) == {("anonymous",): 3}


def test_a_denial_that_is_let_through_is_none(client: Client, one_an_hour: Any) -> None:
    one_an_hour.RATELIMIT_ENFORCE = False
    watch = Watch()
    assert [client.get(CHEAP).status_code for _ in range(3)] == [200, 200, 200]
    assert watch.all_of(metrics.rate_limit_requests) == {("anonymous", "allowed"): 1, ("anonymous", "shadow"): 2}
    assert watch.all_of(metrics.rate_limit_denials) == {}


@pytest.mark.django_db
def test_each_tier_has_its_own_numbers(client: Client) -> None:
    watch = Watch()
    for tier in ("api_key", "premium", "admin"):
        key = ApiKey.objects.issue(name=tier, tier=tier)[1]
        assert client.get(CHEAP, headers={"X-API-Key": key}).status_code == 200
    assert watch.all_of(metrics.rate_limit_requests) == {
        ("api_key", "allowed"): 1,
        ("premium", "allowed"): 1,
        ("admin", "allowed"): 1,
    }
    assert watch.of(metrics.rate_limit_check_duration, "none") == 1, "nobody has to be asked for an admin"


@pytest.mark.django_db
@moves(metrics.rate_limit_identity_failures)
def test_keys_that_are_not_accepted_are_counted_by_why(client: Client) -> None:
    revoked, text = ApiKey.objects.issue(name="revoked")
    revoked.revoke()
    orphaned = ApiKey.objects.issue(name="orphaned", owner=make_user(is_active=False))[1]
    watch = Watch()
    for key in (new_key(), text, orphaned, "no key at all"):
        client.get(CHEAP, headers={"X-API-Key": key})
    assert watch.all_of(metrics.rate_limit_identity_failures) == {
        ("unknown",): 1,
        ("revoked",): 1,
        ("inactive_owner",): 1,
        ("malformed",): 1,
    }


def told_by_requests() -> set[str]:
    """The series of the page that a request can move, without their numbers."""
    moved = ("http_", "rate_limit_", "errors_", "exceptions_", "cache_", "metrics_dropped_")
    return {line.rpartition(" ")[0] for line in get_metrics().decode().splitlines() if line.startswith(moved)}


@pytest.mark.django_db
def test_ten_thousand_invented_keys_add_no_series(client: Client) -> None:
    for key in (new_key(), "no key at all"):
        client.get(CHEAP, headers={"X-API-Key": key})
    watch, before = Watch(), told_by_requests()
    for number in range(5_000):
        client.get(CHEAP, headers={"X-API-Key": new_key()})
        client.get(CHEAP, headers={"X-API-Key": f"invented {number}"})
    assert told_by_requests() - before == set()
    assert sum(watch.all_of(metrics.rate_limit_identity_failures).values()) == 10_000


@pytest.fixture
def buckets(settings: Any) -> Iterator[services.RedisProcess]:
    """A Redis of the limiter's own."""
    with services.redis_process() as server:
        location = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": server.url}
        settings.CACHES = {"default": settings.CACHES["default"], "ratelimit": location}
        settings.RATELIMIT_TIERS = {"anonymous": {"limit": 100, "window_seconds": 3600}}  # or buckets fill in no time
        yield server
        get_rate_limiter().close()


def is_up(backend: str) -> float:
    return values_of(metrics.rate_limiter_backend_up)[backend,]


@pytest.mark.django_db
@moves(metrics.rate_limiter_backend_up, metrics.rate_limiter_buckets_active, Mishap.RATE_LIMIT_FALLBACK)
def test_a_redis_that_dies_is_down_until_it_is_back(client: Client, buckets: services.RedisProcess) -> None:
    watch = Watch()
    assert client.get(CHEAP).status_code == 200
    assert is_up("redis") == 1
    assert watch.all_of(metrics.rate_limit_check_duration) == {("redis",): 1}
    assert values_of(metrics.rate_limiter_buckets_active) == {("redis",): 1, ("memory",): 0}
    before = sum(values_of(Mishap.RATE_LIMIT_FALLBACK).values())
    buckets.kill()
    assert [client.get(CHEAP).status_code for _ in range(3)] == [200, 200, 200]
    assert (is_up("redis"), is_up("memory")) == (0, 1)
    assert watch.of(metrics.rate_limit_check_duration, "memory") == 3
    assert values_of(metrics.rate_limiter_buckets_active) == {("memory",): 1}, "nobody knows of Redis now"
    assert sum(values_of(Mishap.RATE_LIMIT_FALLBACK).values()) == before + 1
    buckets.start()
    wait_until(lambda: is_up("redis") == 1)
    assert sum(values_of(Mishap.RATE_LIMIT_FALLBACK).values()) == before + 1


@pytest.mark.django_db
def test_a_flood_is_denied_without_asking_redis_and_counted_all_the_same(
    client: Client, settings: Any, buckets: Any
) -> None:
    settings.RATELIMIT_TIERS = {"anonymous": {"limit": 3, "window_seconds": 3600}}
    settings.RATELIMIT_ENFORCE = True
    watch = Watch()
    assert [client.get(CHEAP).status_code for _ in range(10)] == [200] * 3 + [429] * 7
    assert watch.all_of(metrics.rate_limit_requests) == {("anonymous", "allowed"): 3, ("anonymous", "denied"): 7}
    assert watch.all_of(metrics.rate_limit_denials) == {("anonymous",): 7}
    decided = watch.all_of(metrics.rate_limit_check_duration)
    assert sum(decided.values()) == 10
    assert set(decided) == {("redis",), ("deny_cache",)}
    assert decided["redis",] >= 3


def test_memory_that_was_asked_for_is_no_fallback(client: Client, settings: Any) -> None:
    settings.RATELIMIT_EXPECTED_PROCESSES = 2  # a limiter anew
    for _, child in metrics.rate_limiter_backend_up.series():
        child.set(-1)
    before = values_of(Mishap.RATE_LIMIT_FALLBACK)
    client.get(CHEAP)
    assert (is_up("memory"), is_up("redis")) == (1, -1)
    assert values_of(Mishap.RATE_LIMIT_FALLBACK) == before


# --- the probes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def probed(settings: Any) -> Iterator[Callable[..., None]]:
    """Components are found as told, and asked for."""

    def probe(**found: str) -> None:
        settings.HEALTH_CHECKS = only(**found)
        Client().get("/health/ready")

    yield probe
    stop_engine()


@moves(metrics.health_component_status, metrics.health_check_duration, Mishap.COMPONENT_UNHEALTHY)
def test_a_probe_tells_how_each_component_is(probed: Callable[..., None]) -> None:
    watch = Watch()
    before = values_of(Mishap.COMPONENT_UNHEALTHY)
    probed(well="healthy", ill="degraded", dead="unhealthy")
    status = values_of(metrics.health_component_status)
    assert [status[name,] for name in ("well", "ill", "dead")] == [2, 1, 0]
    assert watch.all_of(metrics.health_check_duration) == {("well",): 1, ("ill",): 1, ("dead",): 1}
    assert sum(values_of(Mishap.COMPONENT_UNHEALTHY).values()) == sum(before.values()) + 1


@moves(Mishap.COMPONENT_DEGRADED)
def test_only_what_becomes_worse_is_an_error(probed: Callable[..., None]) -> None:
    probed(changing="degraded")
    before = values_of(Mishap.COMPONENT_DEGRADED), values_of(Mishap.COMPONENT_UNHEALTHY)
    probed(changing="healthy")
    assert (values_of(Mishap.COMPONENT_DEGRADED), values_of(Mishap.COMPONENT_UNHEALTHY)) == before
    assert values_of(metrics.health_component_status)["changing",] == 2


def test_recovery_to_degraded_is_no_error() -> None:
    before = values_of(Mishap.COMPONENT_DEGRADED)
    wiring._count_decline(_component(HealthStatus.DEGRADED), HealthStatus.UNHEALTHY)
    assert values_of(Mishap.COMPONENT_DEGRADED) == before


def test_the_real_components_are_within_the_budget(client: Client, db: None) -> None:
    client.get("/health/ready")
    names = {name for (name,) in values_of(metrics.health_component_status)}
    stop_engine()
    assert {"database", "disk", "memory", "sources", "pipeline", "worker"} <= names
    assert "other" not in names


# --- the worker ------------------------------------------------------------------------------------------------------


class _Worker:
    """As much of Celery's as a listener may ask for."""

    app = app


def test_the_tasks_of_a_worker_are_there_from_the_start() -> None:
    app.loader.import_default_modules()
    worker_ready.send(sender=_Worker())
    names = {f"harvester.tasks.{name}" for name in ("harvest", "sweep_runs", "harvest_due")}
    assert set(values_of(background_tasks_completed)) >= set(product(names, TASK_OUTCOMES))
    assert {name for (name,) in values_of(background_task_duration)} >= names
    assert not any(name.startswith("celery.") for name, _ in values_of(background_tasks_completed))


# --- listening -------------------------------------------------------------------------------------------------------


def test_connecting_again_changes_nothing(client: Client) -> None:
    listening = [len(signal.receivers) for signal in SIGNALS]
    wiring.connect()
    assert [len(signal.receivers) for signal in SIGNALS] == listening
    watch = Watch()
    client.get(CHEAP)
    assert watch.of(metrics.rate_limit_requests, "anonymous", "allowed") == 1


def test_a_listener_costs_microseconds() -> None:
    """3 µs is the goal, and a busy machine may take ten times that."""
    calls = 5_000
    decision = get_rate_limiter().check(_somebody())
    listeners: dict[str, Callable[[], object]] = {
        "check": lambda: wiring._count_check(decision, False, 0.0001),
        "rejection": lambda: wiring._count_rejection("unknown"),
        "component": lambda: wiring._note_component(_WELL),
    }
    for name, listen in listeners.items():
        began = time.perf_counter()
        for _ in range(calls):
            listen()
        assert (time.perf_counter() - began) / calls < 30e-6, name


def _somebody() -> Identity:
    return address_identity("192.0.2.1")


def _component(status: HealthStatus) -> ComponentHealth:
    return ComponentHealth("a component", status, "", 1.0, datetime.now(UTC), 0.0, True)


_WELL = _component(HealthStatus.HEALTHY)
