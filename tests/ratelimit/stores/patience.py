"""How long something may take: the contract's goal, which a busy machine may miss now and then."""

from __future__ import annotations

from collections.abc import Callable

TRIALS = 5
NEVER = 10  # times the goal: what no trial may take, however busy the machine


def in_time(trial: Callable[[], float], goal_seconds: float) -> None:
    """The best of a few trials reaches the goal. ``trial`` returns how long it took, in seconds."""
    took: list[float] = []
    for _ in range(TRIALS):
        took.append(trial())
        assert took[-1] < NEVER * goal_seconds, took
        if took[-1] <= goal_seconds:
            return
    raise AssertionError(f"{min(took):.3f} s at best instead of {goal_seconds:.3f}: {took}")
