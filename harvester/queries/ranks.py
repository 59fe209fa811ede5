"""How a score fades with time, and the one number that keeps the order while it does.

Every score halves every ``HALF_LIFE_HOURS``. Since all fade alike, the order of any two never changes, so it can be
stored: ``rank = log2(score) + hours_published / HALF_LIFE_HOURS``, hours counted from the Unix epoch. The score shown
at a later hour is ``2 ** (rank - hours_now / HALF_LIFE_HOURS)``.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Literal

HALF_LIFE_HOURS = 336  # two weeks
SMALLEST_SCORE = 0.01  # what a score of 0 counts as, since it has no logarithm

Band = Literal["notify", "strong", "fair", "low"]
#: The least shown score of each band; below the last is “low”.
BANDS: tuple[tuple[float, Band], ...] = ((85.0, "notify"), (60.0, "strong"), (40.0, "fair"))

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN_STEPS = 100  # a shown score is cut, not rounded, to hundredths: it never claims more than there is
_KEPT_DECIMALS = 6
_ROUNDING = 1e-7  # what the arithmetic may lose; a score this close below a hundredth counts as that hundredth


def full_hour(now: datetime) -> datetime:
    """The hour that has begun, in UTC; scores are shown as of it, so that all within an hour is equal."""
    return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def rank_of(score: float, published_at: datetime) -> float:
    """The sort key of an artifact with this score (0 to 100) at its publication."""
    return math.log2(max(score, SMALLEST_SCORE)) + _hours(published_at) / HALF_LIFE_HOURS


def lowest_score(min_score: float) -> float:
    """The least exact score that is shown as ``min_score`` (above 0) or more."""
    steps = max(math.ceil(min_score * _SHOWN_STEPS - _ROUNDING), 1)
    return steps / _SHOWN_STEPS - _ROUNDING


def lowest_rank(min_score: float, now: datetime) -> float:
    """The least rank whose score is shown as ``min_score`` (above 0) or more at ``now``."""
    return math.log2(lowest_score(min_score)) + _hours(full_hour(now)) / HALF_LIFE_HOURS


def score_at_publication(score: float) -> float:
    """The undecayed score to show: without what the arithmetic has lost."""
    return round(score, _KEPT_DECIMALS)


def decayed_score(score: float, published_at: datetime, now: datetime) -> float:
    """The score to show at ``now``: faded to the full hour, cut to hundredths, never above the one at publication."""
    hours = max(_hours(full_hour(now)) - _hours(published_at), 0.0)
    faded = score * math.exp2(-hours / HALF_LIFE_HOURS)
    return min(math.floor((faded + _ROUNDING) * _SHOWN_STEPS) / _SHOWN_STEPS, score_at_publication(score))


def band(score: float) -> Band:
    """The word for a shown score: notify from 85, strong from 60, fair from 40, else low."""
    return next((word for least, word in BANDS if score >= least), "low")


def _hours(moment: datetime) -> float:
    return (moment - _EPOCH) / timedelta(hours=1)
