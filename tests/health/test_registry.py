"""Whatever HEALTH_CHECKS says there are checks, and what makes none is seen and told without a secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from health.errors import CheckSettingError
from health.registry import UnusableCheck, build_checks, make_checks
from health.status import HealthStatus
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
