"""Whatever HEALTH_CHECKS says there are checks, and what makes none is seen and told without a secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from health.base import Check
from health.errors import CheckSettingError, UnusableOptionError
from health.registry import UnusableCheck, build_checks, make_checks
from health.status import HealthStatus
from health.system_checks import check_settings
from tests.health.fakes import Says, only, path_of


@dataclass(kw_only=True)
class Patient(Says):
    """Has a time of its own."""

    stale_seconds: float = 60.0


def problem(**options: Any) -> str:
    with pytest.raises(CheckSettingError) as caught:
        make_checks("mine", {"check": path_of(Patient), **options})
    return caught.value.problem


@pytest.mark.parametrize("worst", list(HealthStatus))
def test_the_worst_may_be_written_as_a_text(worst: HealthStatus) -> None:
    for written in (worst, worst.value):
        [check] = make_checks("mine", {"check": path_of(Says), "worst": written})
        assert check.worst is worst


@pytest.mark.parametrize("worst", ["bad", "DEGRADED", None, 1, ["degraded"]])
def test_another_worst_is_refused(worst: object) -> None:
    assert problem(worst=worst) == "write worst as 'healthy', 'degraded' or 'unhealthy'"


@pytest.mark.parametrize("name", ["deadline_seconds", "fresh_seconds", "stale_seconds"])
@pytest.mark.parametrize(
    "seconds", [0, -1, True, "2", None, float("nan"), float("inf"), 1e12, pytest.param(10**400, id="huge")]
)
def test_a_time_that_is_none_is_refused(name: str, seconds: object) -> None:
    assert problem(**{name: seconds}) == f"write {name} as a number of seconds above 0, such as 2"


@pytest.mark.parametrize("name", ["critical", "startup_only"])
@pytest.mark.parametrize("flag", ["no", 1, None])
def test_a_flag_that_is_none_is_refused(name: str, flag: object) -> None:
    assert problem(**{name: flag}) == f"write {name} as True or False"


def test_a_check_of_a_project_whose_own_defaults_are_unusable_is_refused(settings: Any) -> None:
    settings.HEALTH_CHECKS = only(mine={"check": path_of(Confused)})
    [check] = build_checks()
    assert isinstance(check, UnusableCheck)


@dataclass(kw_only=True)
class Confused(Says):
    """Written without a look at the types."""

    worst: Any = "degraded"


def test_there_is_a_check_for_each_entry(settings: Any) -> None:
    settings.HEALTH_CHECKS = only(one="healthy", two={"check": "nowhere.Check"})
    one, two = build_checks()
    assert isinstance(one, Says)
    assert isinstance(two, UnusableCheck)
    assert (two.name, two.run().status) == ("two", HealthStatus.UNHEALTHY)


class Broken(Says):
    """Its mistakes show when it is made."""

    @classmethod
    def expand(cls, name: str, options: Mapping[str, Any]) -> list[Check]:
        return [cls(name=name, status=options["nowhere"])]


class Empty(Says):
    """Forgets to return what it made."""

    @classmethod
    def expand(cls, *_: object) -> Any: ...


class Strange(Says):
    """Returns what is no check."""

    @classmethod
    def expand(cls, *_: object) -> Any:
        return ["check"]


@pytest.mark.parametrize("kind", [Broken, Empty, Strange])
def test_a_check_that_cannot_be_made_is_unusable_and_told(settings: Any, kind: type) -> None:
    settings.HEALTH_CHECKS = only(mine={"check": path_of(kind)}, other="healthy")
    assert [type(check) for check in build_checks()] == [UnusableCheck, Says]
    assert [message.id for message in check_settings() if "'mine'" in message.msg] == ["health.E002"]


@pytest.mark.parametrize("code", ["nowhere", "raise OSError", "import nowhere", "1 +"])
def test_a_module_that_cannot_be_imported_is_unusable_and_told(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    (tmp_path / "broken_for_a_test.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    settings.HEALTH_CHECKS = only(mine={"check": "broken_for_a_test.Check"})
    [check] = build_checks()
    assert isinstance(check, UnusableCheck)
    assert [message.id for message in check_settings() if "'mine'" in message.msg] == ["health.E002"]


SECRET = "redis://:hunter2@cache.internal/0"


class Counting(Says):
    """Python's own texts quote what they could not use."""

    @classmethod
    def expand(cls, name: str, options: Mapping[str, Any]) -> list[Check]:
        return [cls(name=name, deadline_seconds=int(options["count"]))]


class Same(Says):
    """Two components of one name."""

    @classmethod
    def expand(cls, name: str, options: Mapping[str, Any]) -> list[Check]:
        return [cls(name=name, **options)] * 2


class Asking(Says):
    """Says itself what to write."""

    @classmethod
    def expand(cls, *_: object) -> list[Check]:
        raise UnusableOptionError("write count as a number")


@pytest.mark.parametrize(
    "entry",
    [
        {"check": path_of(Counting), "count": SECRET},
        {"check": path_of(Says), SECRET: SECRET},
        {"check": SECRET},
        {"check": path_of(Says), "worst": SECRET},
    ],
)
def test_no_text_of_an_error_or_of_an_option_is_in_the_log(
    settings: Any, caplog: pytest.LogCaptureFixture, entry: dict[str, str]
) -> None:
    settings.HEALTH_CHECKS = only(mine=entry)
    build_checks()
    assert "HEALTH_CHECKS['mine'] makes no check" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"check": path_of(Counting), "count": SECRET}, "ValueError"),
        ({"check": path_of(Says), "worst": SECRET}, "UnusableOptionError"),
        ({"check": path_of(Same)}, "CheckSettingError"),
    ],
)
def test_the_log_names_the_kind_of_the_error(
    settings: Any, caplog: pytest.LogCaptureFixture, entry: dict[str, str], kind: str
) -> None:
    settings.HEALTH_CHECKS = only(mine=entry)
    build_checks()
    assert f"({kind})" in caplog.text


def test_the_system_check_shows_our_sentences_and_no_others() -> None:
    assert problem(check=path_of(Asking)) == "write count as a number"
    told = problem(check=path_of(Counting), count=SECRET)
    assert told == f"{path_of(Counting)} fails with ValueError when it is imported or made"


def test_an_option_that_there_is_not_is_named() -> None:
    assert problem(colour="red").endswith("Patient has no option colour")


class Twins(Says):
    """One entry, two components."""

    @classmethod
    def expand(cls, name: str, options: Mapping[str, Any]) -> list[Check]:
        return [cls(name=twin, **options) for twin in (name, f"{name}-twin")]


def unwell(settings: Any, **checks: Any) -> list[str]:
    """Of the components, and that the system check tells of as many."""
    settings.HEALTH_CHECKS = only(**checks)
    found = [check.name for check in build_checks() if isinstance(check, UnusableCheck)]
    assert [message.id for message in check_settings() if message.id == "health.E002"] == ["health.E002"] * len(found)
    return found


def test_a_component_that_has_anothers_name_is_unusable_and_told(settings: Any) -> None:
    twins = {"check": path_of(Twins)}
    taken: dict[str, Any] = {"mine-twin": "healthy"}
    assert unwell(settings, mine=twins) == []
    assert unwell(settings, mine=twins, **taken) == ["mine-twin"]
    assert unwell(settings, **taken, mine=twins) == ["mine"]


def test_one_that_has_the_name_of_an_unusable_one_does_not_hide_it(settings: Any) -> None:
    broken: dict[str, Any] = {"mine-twin": {"check": "nowhere.Check"}}
    assert unwell(settings, **broken, mine={"check": path_of(Twins)}) == ["mine-twin", "mine"]


def test_databases_whose_components_would_have_one_name_are_told(settings: Any, replicas: Replicas) -> None:
    replicas("Replica", "replica")
    [message] = [message for message in check_settings() if message.id == "health.E002"]
    assert "database-replica" in message.msg
    assert [check.name for check in build_checks() if isinstance(check, UnusableCheck)] == ["database"]


def test_the_component_of_a_database_has_a_name_that_can_stand_in_a_url(settings: Any, replicas: Replicas) -> None:
    replicas("a b/c", "Größe")
    assert [check.name for check in build_checks()] == ["database-a-b-c", "database-gr--e"]


def test_an_expanded_name_that_cannot_stand_in_a_url_is_refused(settings: Any) -> None:
    assert unwell(settings, mine={"check": path_of(Misnamed)}) == ["mine"]


class Misnamed(Says):
    """Takes no care."""

    @classmethod
    def expand(cls, name: str, options: Mapping[str, Any]) -> list[Check]:
        return [cls(name=f"{name} of ours", **options)]


Replicas = Callable[..., None]


@pytest.fixture
def replicas(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Replicas:
    """Databases of these aliases, and no other component."""

    def add(*aliases: str) -> None:
        for alias in aliases:
            monkeypatch.setitem(connections.settings, alias, connections.settings["default"])
        settings.HEALTH_DATABASES = aliases
        settings.HEALTH_CHECKS = {"redis": None, "disk": None, "memory": None, "migrations": None}

    return add


@pytest.mark.parametrize(
    ("entry", "is_critical"),
    [
        ({"check": "health.checks.memory.MemoryCheck", "no_such": 1}, False),
        ({"check": "health.checks.memory.MemoryCheck", "no_such": 1, "critical": True}, True),
        ({"check": "health.checks.disk.DiskCheck", "no_such": 1}, True),
        ({"check": "health.checks.disk.DiskCheck", "no_such": 1, "critical": False}, False),
        ({"check": "nowhere.Check"}, True),
        ({"check": "nowhere.Check", "critical": False}, False),
        ({"check": 5, "critical": "no"}, True),
    ],
)
def test_a_slip_in_what_is_optional_takes_no_pod_out(settings: Any, entry: dict[str, Any], is_critical: bool) -> None:
    settings.HEALTH_CHECKS = only() | {"mine": entry}
    (check,) = build_checks()
    assert isinstance(check, UnusableCheck)
    assert check.critical is is_critical
