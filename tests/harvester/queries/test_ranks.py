"""Scores fade alike, and what is shown is what is filtered by."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.queries.ranks import (
    HALF_LIFE_HOURS,
    band,
    decayed_score,
    full_hour,
    lowest_rank,
    lowest_score,
    rank_of,
    score_at_publication,
)

NOW = datetime(2026, 11, 23, 16, 25, 7, tzinfo=UTC)
HOUR = datetime(2026, 11, 23, 16, tzinfo=UTC)

scores = st.floats(0, 100)
moments = st.integers(0, 20 * 365 * 86_400).map(lambda seconds: NOW - timedelta(seconds=seconds))


def test_a_score_halves_in_a_half_life() -> None:
    assert decayed_score(80, HOUR - timedelta(hours=HALF_LIFE_HOURS), NOW) == 40


def test_a_score_is_shown_as_of_the_full_hour() -> None:
    published = HOUR - timedelta(hours=5)
    assert decayed_score(80, published, HOUR) == decayed_score(80, published, HOUR + timedelta(minutes=59))
    assert decayed_score(80, published, HOUR + timedelta(hours=1)) < decayed_score(80, published, HOUR)


def test_a_score_is_never_above_the_one_at_publication() -> None:
    assert decayed_score(80, NOW + timedelta(days=30), NOW) == 80


def test_what_the_arithmetic_has_lost_is_not_shown() -> None:
    assert score_at_publication(59.99999999999999) == 60
    assert decayed_score(59.99999999999999, HOUR, NOW) == 60


def test_the_full_hour_is_in_utc() -> None:
    assert full_hour(datetime.fromisoformat("2026-11-23T17:55:00+05:30")) == datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_nothing_has_a_rank_too() -> None:
    assert rank_of(0, HOUR) == rank_of(0.01, HOUR)


@pytest.mark.parametrize(
    ("score", "word"),
    [(100, "notify"), (85, "notify"), (84.99, "strong"), (60, "strong"), (40, "fair"), (39.99, "low")],
)
def test_a_band_begins_at_its_least_score(score: float, word: str) -> None:
    assert band(score) == word


@given(scores, moments, scores, moments)
def test_the_order_by_rank_is_the_order_by_shown_score(
    one: float, one_published: datetime, other: float, other_published: datetime
) -> None:
    if rank_of(one, one_published) > rank_of(other, other_published) and one >= other:
        assert decayed_score(one, one_published, NOW) >= decayed_score(other, other_published, NOW)


@given(scores, moments, st.floats(0, 100, exclude_min=True))
def test_what_passes_the_least_score_is_what_is_shown_as_that_or_more(
    score: float, published: datetime, least: float
) -> None:
    exact = score * 2 ** (-((HOUR - published) / timedelta(hours=HALF_LIFE_HOURS)))
    if math.isclose(exact, lowest_score(least), rel_tol=1e-9):
        return  # closer than a stored rank can tell
    passes = rank_of(score, published) >= lowest_rank(least, NOW) and score >= lowest_score(least)
    assert passes == (decayed_score(score, published, NOW) >= least)


@pytest.mark.parametrize("least", [5e-324, 1e-148, 1e-9, 0.001])
def test_a_tiny_least_score_drops_what_is_shown_as_nothing(least: float) -> None:
    assert lowest_score(least) == pytest.approx(0.01, abs=1e-6)
