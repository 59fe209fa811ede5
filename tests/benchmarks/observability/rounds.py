"""The kinds of metrics timed in alternating rounds, each in processes of its own: foreign load meets all alike."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.comparison.environment import peers_python
from tests.benchmarks.comparison.workers import Worker

GENERATIONS = 3
"""How often the processes are begun anew: one may be lucky in how its memory lies."""


@dataclass(frozen=True)
class Subject:
    """A kind of metrics, in one process or as one of several."""

    kind: str
    is_shared: bool = False
    peers: Path | None = None
    """The peers' scripts, where it needs their environment."""

    @property
    def name(self) -> str:
        return self.kind + (", several" if self.is_shared else "") + (", peers" if self.peers else "")


NONE, OURS, PEER = Subject("none"), Subject("ours"), Subject("django-prometheus")
OURS_SHARED, PEER_SHARED = Subject("ours", is_shared=True), Subject("django-prometheus", is_shared=True)
ALL = (NONE, OURS, PEER, OURS_SHARED, PEER_SHARED)


@dataclass(frozen=True)
class Rounds:
    """Microseconds of CPU per call: subject → one figure for each round."""

    taken: Mapping[Subject, Sequence[float]]

    def typical(self, subject: Subject) -> float:
        return median(self.taken[subject])

    def least(self, subject: Subject) -> float:
        return min(self.taken[subject])

    def added(self, subject: Subject, bare: Subject) -> float:
        """The median of what it took more than the bare one of the same round."""
        return median(a - b for a, b in self._pairs(subject, bare))

    def ratio(self, subject: Subject, reference: Subject) -> float:
        """The median of the ratios within a round."""
        return median(a / b for a, b in self._pairs(subject, reference))

    def ratio_of_added(self, subject: Subject, peer: Subject, bare: Subject) -> float:
        rows = zip(self.taken[subject], self.taken[peer], self.taken[bare], strict=True)
        return median((ours - plain) / (theirs - plain) for ours, theirs, plain in rows)

    def least_ratio_of_added(self, subject: Subject, peer: Subject, bare: Subject) -> float:
        """Of the minima over all rounds."""
        plain = self.least(bare)
        return (self.least(subject) - plain) / (self.least(peer) - plain)

    def _pairs(self, one: Subject, other: Subject) -> Iterator[tuple[float, float]]:
        return zip(self.taken[one], self.taken[other], strict=True)


def timed(subjects: Sequence[Subject], target: str, *, rounds: int, calls: int) -> Rounds:
    """``rounds`` blocks of ``calls`` calls of each, in rotating order, in each generation."""
    taken: dict[Subject, list[float]] = {subject: [] for subject in subjects}
    for _ in range(GENERATIONS):
        with running(subjects) as workers:
            for worker in workers.values():
                worker.ask("time_block", target=target, calls=calls)
            for number in range(rounds):
                start = number % len(subjects)
                for subject in (*subjects[start:], *subjects[:start]):
                    taken[subject].append(workers[subject].ask("time_block", target=target, calls=calls))
    return Rounds(taken)


@contextlib.contextmanager
def running(subjects: Sequence[Subject]) -> Iterator[dict[Subject, Worker]]:
    with contextlib.ExitStack() as stack:
        workers = {}
        for subject in subjects:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-metrics-"))
            workers[subject] = worker = _worker(subject, folder)
            stack.callback(worker.end)
        yield workers


def _worker(subject: Subject, folder: str) -> Worker:
    environment = clean_environment() | {"BENCH_KIND": subject.kind}
    if subject.is_shared:
        environment["PROMETHEUS_MULTIPROC_DIR"] = folder
    python = str(peers_python(subject.peers)) if subject.peers else sys.executable
    return Worker([python, "-m", f"{__package__}.subject"], environment)


def clean_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
