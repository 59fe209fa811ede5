"""Each check speaks up about what is wrong, and about nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from health.base import Check
from health.gunicorn import VARIABLES
from health.middleware import HealthMiddleware
from health.system_checks import check_settings
from tests.health.fakes import Raises, Says, only, path_of

OURS = "health.middleware.HealthMiddleware"
SECURITY = "django.middleware.security.SecurityMiddleware"


class Derived(HealthMiddleware):
    """A project's own."""


@dataclass(kw_only=True)
class Slow(Says):
    """Has a threshold."""

    slow_seconds: float = 9.0


@dataclass(kw_only=True)
class Nothing(Check):
    """Has nothing to look at here."""

    @classmethod
    def expand(cls, *_: object) -> list[Check]:
        return []


@pytest.fixture(autouse=True)
def all_is_well(settings: Any, tmp_path: Path) -> Any:
    """A project in which no check has anything to say; each test breaks one thing."""
    settings.MIDDLEWARE = [OURS, SECURITY]
    settings.HEALTH_CHECKS = only(database="healthy")
    settings.HEALTH_DISK_PATH = tmp_path
    return settings


def found() -> list[str]:
    messages = check_settings()
    assert all(message.hint for message in messages)
    return sorted({str(message.id).removeprefix("health.") for message in messages})


def test_a_sensible_project_hears_nothing(settings: Any) -> None:
    assert found() == []
    settings.HEALTH_TOKEN = "0123456789abcdef"
    settings.HEALTH_DETAIL_NETWORKS = ["10.0.0.0/8", "::1"]
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHECKS", ["database"]), ("CHECKS", None), ("DATABASES", "default"),
        ("DATABASES", None), ("CACHE", None), ("DISK_PATH", 5), ("TOKEN", 5), ("TOKEN", None), ("TOKEN", b"secret"),
        ("DETAIL_NETWORKS", "10.0.0.0/8"), ("DETAIL_NETWORKS", ["unix"]), ("DETAIL_NETWORKS", [5]),
        ("PATH", "health"), ("PATH", "/"), ("PATH", ""), ("VERSION", 4.2),
        ("SERVER_TIMEOUT_SECONDS", -1), ("SERVER_TIMEOUT_SECONDS", float("nan")),
    ],
)  # fmt: skip
def test_e001_a_setting_that_cannot_be_read(settings: Any, name: str, value: object) -> None:
    setattr(settings, f"HEALTH_{name}", value)
    assert found() == ["E001"]
    assert f"HEALTH_{name} " in check_settings()[0].msg


def test_e001_does_not_quote_the_token(settings: Any) -> None:
    settings.HEALTH_TOKEN = "hunter2\udcff"
    assert found() == ["E001"]
    [message] = check_settings()
    assert "hunter2" not in str(message)
    assert "udcff" not in str(message)
    assert message.msg.endswith(": UnicodeEncodeError.")


def test_e001_says_what_is_wanted(settings: Any) -> None:
    settings.HEALTH_PATH = "health"
    assert "a path that begins with a slash is wanted" in check_settings()[0].msg


def test_e001_says_what_is_wrong_with_a_token_of_another_kind(settings: Any) -> None:
    settings.HEALTH_TOKEN = 5
    assert check_settings()[0].msg.endswith(": a text is wanted, not int.")


@pytest.mark.parametrize(
    "entry",
    [
        "", "nowhere", "nowhere.Check", "django.http.HttpResponse", "health.base.found", {}, {"check": 5},
        {"check": path_of(Says), "colour": "red"}, 5, ["nowhere.Check"], True, object(),
    ],
)  # fmt: skip
def test_e002_an_entry_that_makes_no_check(settings: Any, entry: object) -> None:
    settings.HEALTH_CHECKS = only() | {"mine": entry}
    assert found() == ["E002"]
    assert "HEALTH_CHECKS['mine']" in check_settings()[0].msg


def test_e002_an_entry_of_the_wrong_kind_in_place_of_a_default_one(settings: Any) -> None:
    settings.HEALTH_CHECKS = only(disk="healthy") | {"database": 5}
    assert found() == ["E002"]
    assert "HEALTH_CHECKS['database']" in check_settings()[0].msg


@pytest.mark.parametrize("name", ["deadline_seconds", "fresh_seconds"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "2", None])
def test_e002_a_time_that_is_none(settings: Any, name: str, value: object) -> None:
    settings.HEALTH_CHECKS = only(mine={"check": path_of(Says), name: value})
    assert found() == ["E002"]


@pytest.mark.parametrize(
    "options", [{"worst": "bad"}, {"worst": None}, {"critical": "no"}, {"critical": None}, {"startup_only": 1}]
)
def test_e002_what_the_engine_could_not_work_with(settings: Any, options: Any) -> None:
    settings.HEALTH_CHECKS = only(mine={"check": path_of(Says), **options})
    assert found() == ["E002"]


@pytest.mark.parametrize("name", ["Mine", "my check", "", "a/b", "größe", "a\udcff", 5, None, b"disk"])
def test_e002_a_name_that_no_component_can_have(settings: Any, name: object) -> None:
    settings.HEALTH_CHECKS = only() | {name: path_of(Says)}
    assert found() == ["E002"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"deadline_seconds": 4.9}, []),
        ({"deadline_seconds": 5}, ["E003"]),
        ({"deadline_seconds": 20, "startup_only": True}, []),
        ({"deadline_seconds": 30, "startup_only": True}, ["E003", "E004"]),
    ],
)
def test_e003_a_deadline_that_is_later_than_the_probes(settings: Any, options: Any, expected: list[str]) -> None:
    settings.HEALTH_CHECKS = only(mine={"check": path_of(Raises), **options})
    assert found() == expected


def test_e004_a_deadline_that_is_later_than_the_servers(settings: Any) -> None:
    settings.HEALTH_CHECKS = only(mine={"check": path_of(Raises), "deadline_seconds": 2})
    settings.HEALTH_SERVER_TIMEOUT_SECONDS = 2
    assert found() == ["E004"]
    settings.HEALTH_SERVER_TIMEOUT_SECONDS = 2.1
    assert found() == []


def test_e004_is_silent_where_the_server_has_no_timeout(settings: Any) -> None:
    """gunicorn's ``timeout = 0``."""
    settings.HEALTH_CHECKS = only(mine={"check": path_of(Raises), "deadline_seconds": 2})
    settings.HEALTH_SERVER_TIMEOUT_SECONDS = 0
    assert found() == []


@pytest.mark.parametrize(("name", "value"), [("DATABASES", ["default", "replica"]), ("CACHE", "sessions")])
def test_e005_an_alias_that_does_not_exist(settings: Any, name: str, value: object) -> None:
    setattr(settings, f"HEALTH_{name}", value)
    assert found() == ["E005"]


def test_w001_no_middleware(settings: Any) -> None:
    settings.MIDDLEWARE = [SECURITY, "nowhere.Middleware"]
    assert found() == ["W001"]


@pytest.mark.parametrize("middleware", [[SECURITY, OURS], ["nowhere.Middleware", f"{__name__}.Derived"]])
def test_w002_middleware_that_is_not_first(settings: Any, middleware: list[str]) -> None:
    settings.MIDDLEWARE = middleware
    assert found() == ["W002"]
    assert middleware[0] in check_settings()[0].msg


def test_w002_is_silent_about_a_projects_own(settings: Any) -> None:
    settings.MIDDLEWARE = [f"{__name__}.Derived", SECURITY]
    assert found() == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("HEALTH_TOKENS", "Did you mean HEALTH_TOKEN?"),
        ("HEALTH_NETWORKS", "Did you mean HEALTH_DETAIL_NETWORKS?"),
        ("HEALTH_ZZZZZZZZZZZZZZZZ", "There are HEALTH_CHECKS, "),
    ],
)
def test_w003_a_setting_that_does_not_exist(settings: Any, name: str, hint: str) -> None:
    setattr(settings, name, 5)
    assert found() == ["W003"]
    assert str(check_settings()[0].hint).startswith(hint)


@pytest.mark.parametrize("name", VARIABLES)
def test_w003_a_variable_of_gunicorns_environment(settings: Any, name: str) -> None:
    setattr(settings, name, 5)
    assert found() == ["W003"]
    assert "environment" in str(check_settings()[0].hint)


def test_w004_a_check_that_was_asked_for_and_has_nothing_to_look_at(settings: Any) -> None:
    settings.HEALTH_CHECKS = only(redis={"check": path_of(Nothing)}, database="healthy")
    assert found() == ["W004"]


@pytest.mark.parametrize(("slow", "expected"), [(0.4, []), (0.5, ["W005"]), (3, ["W005"])])
def test_w005_a_threshold_that_is_never_reached(settings: Any, slow: float, expected: list[str]) -> None:
    settings.HEALTH_CHECKS = only(mine={"check": path_of(Slow), "deadline_seconds": 0.5, "slow_seconds": slow})
    assert found() == expected


LOCMEM = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


def test_a_project_that_has_set_nothing_hears_nothing(settings: Any) -> None:
    """No Redis, SQLite, the default checks: what of them has nothing to look at was not asked for."""
    del settings.HEALTH_CHECKS
    settings.CACHES = LOCMEM
    assert found() == []


def test_w004_is_about_what_was_asked_for_by_name(settings: Any) -> None:
    settings.CACHES = LOCMEM
    settings.HEALTH_CHECKS = {"disk": {"critical": False}}
    assert found() == []
    settings.HEALTH_CHECKS = {"redis": {"critical": True}}
    assert found() == ["W004"]


@pytest.mark.parametrize(("name", "value"), [("DATABASES", ["replica"]), ("CACHE", "sessions")])
def test_e005_is_told_once_and_not_for_each_default_check(settings: Any, name: str, value: object) -> None:
    del settings.HEALTH_CHECKS
    settings.CACHES = LOCMEM
    setattr(settings, f"HEALTH_{name}", value)
    assert [message.id for message in check_settings()] == ["health.E005"]


def test_e005_hides_no_entry_that_makes_no_check(settings: Any) -> None:
    settings.CACHES = LOCMEM
    settings.HEALTH_DATABASES = ["replica"]
    settings.HEALTH_CHECKS = only() | {"mine": "nowhere.Check"}
    assert found() == ["E002", "E005"]


def test_w005_is_silent_about_a_checks_own_threshold(settings: Any) -> None:
    settings.HEALTH_CHECKS = only(mine={"check": path_of(Slow)})
    assert found() == []


def test_w007_a_token_that_may_be_guessed(settings: Any) -> None:
    settings.HEALTH_TOKEN = "0123456789abcde"
    assert found() == ["W007"]
    assert "0123456789abcde" not in str(check_settings())


@pytest.mark.parametrize("token", [" 0123456789abcdef", "0123456789abcdef\n", "01234567\n89abcdef"])
def test_w008_a_token_that_nobody_can_send(settings: Any, token: str) -> None:
    settings.HEALTH_TOKEN = token
    assert found() == ["W008"]


@pytest.mark.parametrize(
    "networks",
    [
        ["0.0.0.0/0"],
        ["::/0"],
        ["0.0.0.0/1", "128.0.0.0/1"],
        ["128.0.0.0/1", "0.0.0.0/2", "64.0.0.0/2"],
        ["::/1", "8000::/1"],
        ["::ffff:0:0/96"],  # all of IPv4, as a server that listens on [::] sees it
        ["::ffff:0.0.0.0/97", "::ffff:128.0.0.0/97"],
        ["::/64"],
        ["2000::/3"],  # all that is routed
    ],
    ids=str,
)
def test_w009_details_for_everybody(settings: Any, networks: list[str]) -> None:
    settings.HEALTH_DETAIL_NETWORKS = ["10.0.0.0/8", "fd00::/8", *networks]
    assert found() == ["W009"]


def test_w009_is_silent_about_less_than_everybody(settings: Any) -> None:
    settings.HEALTH_DETAIL_NETWORKS = ["0.0.0.0/1", "10.0.0.0/8", "::1", "fd00::/8", "::ffff:10.0.0.0/104"]
    assert found() == []


def test_w010_a_disk_path_that_is_not_there(settings: Any, tmp_path: Path) -> None:
    settings.HEALTH_CHECKS = only(disk="healthy")
    for path in (tmp_path / "none", "a\0b"):
        settings.HEALTH_DISK_PATH = path
        assert found() == ["W010"]
    settings.HEALTH_CHECKS = only(database="healthy")
    assert found() == []


@pytest.mark.parametrize("path", ["/", "/..", "//", Path("/")])
def test_w011_the_root_of_everything(settings: Any, path: object) -> None:
    settings.HEALTH_CHECKS = only(disk="healthy")
    settings.HEALTH_DISK_PATH = path
    assert found() == ["W011"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"critical": True, "worst": "degraded"}, ["W006"]),
        ({"critical": True, "worst": "unhealthy"}, []),
        ({"critical": True}, []),
        ({"worst": "degraded"}, []),
        ({"critical": False, "worst": "healthy"}, []),
    ],
)
def test_w006_a_critical_one_that_is_never_unhealthy(settings: Any, options: Any, expected: list[str]) -> None:
    settings.HEALTH_CHECKS = only(mine={"check": path_of(Says), **options})
    assert found() == expected


def test_the_app_registers_its_checks(settings: Any) -> None:
    settings.HEALTH_PATH = "health"
    with pytest.raises(SystemCheckError, match=re.escape("health.E001")):
        call_command("check", tags=["health"])
