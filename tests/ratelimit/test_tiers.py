"""What each tier may, by default and as a project sets it."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from ratelimit.bucket import Limit
from ratelimit.errors import InvalidLimitError, UnknownTierError
from ratelimit.tiers import RateLimitTier, counted_as, known_tiers, limit_for


@pytest.fixture(autouse=True)
def as_shipped(settings: Settings) -> None:
    settings.RATELIMIT_TIERS = {}


def test_the_tiers_are_as_announced() -> None:
    assert {tier: limit_for(tier) for tier in RateLimitTier} == {
        RateLimitTier.ANONYMOUS: Limit(100, 60),
        RateLimitTier.API_KEY: Limit(1_000, 60),
        RateLimitTier.PREMIUM: Limit(5_000, 60),
        RateLimitTier.ADMIN: None,
    }


def test_a_tier_goes_by_its_lower_case_name() -> None:
    assert [tier.value for tier in RateLimitTier] == ["anonymous", "api_key", "premium", "admin"]
    assert limit_for("premium") == limit_for(RateLimitTier.PREMIUM)


def test_a_project_changes_one_tier_and_keeps_the_others(settings: Settings) -> None:
    settings.RATELIMIT_TIERS = {"anonymous": {"limit": 10, "window_seconds": 1, "burst": 2}}
    assert limit_for("anonymous") == Limit(10, 1, 2)
    assert limit_for("premium") == Limit(5_000, 60)


def test_a_window_is_a_minute_and_a_burst_the_limit_unless_said(settings: Settings) -> None:
    settings.RATELIMIT_TIERS = {"anonymous": {"limit": 10}}
    assert limit_for("anonymous") == Limit(10, 60, 10)


def test_a_project_adds_a_tier(settings: Settings) -> None:
    settings.RATELIMIT_TIERS = {"partner": {"limit": 7}}
    assert limit_for("partner") == Limit(7)
    assert known_tiers() == ("anonymous", "api_key", "premium", "admin", "partner")


@pytest.mark.parametrize(
    ("assigned", "counted"), [("premium", "premium"), ("", "api_key"), ("gold", "api_key"), ("ADMIN", "api_key")]
)
def test_an_assignment_that_names_no_tier_gives_that_of_any_key(assigned: str, counted: str) -> None:
    assert counted_as(assigned) == counted


def test_no_limit_means_unlimited_and_the_admin_may_have_one(settings: Settings) -> None:
    settings.RATELIMIT_TIERS = {"premium": {"limit": None}, "admin": {"limit": 9}}
    assert limit_for("premium") is None
    assert limit_for("admin") == Limit(9)


def test_an_unknown_tier_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(UnknownTierError, match="There is no tier “gold”") as raised:
        limit_for("gold")
    assert raised.value.known == known_tiers()


@pytest.mark.parametrize(
    "wrong",
    [{}, {"limit": 0}, {"limit": -1}, {"limit": "100"}, {"limit": 5, "window_seconds": -1}, None, 100, {"limit": 1.5}],
)
def test_a_setting_that_is_no_limit_is_named(settings: Settings, wrong: Any) -> None:
    settings.RATELIMIT_TIERS = {"premium": wrong}
    with pytest.raises(InvalidLimitError, match=r"RATELIMIT_TIERS\['premium'\]"):
        limit_for("premium")


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"limit": 0}, "limit"), ({"limit": -1}, "limit"), ({"limit": "100"}, "limit"), ({"limit": True}, "limit"),
        ({"limit": 5, "window_seconds": 0}, "window_seconds"), ({"limit": 5, "window_seconds": -1}, "window_seconds"),
        ({"limit": 5, "window_seconds": None}, "window_seconds"), ({"limit": 5, "burst": 0}, "burst"),
        ({"limit": 5, "burst": -1}, "burst"), ({"limit": 5, "burst": 1.5}, "burst"),
        ({"limit": None, "burst": 0}, "burst"), ({"limit": 5, "window": 1}, "window"),
        ({"limit": 5, "Burst": 1}, "Burst"), ({"limit": 5, 3: 1}, "3"), ({"burst": 5}, "limit"),
    ],
)  # fmt: skip
def test_the_key_that_is_wrong_is_named(settings: Settings, wrong: Any, key: str) -> None:
    settings.RATELIMIT_TIERS = {"premium": wrong}
    with pytest.raises(InvalidLimitError, match=rf"RATELIMIT_TIERS\['premium'\].*{key}"):
        limit_for("premium")


def test_a_tier_that_is_wrong_leaves_the_others(settings: Settings) -> None:
    settings.RATELIMIT_TIERS = {"premium": {"limit": 0}, "api_key": {"limit": 7}}
    assert (limit_for("anonymous"), limit_for("api_key"), limit_for("admin")) == (Limit(100), Limit(7), None)
    assert known_tiers() == ("anonymous", "api_key", "premium", "admin")


@pytest.mark.parametrize("name", ["größe", "a:b", "Premium", "", "x" * 33, "a\n"])
def test_a_name_that_no_key_can_bear_is_no_tier_and_told_once(
    settings: Settings, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings.RATELIMIT_TIERS = {name: {"limit": 5}, "api_key": {"limit": 7}}
    for _ in range(3):
        assert (counted_as(name), limit_for("api_key")) == ("api_key", Limit(7))
    assert known_tiers() == ("anonymous", "api_key", "premium", "admin")
    assert [record.args for record in caplog.records] == [(name,)]


def test_the_longest_name_is_a_tier(settings: Settings) -> None:
    settings.RATELIMIT_TIERS = {"x" * 32: {"limit": 5}, "gold-2_b": {"limit": 6}}
    assert (limit_for("x" * 32), limit_for("gold-2_b")) == (Limit(5), Limit(6))


def test_the_same_object_is_given_until_a_setting_changes(settings: Settings) -> None:
    before = limit_for("premium")
    assert limit_for("premium") is before
    settings.RATELIMIT_TIERS = {"premium": {"limit": 6}}
    assert limit_for("premium") == Limit(6)
