"""Each check speaks up when it should, and only then."""

from __future__ import annotations

import re
from time import monotonic
from typing import Any, NoReturn

import pytest
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.core.cache.backends.base import BaseCache
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.middleware.security import SecurityMiddleware

from ratelimit import stores
from ratelimit import system_checks as module
from ratelimit.errors import StoreError
from ratelimit.middleware import RateLimitMiddleware
from ratelimit.system_checks import check_deployment, check_settings

AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
OURS = "ratelimit.middleware.RateLimitMiddleware"
LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
REDIS = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}  # nobody answers there


class DerivedAuthentication(AuthenticationMiddleware):
    """A project's own."""


class DerivedSecurity(SecurityMiddleware):
    """A project's own."""


class BrokenCache(BaseCache):
    """Raises what no cache should."""

    def __init__(self, *_: object) -> None:
        raise RuntimeError("a bug")


class DerivedLimit(RateLimitMiddleware):
    """A project's own."""


@pytest.fixture(autouse=True)
def all_is_well(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project in which no check has anything to say; each test breaks one thing."""
    monkeypatch.setattr(module, "eviction_policy", lambda: "noeviction")
    settings.MIDDLEWARE = [AUTHENTICATION, OURS]
    settings.CACHES = {"default": LOCMEM, "ratelimit": REDIS}
    settings.SECURE_PROXY_SSL_HEADER = None
    settings.USE_X_FORWARDED_HOST = False
    return settings


def found() -> list[str]:
    messages = [*check_settings(), *check_deployment()]
    assert all(message.hint for message in messages)
    return sorted({str(message.id).removeprefix("ratelimit.") for message in messages})


def test_a_sensible_project_hears_nothing() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIERS", ["anonymous"]), ("TIERS", None), ("ON_OUTAGE", "local"), ("EXPECTED_PROCESSES", "many"),
        ("EXPECTED_PROCESSES", None), ("READ_TIMEOUT_SECONDS", "soon"), ("MEMORY_KEYS", []), ("TRUSTED_PROXIES", 5),
        ("EXEMPT_PATHS", True), ("EXEMPT_PATHS", "/health/*"), ("EXEMPT_PATHS", [None]), ("IPV6_PREFIX", "wide"),
        ("TRUSTED_PROXIES", "10.0.0.0/8"), ("TRUSTED_PROXIES", [5]), ("MEMORY_KEYS", float("inf")), ("SECRET", None),
        ("KEY_PREFIX", None), ("CACHE", None), ("DENIED_VIEW", None), ("TIERS", {5: {"limit": 5}}),
    ],
)  # fmt: skip
def test_e001_a_setting_of_the_wrong_type(settings: Any, name: str, value: object) -> None:
    setattr(settings, f"RATELIMIT_{name}", value)
    assert found() == ["E001"]
    assert f"RATELIMIT_{name}" in check_settings()[0].msg


@pytest.mark.parametrize(
    "limit",
    [{"limit": 0}, {"limit": -5}, {"limit": 1.5}, {"limit": "100"}, {"limit": True}, {"limit": 10**9},
     {"limit": 100, "window_seconds": -1}, {"limit": 100, "window_seconds": 10**9}, {"limit": 100, "burst": -1},
     {"limit": 100, "burst": 10**9}, {}, {"burst": 20}, 100, "100/m", None, {"limit": 100, "window_seconds": 0},
     {"limit": 100, "burst": 0}, {"limit": 100, "window": 1}],
)  # fmt: skip
def test_e002_a_limit_that_is_none(settings: Any, limit: object) -> None:
    settings.RATELIMIT_TIERS = {"premium": limit}
    assert found() == ["E002"]
    assert "premium" in check_settings()[0].msg


@pytest.mark.parametrize(
    "limit", [{"limit": 1}, {"limit": 100, "window_seconds": 1, "burst": 5}, {"limit": 100_000}, {"limit": None}]
)
def test_e002_is_silent_about_limits(settings: Any, limit: object) -> None:
    settings.RATELIMIT_TIERS = {"premium": limit, "partner": limit}
    settings.RATELIMIT_ON_OUTAGE = {"partner": "closed"}
    assert found() == []


def test_e002_names_every_tier_that_is_wrong(settings: Any) -> None:
    settings.RATELIMIT_TIERS = {"premium": {"limit": 0}, "partner": {"limit": 5, "window": 1}, "gold": {"limit": 5}}
    settings.RATELIMIT_ON_OUTAGE = {"gold": "maybe"}
    assert found() == ["E002", "E003"]
    assert [message.msg.split(":")[0] for message in check_settings()[:2]] == [
        "RATELIMIT_TIERS['premium']['limit'] is 0",
        "RATELIMIT_TIERS['partner'] has “window”",
    ]


@pytest.mark.parametrize("name", ["größe", "a:b", "ANONYMOUS", "Premium", "two words", "{a}", "", "x" * 33, "a\n"])
def test_e002_a_name_that_no_tier_can_have(settings: Any, name: str) -> None:
    settings.RATELIMIT_TIERS = {name: {"limit": 5}}
    assert found() == ["E002"]
    assert repr(name) in check_settings()[0].msg
    assert "api_key" in (check_settings()[0].hint or "")


@pytest.mark.parametrize("name", ["anonymus", "api-key", "apikey", "admins"])
def test_w007_a_new_tier_whose_name_looks_like_an_old_one(settings: Any, name: str) -> None:
    settings.RATELIMIT_TIERS = {name: {"limit": 5}}
    assert found() == ["W007"]
    assert f"“{name}”" in check_settings()[0].msg


@pytest.mark.parametrize("name", ["gold", "partner", "internal", "premium_partner", "batch", "free"])
def test_w007_is_silent_about_names_of_their_own(settings: Any, name: str) -> None:
    settings.RATELIMIT_TIERS = {name: {"limit": 5}, "anonymous": {"limit": 5}, "admin": {"limit": 5}}
    assert found() == []


@pytest.mark.parametrize("on_outage", [{"gold": "local"}, {"premium": "maybe"}, {"premium": True}])
def test_e003_an_outage_policy_that_does_not_exist(settings: Any, on_outage: object) -> None:
    settings.RATELIMIT_ON_OUTAGE = on_outage
    assert found() == ["E003"]


def test_e003_is_silent_about_real_ones(settings: Any) -> None:
    settings.RATELIMIT_ON_OUTAGE = {"anonymous": "closed", "api_key": "local", "premium": "open", "admin": "open"}
    assert found() == []


def test_e004_a_cache_that_does_not_exist(settings: Any) -> None:
    settings.RATELIMIT_CACHE = "buckets"
    assert found() == ["E004"]


@pytest.mark.parametrize("backend", ["nowhere.Cache", f"{__name__}.BrokenCache"])
def test_e004_a_cache_that_cannot_be_made(settings: Any, backend: str) -> None:
    settings.CACHES = {"default": {"BACKEND": backend}}
    assert found() == ["E004"]


def test_e004_is_silent_about_a_cache_that_does(settings: Any) -> None:
    settings.CACHES = {"default": LOCMEM, "buckets": REDIS}
    settings.RATELIMIT_CACHE = "buckets"
    assert found() == []


@pytest.mark.parametrize("network", ["10.0.0.0/33", "10.0.0.1/8", "proxy.example", "", "fe80::/129"])
def test_e005_a_trusted_proxy_that_is_no_network(settings: Any, network: str) -> None:
    settings.RATELIMIT_TRUSTED_PROXIES = ["192.0.2.1", network]
    assert found() == ["E005"]


def test_e005_is_silent_about_networks(settings: Any) -> None:
    settings.RATELIMIT_TRUSTED_PROXIES = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1", "unix"]
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXPECTED_PROCESSES", 0), ("EXPECTED_PROCESSES", -1), ("READ_TIMEOUT_SECONDS", 0),
        ("READ_TIMEOUT_SECONDS", -1), ("READ_TIMEOUT_SECONDS", 30), ("READ_TIMEOUT_SECONDS", float("nan")),
        ("CONNECT_TIMEOUT_SECONDS", 0), ("CONNECT_TIMEOUT_SECONDS", 60), ("PROBE_INTERVAL_SECONDS", 0),
        ("PROBE_INTERVAL_SECONDS", 3600), ("REFRESH_SECONDS", -1), ("REFRESH_SECONDS", 5), ("MEMORY_KEYS", 0),
        ("DENY_CACHE_KEYS", -1), ("IPV6_PREFIX", 0), ("IPV6_PREFIX", 129),
    ],
)  # fmt: skip
def test_e006_a_number_that_makes_no_sense(settings: Any, name: str, value: float) -> None:
    setattr(settings, f"RATELIMIT_{name}", value)
    assert found() == ["E006"]
    assert f"RATELIMIT_{name}" in check_settings()[0].msg


def test_e006_is_silent_about_sensible_numbers(settings: Any) -> None:
    settings.RATELIMIT_EXPECTED_PROCESSES = 8
    settings.RATELIMIT_READ_TIMEOUT_SECONDS = 0.02
    settings.RATELIMIT_DENY_CACHE_KEYS = 0
    settings.RATELIMIT_IPV6_PREFIX = 48
    assert found() == []


@pytest.mark.parametrize("path", ["metrics", "*", "", "/a*b*", "http://x/health"])
def test_e007_a_path_that_exempts_nothing(settings: Any, path: str) -> None:
    settings.RATELIMIT_EXEMPT_PATHS = ["/metrics", path]
    assert found() == ["E007"]


def test_e007_is_silent_about_paths(settings: Any) -> None:
    settings.RATELIMIT_EXEMPT_PATHS = ["/metrics", "/health/*", "/"]
    assert found() == []


@pytest.mark.parametrize(
    "path", ["", "nowhere", "nowhere.at_all", "ratelimit.responses.nothing", "ratelimit.responses.TITLE"]
)
def test_e008_a_view_that_cannot_be_called(settings: Any, path: str) -> None:
    settings.RATELIMIT_DENIED_VIEW = path
    assert found() == ["E008"]


def test_e008_is_silent_about_a_function(settings: Any) -> None:
    settings.RATELIMIT_DENIED_VIEW = "ratelimit.responses.problem"
    assert found() == []


@pytest.mark.parametrize("prefix", ["", "two words", "{rate}", "ü", "x" * 65, "a\n"])
def test_e009_a_prefix_that_cannot_begin_a_key(settings: Any, prefix: str) -> None:
    settings.RATELIMIT_KEY_PREFIX = prefix
    assert found() == ["E009"]


def test_e009_is_silent_about_a_prefix(settings: Any) -> None:
    settings.RATELIMIT_KEY_PREFIX = "shop:rate_limit-2"
    assert found() == []


@pytest.mark.parametrize(
    "middleware",
    [
        [OURS, AUTHENTICATION],
        [OURS, f"{__name__}.DerivedAuthentication"],
        [f"{__name__}.DerivedLimit", AUTHENTICATION],
        [AUTHENTICATION, OURS, OURS],
    ],
)
def test_e010_middleware_in_a_wrong_place(settings: Any, middleware: list[str]) -> None:
    settings.MIDDLEWARE = middleware
    assert found() == ["E010"]


@pytest.mark.parametrize("middleware", [[OURS], ["nowhere.Middleware", AUTHENTICATION, f"{__name__}.DerivedLimit"]])
def test_e010_is_silent_about_a_right_place(settings: Any, middleware: list[str]) -> None:
    settings.MIDDLEWARE = middleware
    assert found() == []


@pytest.mark.parametrize(
    "path",
    [
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "csp.middleware.CSPMiddleware",
        f"{__name__}.DerivedSecurity",
    ],
)
def test_w009_headers_that_a_refusal_would_lack(settings: Any, path: str) -> None:
    pytest.importorskip(path.rpartition(".")[0])
    settings.MIDDLEWARE = [AUTHENTICATION, OURS, path]
    assert found() == ["W009"]
    assert path in check_settings()[0].msg
    settings.MIDDLEWARE = [path, AUTHENTICATION, OURS]
    assert found() == []


def test_w009_is_silent_about_those_whose_headers_belong_to_views(settings: Any) -> None:
    settings.MIDDLEWARE = [
        AUTHENTICATION, OURS, "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.http.ConditionalGetMiddleware", "nowhere.Middleware",
    ]  # fmt: skip
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("SECURE_PROXY_SSL_HEADER", ("HTTP_X_FORWARDED_PROTO", "https")), ("USE_X_FORWARDED_HOST", True)],
)
def test_w001_a_proxy_that_is_not_trusted(settings: Any, name: str, value: object) -> None:
    setattr(settings, name, value)
    assert found() == ["W001"]
    settings.RATELIMIT_TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert found() == []


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_w002_trust_in_everybody(settings: Any, network: str) -> None:
    settings.RATELIMIT_TRUSTED_PROXIES = ["10.0.0.0/8", network]
    assert found() == ["W002"]


def test_e011_an_empty_secret(settings: Any) -> None:
    settings.RATELIMIT_SECRET = ""
    assert found() == ["E011"]
    settings.RATELIMIT_SECRET = "long and random"
    assert found() == []


@pytest.mark.parametrize("header", ["X-Real-IP", "HTTP_X_FORWARDED_FOR", "X_Forwarded_For"])
def test_e012_a_header_that_is_never_read(settings: Any, header: str) -> None:
    settings.RATELIMIT_FORWARDED_HEADER = header
    assert found() == ["E012"]


@pytest.mark.parametrize("header", ["", "X-Forwarded-For", "forwarded"])
def test_e012_is_silent_about_those_that_are(settings: Any, header: str) -> None:
    settings.RATELIMIT_FORWARDED_HEADER = header
    assert found() == []


def test_w003_no_middleware(settings: Any) -> None:
    settings.MIDDLEWARE = [AUTHENTICATION]
    assert found() == ["W003"]


def test_w004_a_setting_that_does_not_exist(settings: Any) -> None:
    settings.RATELIMIT_TIER = {"anonymous": {"limit": 5}}
    assert found() == ["W004"]


@pytest.mark.parametrize("backend", [LOCMEM, {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}])
def test_w005_processes_that_count_apart_in_production_only(settings: Any, backend: object) -> None:
    settings.CACHES = {"default": backend}
    assert check_settings() == []
    assert found() == ["W005"]


def test_w005_is_silent_about_djangos_own_redis_cache(settings: Any) -> None:
    settings.CACHES = {"default": REDIS | {"BACKEND": "django.core.cache.backends.redis.RedisCache"}}
    assert found() == []


def test_w006_reading_the_database_each_time_in_production_only(settings: Any) -> None:
    settings.RATELIMIT_REFRESH_SECONDS = 0
    assert check_settings() == []
    assert found() == ["W006"]


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
def test_w008_a_redis_that_drops_buckets_in_production_only(
    settings: Any, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    monkeypatch.setattr(module, "eviction_policy", lambda: policy)
    assert check_settings() == []
    assert found() == ["W008"]
    assert policy in check_deployment()[0].msg


def test_w008_is_silent_where_there_is_no_redis(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "eviction_policy", stores.eviction_policy)
    settings.CACHES = {"default": LOCMEM}
    assert found() == ["W005"]


def test_i001_a_redis_that_cannot_be_asked(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "eviction_policy", stores.eviction_policy)
    began = monotonic()
    assert found() == ["I001"]
    assert monotonic() - began < 2
    [message] = check_deployment()
    assert "(refused)" in message.msg
    assert message.hint is not None
    assert "manage.py check --deploy --tag ratelimit" in message.hint
    call_command("check", tags=["ratelimit"], deploy=True, fail_level="WARNING")


def test_i001_an_answer_that_nobody_understands(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> NoReturn:
        raise TypeError("'int' object is not subscriptable")

    monkeypatch.setattr(module, "eviction_policy", stores.eviction_policy)
    monkeypatch.setattr("ratelimit.stores.redis.RedisStore.eviction_policy", fail)
    with pytest.raises(StoreError, match="unreadable"):
        stores.eviction_policy()
    assert found() == ["I001"]


def test_the_app_registers_its_checks(settings: Any) -> None:
    settings.RATELIMIT_EXPECTED_PROCESSES = 0
    with pytest.raises(SystemCheckError, match=re.escape("ratelimit.E006")):
        call_command("check", tags=["ratelimit"])


def test_what_is_for_production_is_asked_there_only(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings.CACHES = {"default": LOCMEM}
    call_command("check", tags=["ratelimit"])
    assert "W005" not in capsys.readouterr().err
    call_command("check", tags=["ratelimit"], deploy=True)
    assert "ratelimit.W005" in capsys.readouterr().err


def test_a_tier_in_shadow_has_to_exist(settings: Any) -> None:
    settings.RATELIMIT_ENFORCE = {"gold": False}
    assert "E013" in found()


@pytest.mark.parametrize(("enforce", "expected"), [(True, []), (False, ["I002"]), ({"premium": False}, ["I002"])])
def test_limits_that_are_only_counted_are_told_at_deployment(settings: Any, enforce: Any, expected: list[str]) -> None:
    settings.RATELIMIT_ENFORCE = enforce
    assert [id_ for id_ in found() if id_ == "I002"] == expected
