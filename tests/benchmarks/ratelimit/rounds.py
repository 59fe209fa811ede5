"""Alternating rounds: everything that is compared is timed in each, so that foreign load meets all of it alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.benchmarks.comparison.workers import Worker


@dataclass(frozen=True)
class Runner:
    """One thing to be timed: a worker's target."""

    worker: Worker
    target: str


@dataclass(frozen=True)
class Rounds:
    """What each runner's block took in each round, as a median in microseconds."""

    medians: dict[Runner, list[float]] = field(default_factory=dict)

    def typical_us(self, runner: Runner) -> float:
        return median(self.medians[runner])

    def ratio(self, runner: Runner, reference: Runner) -> float:
        """The median of the ratios within one round."""
        return median(a / b for a, b in zip(self.medians[runner], self.medians[reference], strict=True))

    def added(self, runner: Runner, bare: Runner) -> list[float]:
        """By how much more it took than the bare one of the same round."""
        return [a - b for a, b in zip(self.medians[runner], self.medians[bare], strict=True)]


def timed_rounds(runners: Sequence[Runner], rounds: int, calls: int) -> Rounds:
    """``rounds`` times a block of ``calls`` calls of each, in rotating order, after one time that only warms."""
    result = Rounds({runner: [] for runner in runners})
    for number in range(-1, rounds):
        start = number % len(runners)
        for runner in (*runners[start:], *runners[:start]):
            taken = runner.worker.ask("median_us", target=runner.target, count=calls)
            if number >= 0:
                result.medians[runner].append(taken)
    return result
