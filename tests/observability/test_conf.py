"""Settings as projects write them, and what stands in for those that are missing or cannot be used."""

from __future__ import annotations

import logging
from ipaddress import ip_network
from typing import Any

import pytest
from django.conf import settings as project

from observability.conf import ObservabilitySettings, as_written, conf, forget_settled, on_change

NAMES = [name for name, value in vars(ObservabilitySettings).items() if isinstance(value, property)]
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
DEFAULTS = {
    "namespace": "",
    "path": "/metrics",
    "token": "",
    "allowed_networks": LOOPBACK,
    "collectors": (),
    "databases": None,
    "caches": None,
    "snapshot_seconds": 10.0,
    "collect_timeout_seconds": 5.0,
    "worker_port": 0,
    "worker_host": "127.0.0.1",
    "version": "",
    "strict": False,
}


@pytest.fixture(autouse=True)
def nothing_set(settings: Any) -> Any:
    for name in [name for name in dir(project) if name.startswith("OBSERVABILITY_")]:
        delattr(settings, name)
    forget_settled()
    return settings


def test_a_project_that_sets_nothing_has_the_defaults() -> None:
    assert {name: getattr(conf, name) for name in NAMES} == DEFAULTS
    assert {name: getattr(as_written, name) for name in NAMES} == DEFAULTS


@pytest.mark.parametrize(
    ("name", "written", "understood"),
    [
        ("NAMESPACE", "shop", "shop"), ("NAMESPACE", "shop_2", "shop_2"), ("NAMESPACE", "s", "s"),
        ("PATH", "/internal/metrics/", "/internal/metrics/"), ("PATH", "", ""),
        ("ALLOWED_NETWORKS", ["10.0.0.1/8"], (ip_network("10.0.0.0/8"),)),
        ("ALLOWED_NETWORKS", ["10.1.2.3", "fd00::/8"], (ip_network("10.1.2.3/32"), ip_network("fd00::/8"))),
        ("ALLOWED_NETWORKS", [], ()),
        ("COLLECTORS", ["shop.collectors.Stock"], ("shop.collectors.Stock",)),
        ("DATABASES", [], ()), ("DATABASES", {"default": 1}, ("default",)), ("CACHES", ("a", "b"), ("a", "b")),
        ("SNAPSHOT_SECONDS", "2.5", 2.5), ("COLLECT_TIMEOUT_SECONDS", 1, 1.0),
        ("WORKER_PORT", "9808", 9808), ("WORKER_PORT", 0, 0), ("STRICT", 1, True),
    ],
)  # fmt: skip
def test_a_setting_is_understood(settings: Any, name: str, written: object, understood: object) -> None:
    setattr(settings, f"OBSERVABILITY_{name}", written)
    assert getattr(conf, name.lower()) == getattr(as_written, name.lower()) == understood


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("NAMESPACE", "a-b"), ("NAMESPACE", "Shop"), ("NAMESPACE", "shop_"), ("NAMESPACE", None), ("PATH", "metrics"),
        ("PATH", "/"), ("TOKEN", None), ("TOKEN", "a\udcff"), ("ALLOWED_NETWORKS", "127.0.0.1"),
        ("ALLOWED_NETWORKS", None), ("ALLOWED_NETWORKS", ["everybody"]), ("COLLECTORS", "shop.Stock"),
        ("DATABASES", "default"), ("SNAPSHOT_SECONDS", -1), ("SNAPSHOT_SECONDS", None), ("WORKER_PORT", 70_000),
        ("COLLECT_TIMEOUT_SECONDS", "inf"), ("VERSION", 1),
    ],
)  # fmt: skip
def test_the_default_stands_in_for_what_cannot_be_used(
    settings: Any, caplog: pytest.LogCaptureFixture, name: str, written: object
) -> None:
    setattr(settings, f"OBSERVABILITY_{name}", written)
    with caplog.at_level(logging.ERROR, "observability"):
        assert getattr(conf, name.lower()) == DEFAULTS[name.lower()]
        assert getattr(conf, name.lower()) == DEFAULTS[name.lower()]
    assert [record.getMessage().split()[0] for record in caplog.records] == [f"OBSERVABILITY_{name}"], "told once"
    with pytest.raises((TypeError, ValueError)):
        getattr(as_written, name.lower())


def test_a_value_that_cannot_be_used_is_not_in_the_log(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.OBSERVABILITY_TOKEN = b"planted"
    with caplog.at_level(logging.DEBUG):
        assert conf.token == ""
    assert caplog.records
    assert "planted" not in caplog.text


def test_it_is_told_again_once_settings_have_changed(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        settings.OBSERVABILITY_WORKER_PORT = "http"
        assert conf.worker_port == 0
    assert len(caplog.records) == 2


def test_what_is_made_of_settings_is_made_anew_when_one_changes(settings: Any) -> None:
    made = []
    on_change(lambda: made.append(conf.path))
    settings.OBSERVABILITY_PATH = "/elsewhere"
    assert made == ["/elsewhere"]
