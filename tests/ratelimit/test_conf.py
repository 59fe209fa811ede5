"""What a setting is where the project left it out, wrote it, or wrote what cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as project

from ratelimit.conf import RateLimitSettings, conf

WRONG = [
    ("TIERS", None), ("TIERS", ["anonymous"]), ("TIERS", {5: {"limit": 5}}), ("CACHE", None), ("CACHE", ["default"]),
    ("KEY_PREFIX", None), ("KEY_PREFIX", "\udcff"), ("KEY_PREFIX", "größe"), ("KEY_PREFIX", "{rate}"),
    ("KEY_PREFIX", ""), ("SECRET", None), ("SECRET", "not UTF-8: \udcff"),
    ("ON_OUTAGE", "local"), ("ON_OUTAGE", None), ("EXPECTED_PROCESSES", "many"),
    ("EXPECTED_PROCESSES", None), ("EXPECTED_PROCESSES", 0), ("EXPECTED_PROCESSES", float("inf")),
    ("READ_TIMEOUT_SECONDS", "soon"), ("READ_TIMEOUT_SECONDS", 0), ("READ_TIMEOUT_SECONDS", float("nan")),
    ("CONNECT_TIMEOUT_SECONDS", -1), ("CONNECT_TIMEOUT_SECONDS", float("inf")), ("PROBE_INTERVAL_SECONDS", 0),
    ("PROBE_INTERVAL_SECONDS", float("inf")), ("MEMORY_KEYS", "lots"), ("MEMORY_KEYS", 0), ("MEMORY_KEYS", -1),
    ("DENY_CACHE_KEYS", -1), ("DENY_CACHE_KEYS", None), ("ENFORCE", "False"), ("ENFORCE", {"premium": 0}),
    ("TRUSTED_PROXIES", 5),
    ("TRUSTED_PROXIES", [5]), ("TRUSTED_PROXIES", "10.0.0.0/8"), ("FORWARDED_HEADER", None), ("IPV6_PREFIX", "wide"),
    ("IPV6_PREFIX", 0), ("EXEMPT_PATHS", True), ("EXEMPT_PATHS", "/health/*"), ("EXEMPT_PATHS", [None]),
    ("DENIED_VIEW", None), ("REFRESH_SECONDS", None), ("REFRESH_SECONDS", -1), ("REFRESH_SECONDS", float("nan")),
]  # fmt: skip


def test_every_setting_has_a_wrong_value_here() -> None:
    names = {name.upper() for name, value in vars(RateLimitSettings).items() if isinstance(value, property)}
    assert {name for name, _ in WRONG} == names


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_the_default_stands_in_for_what_cannot_be_meant(settings: Any, name: str, value: object) -> None:
    default = getattr(conf, name.lower())
    setattr(settings, f"RATELIMIT_{name}", value)
    assert getattr(conf, name.lower()) == default


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_read_as_it_is_written_it_raises(settings: Any, name: str, value: object) -> None:
    setattr(settings, f"RATELIMIT_{name}", value)
    with pytest.raises((TypeError, ValueError, OverflowError)):
        getattr(RateLimitSettings(), name.lower())


def test_it_is_told_once_until_a_setting_changes(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.RATELIMIT_MEMORY_KEYS = "lots"
    settings.RATELIMIT_IPV6_PREFIX = "wide"
    for _ in range(3):
        assert (conf.memory_keys, conf.ipv6_prefix) == (40_000, 64)
    assert [(record.levelname, record.args[0]) for record in caplog.records if record.args] == [
        ("ERROR", "RATELIMIT_MEMORY_KEYS"),
        ("ERROR", "RATELIMIT_IPV6_PREFIX"),
    ]
    settings.RATELIMIT_IPV6_PREFIX = 48
    assert (conf.memory_keys, conf.ipv6_prefix) == (40_000, 48)
    assert len(caplog.records) == 3


def test_a_secret_that_cannot_be_used_is_not_told(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    for value in ([b"the secret itself"], "the secret itself, not UTF-8: \udcff"):
        settings.RATELIMIT_SECRET = value
        assert conf.secret == project.SECRET_KEY
    assert "RATELIMIT_SECRET" in caplog.text
    assert "the secret itself" not in caplog.text


def test_what_the_environment_writes_is_understood(settings: Any) -> None:
    settings.RATELIMIT_EXPECTED_PROCESSES = "8"
    settings.RATELIMIT_READ_TIMEOUT_SECONDS = "0.02"
    settings.RATELIMIT_TRUSTED_PROXIES = ["10.0.0.0/8"]
    settings.RATELIMIT_TIERS = {"anonymous": {"limit": 5}}
    assert (conf.expected_processes, conf.read_timeout_seconds) == (8, 0.02)
    assert conf.trusted_proxies == ("10.0.0.0/8",)
    assert conf.tiers["anonymous"] == {"limit": 5}
    assert conf.tiers["premium"] == {"limit": 5_000, "window_seconds": 60}
