"""What clients are told of their limit."""

from __future__ import annotations

import math

import pytest
from django.http import HttpResponse
from hypothesis import given
from hypothesis import strategies as st

from ratelimit import headers
from ratelimit.bucket import SECOND, Decision, Limit
from ratelimit.headers import retry_after, stamp

HUNDRED_A_MINUTE = Limit(100, 60)
NOW = 1_790_000_000.25


def decision(taken: float, *, allowed: bool = True, limit: Limit = HUNDRED_A_MINUTE, cost: int = 1) -> Decision:
    """As it stands when ``taken`` tokens are gone."""
    now_us = 1_000 * SECOND
    return Decision(allowed, limit, now_us + int(taken * limit.interval_us), now_us, "anonymous", "redis", cost)


def limit_headers(one: Decision, unix_now: float) -> dict[str, str]:
    return dict(headers.limit_headers(one, unix_now).values())


def denial_headers(one: Decision, unix_now: float) -> dict[str, str]:
    return dict(headers.denial_headers(one, unix_now).values())


def test_half_of_the_bucket_is_left() -> None:
    assert limit_headers(decision(50), NOW) == {
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "50",
        "X-RateLimit-Reset": "1790000031",
        "RateLimit-Policy": '"default";q=100;w=60',
        "RateLimit": '"default";r=50;t=30',
    }


def test_a_part_of_a_token_is_none() -> None:
    assert limit_headers(decision(0.5), NOW)["X-RateLimit-Remaining"] == "99"


def test_reset_is_when_the_bucket_is_full_again_never_earlier() -> None:
    assert limit_headers(decision(1), 1_000.0)["X-RateLimit-Reset"] == "1001"
    assert limit_headers(decision(5), 1_000.0)["X-RateLimit-Reset"] == "1003"
    assert limit_headers(decision(0), 1_000.0)["X-RateLimit-Reset"] == "1000"


def test_a_scope_goes_by_its_name() -> None:
    told = limit_headers(decision(1, limit=Limit(20, 60))._replace(policy="search"), NOW)
    assert told["RateLimit-Policy"] == '"search";q=20;w=60'
    assert told["RateLimit"] == '"search";r=19;t=57'


def test_an_unlimited_tier_is_told_nothing() -> None:
    assert limit_headers(Decision(True, None, 0, 0, "admin", "none"), NOW) == {}


def test_a_denial_says_when_to_come_back() -> None:
    told = denial_headers(decision(99.5, allowed=False), NOW)
    assert told["Retry-After"] == "1"
    assert told["X-RateLimit-Remaining"] == "0"
    assert told["RateLimit"] == '"default";r=0;t=1'


def test_retry_after_is_rounded_up() -> None:
    hourly = Limit(10, 3600)
    assert retry_after(decision(10, allowed=False, limit=hourly)) == 360
    assert retry_after(decision(9.999, allowed=False, limit=hourly)) == math.ceil(0.999 * 360)


def test_with_nothing_left_the_window_ends_with_the_next_token() -> None:
    hourly = Limit(10, 3600)
    assert limit_headers(decision(10, limit=hourly), NOW)["RateLimit"] == '"default";r=0;t=360'
    assert limit_headers(decision(9.5, limit=hourly), NOW)["RateLimit"] == '"default";r=0;t=180'


limits = st.builds(Limit, st.integers(1, 10_000), st.integers(1, 86_400), st.integers(0, 300))


@given(limits, st.integers(0, 2**40), st.booleans(), st.integers(1, 50))
def test_the_draft_is_kept(limit: Limit, ahead_us: int, allowed: bool, cost: int) -> None:
    one = Decision(allowed, limit, ahead_us % (limit.capacity_us + 1), 0, "anonymous", "redis", cost)
    told = denial_headers(one, NOW)
    name, r, t = told["RateLimit"].split(";")
    remaining, window = int(r.removeprefix("r=")), int(t.removeprefix("t="))
    assert name == '"default"'
    assert 0 <= remaining == one.remaining <= limit.burst
    assert int(told["X-RateLimit-Reset"]) == math.ceil(NOW + one.reset_after_seconds)
    if allowed:  # section 6: the ratio of the two is capped, here at the limit's own rate
        assert remaining * limit.interval_us <= window * SECOND
    else:  # section 6: Retry-After should not point to an earlier time than the end of the window
        assert int(told["Retry-After"]) >= window >= 1


@pytest.mark.parametrize("taken", [0, 1, 37.3, 100])
def test_values_are_ascii_without_breaks(taken: float) -> None:
    for name, value in denial_headers(decision(taken, allowed=False), NOW).items():
        assert (name + value).isascii()
        assert (name + value).isprintable()


def test_stamping_sets_what_django_finds_again() -> None:
    response = HttpResponse(headers={"x-ratelimit-limit": "of an upstream", "Vary": "Cookie"})
    stamp(response, headers.limit_headers(decision(50), NOW))
    assert response["X-RATELIMIT-limit"] == "100"
    assert dict(response.items()) == {
        "Content-Type": "text/html; charset=utf-8",
        "Vary": "Cookie",
        **limit_headers(decision(50), NOW),
    }
    response["X-RateLimit-Limit"] = "of a view's own"
    del response["RateLimit"]
    assert response.headers["x-ratelimit-limit"] == "of a view's own"
    assert "ratelimit" not in response
