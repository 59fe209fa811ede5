"""One component: its check's runs and threads, and the verdict that probes read.

At most one run is awaited at a time. A second one starts only when the first is hung, with a fresh instance of the
check, so that a dead connection never stands in the way of a new one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from queue import Empty, SimpleQueue
from threading import Lock, Thread, current_thread
from time import monotonic

from health.base import Check, Finding
from health.status import ComponentHealth, HealthStatus

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Between the starts of two runs while the component is hung: nobody's probe has to wait to see it back."""
GRACE_SECONDS = 0.01
"""What a probe waits for a run where the last one was late: long enough for a component that is well again."""
SLOW_FOR_SECONDS = 600.0
"""So long after an answer that came late the component counts as slow: its runs are waited for until interrupted."""
TEDIOUS_SECONDS = 0.9
"""A run that fails only after so long has kept somebody waiting enough, however long its deadline is."""
INTERRUPTED_AFTER_DEADLINES = 2
INTEREST_SECONDS = 60.0
"""So long after the last question a component that is not well is watched, and a thread and its connection kept."""
MOST_THREADS = 2

_MESSAGES = {
    "failed": "It failed ({error}).",
    "late": "It answered after {seconds:.1f} s, later than its deadline of {deadline:g} s.",
    "timed_out": "It did not answer within {deadline:g} s.",
    "not_run": "No thread could be started for it.",
}

Notice = Callable[[ComponentHealth, HealthStatus | None, bool], None]
"""Told of a verdict: the component, its status before, and whether that has changed."""
Wake = Callable[[float], None]
"""Told when (monotonic) the watch has to tick."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run led to; times are monotonic."""

    status: HealthStatus
    message: str
    seconds: float
    run_began_at: float
    reached_at: float
    checked_at: datetime
    is_answer: bool = True
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """What a run raised: the class's name, and never its text."""

    error: str


class ThreadRefusedError(Exception):
    """The system gives this process no further thread."""


class Run:
    """One look of the check. ``ended`` is done once there is a verdict to read, be it that of a run hung."""

    __slots__ = ("began_at", "check", "ended", "is_interrupted", "is_timed_out")

    def __init__(self, check: Check, began_at: float) -> None:
        self.check = check
        self.began_at = began_at
        self.ended: Future[None] = Future()
        self.ended.set_running_or_notify_cancel()  # whoever stops waiting must not end it for the others
        self.is_timed_out = False
        self.is_interrupted = False


@dataclass(frozen=True, slots=True)
class Wait:
    """For whom to wait, and until when (monotonic)."""

    ended: Future[None]
    until: float


class Runner:
    """Of one check in one process; any thread may call."""

    def __init__(self, check: Check, notice: Notice, wake: Wake, clock: Callable[[], float] = monotonic) -> None:
        self.check = check
        self._notice = notice
        self._wake = wake
        self._clock = clock
        self._lock = Lock()
        self._verdict: Verdict | None = None
        self._runs: list[Run] = []
        self._idle: _Worker | None = None
        self._asked_at = self._started_at = -inf
        self._is_stopped = False

    # --- for probes --------------------------------------------------------------------------------------------------

    def ask(self) -> Wait | None:
        """Start a run where the last verdict is too old; for whom to wait then, or None where there is no need."""
        with self._lock:
            self._asked_at = now = self._clock()
            before = self._verdict
            if before is not None and now - before.reached_at < self._fresh_for(before):
                return None
            run = self._awaited() or self._start(now)
            verdict = self._verdict
        self._tell(verdict, before)
        if run is None:
            return None
        if before is not None and before.is_late and now - before.reached_at < INTEREST_SECONDS:
            return Wait(run.ended, now + GRACE_SECONDS)
        return Wait(run.ended, run.began_at + self.check.deadline_seconds)

    @property
    def is_known(self) -> bool:
        return self._verdict is not None

    def component(self) -> ComponentHealth:
        """What was last found out, with its age; that no run could be started, where nothing was."""
        now = self._clock()
        return self._as_component(self._verdict or self._engines_own("not_run", now, now))

    def time_out(self, at: float) -> None:
        """For whoever has waited until ``at`` (monotonic): a watch may be late on a busy machine, and a timer early."""
        with self._lock:
            before = self._verdict
            ended = self._time_out(max(self._clock(), at))
            verdict = self._verdict
        self._end(ended, verdict, before)

    # --- for the engine's watch --------------------------------------------------------------------------------------

    def tick(self) -> float:
        """Time out, interrupt and retry what is due; when to come again (monotonic, ``inf`` for not at all).

        Waits for nothing but the check's ``interrupt``.
        """
        with self._lock:
            now = self._clock()
            before = self._verdict
            ended = self._time_out(now)
            hung = [run for run in self._runs if not run.is_interrupted and now >= self._interrupted_at(run)]
            for run in hung:
                run.is_interrupted = True
            if now >= self._retried_at():
                self._start(now)
            verdict = self._verdict
            due = min([self._retried_at(), *(self._next_of(run) for run in self._runs)])
        self._end(ended, verdict, before)
        for run in hung:
            _interrupt(run.check)
        return due

    def stop(self) -> list[Thread]:
        """Run nothing more and let go of everything; the threads that are about to end."""
        with self._lock:
            self._is_stopped = True
            idle, self._idle = self._idle, None
            runs = list(self._runs)
        for run in runs:
            run.is_interrupted = True
            _interrupt(run.check)
        if idle is None:
            return []
        idle.give(None)
        return [idle.thread]

    # --- for its threads ---------------------------------------------------------------------------------------------

    def finish(self, worker: _Worker, run: Run, found: Finding | Failure) -> bool:
        """Take what a run found; whether the thread is kept for the next one."""
        with self._lock:
            now = self._clock()
            before = self._verdict
            self._runs.remove(run)
            answer = self._judge(run, found, now)
            if answer is not None:
                self._verdict = answer
            is_kept = self._idle is None and not self._is_stopped
            if is_kept:
                self._idle = worker
            due = self._retried_at()
        self._end([] if run.is_timed_out else [run], self._verdict if answer is None else answer, before)
        if due < inf:
            self._wake(due)
        return is_kept

    def retire(self, worker: _Worker) -> bool:
        """Whether a thread that had nothing to do for long may end: not if it was given a run just now."""
        with self._lock:
            if self._idle is not worker:
                return False
            self._idle = None
            return True

    # --- under the lock ----------------------------------------------------------------------------------------------

    def _awaited(self) -> Run | None:
        return next((run for run in self._runs if not run.is_timed_out), None)

    def _start(self, now: float) -> Run | None:
        if len(self._runs) >= MOST_THREADS or self._is_stopped:
            return None
        self._started_at = now
        worker, self._idle = self._idle, None
        try:
            worker = worker or _Worker(self, self.check.fresh())
        except ThreadRefusedError:
            self._verdict = self._engines_own("not_run", now, now)
            return None
        except Exception as error:  # noqa: BLE001 - whatever a check throws that cannot be made
            self._verdict = self._engines_own("failed", now, now, error=type(error).__name__)
            return None
        run = Run(worker.check, now)
        self._runs.append(run)
        worker.give(run)
        return run

    def _time_out(self, now: float) -> list[Run]:
        """The runs that nobody waits for any longer, from now on."""
        ended = [run for run in self._runs if not run.is_timed_out and now >= self._timed_out_at(run)]
        for run in ended:
            run.is_timed_out = True
            self._verdict = self._engines_own("timed_out", run.began_at, now, is_answer=False, is_late=True)
        return ended

    def _judge(self, run: Run, found: Finding | Failure, now: float) -> Verdict | None:
        """The verdict that follows; None if a later run has answered, or if it only tells of our own interruption."""
        last = self._verdict
        if last is not None and last.is_answer and last.run_began_at > run.began_at:
            return None
        seconds = now - run.began_at
        is_late = run.is_timed_out or seconds > self.check.deadline_seconds
        if isinstance(found, Failure):
            if run.is_interrupted:
                return None
            is_late = is_late or seconds > TEDIOUS_SECONDS
            return self._engines_own("failed", run.began_at, now, is_late=is_late, error=found.error)
        status, message = found.status.at_worst(self.check.worst), found.message
        if is_late and status is HealthStatus.HEALTHY:
            status = HealthStatus.DEGRADED
            message = _MESSAGES["late"].format(seconds=seconds, deadline=self.check.deadline_seconds)
        return Verdict(status, message, seconds, run.began_at, now, datetime.now(UTC), is_late=is_late)

    def _engines_own(
        self, code: str, began_at: float, now: float, *, is_answer: bool = True, is_late: bool = False, error: str = ""
    ) -> Verdict:
        message = _MESSAGES[code].format(deadline=self.check.deadline_seconds, error=error)
        status = HealthStatus.UNHEALTHY.at_worst(self.check.worst)
        return Verdict(status, message, now - began_at, began_at, now, datetime.now(UTC), is_answer, is_late)

    def _timed_out_at(self, run: Run) -> float:
        """At its deadline; where answers come, but late, when it is interrupted: what is slow is not dead."""
        last = self._verdict
        is_slow = last is not None and last.is_late and last.is_answer and last.status is not HealthStatus.UNHEALTHY
        if is_slow and last is not None and run.began_at - last.reached_at < SLOW_FOR_SECONDS:
            return self._interrupted_at(run)
        return run.began_at + self.check.deadline_seconds

    def _interrupted_at(self, run: Run) -> float:
        return run.began_at + INTERRUPTED_AFTER_DEADLINES * self.check.deadline_seconds

    def _next_of(self, run: Run) -> float:
        if not run.is_timed_out:
            return self._timed_out_at(run)
        return inf if run.is_interrupted else self._interrupted_at(run)

    def _fresh_for(self, verdict: Verdict) -> float:
        """Seconds. What is unhealthy is asked again soon, so that a start or a recovery waits for nothing."""
        fresh = self.check.fresh_seconds
        return min(fresh, RETRY_SECONDS) if verdict.status is HealthStatus.UNHEALTHY or not verdict.is_answer else fresh

    def _retried_at(self) -> float:
        """When the watch itself starts the next run, if no question does."""
        verdict = self._verdict
        if verdict is None or not verdict.is_late or self._is_stopped:
            return inf
        if len(self._runs) >= MOST_THREADS or self._awaited() is not None:
            return inf
        at = self._started_at + max(RETRY_SECONDS, self._fresh_for(verdict))
        return at if at < self._asked_at + INTEREST_SECONDS else inf

    # --- telling -----------------------------------------------------------------------------------------------------

    def _as_component(self, verdict: Verdict) -> ComponentHealth:
        age = max(0.0, self._clock() - verdict.reached_at)
        return ComponentHealth(
            name=self.check.name,
            status=verdict.status,
            message=verdict.message,
            check_duration_ms=round(verdict.seconds * 1000, 2),
            checked_at=verdict.checked_at,
            age_ms=round(age * 1000, 1),
            critical=self.check.critical,
        )

    def _end(self, ended: list[Run], verdict: Verdict | None, before: Verdict | None) -> None:
        for run in ended:
            run.ended.set_result(None)
        self._tell(verdict, before)

    def _tell(self, verdict: Verdict | None, before: Verdict | None) -> None:
        if verdict is None or verdict is before:
            return
        previous = None if before is None else before.status
        with suppress(Exception):  # a log's handler that raises must end neither the check nor the watch
            self._notice(self._as_component(verdict), previous, previous is not verdict.status)


class _Worker:
    """A thread with its own instance of the check, and so its own connection."""

    def __init__(self, runner: Runner, check: Check) -> None:
        self.check = check
        self._runner = runner
        self._given: SimpleQueue[Run | None] = SimpleQueue()
        self.thread = Thread(target=self._work, name=f"health-{check.name}", daemon=True)
        try:
            self.thread.start()
        except RuntimeError as error:  # no more threads, or the process is ending
            raise ThreadRefusedError from error

    def give(self, run: Run | None) -> None:
        self._given.put(run)

    def _work(self) -> None:
        is_kept = True
        while is_kept:
            try:
                run = self._given.get(timeout=INTEREST_SECONDS)
            except Empty:
                is_kept = not self._runner.retire(self)
                continue
            if run is None:
                break
            is_kept = self._runner.finish(self, run, _look(run.check))
        try:
            self.check.close()
        except Exception as error:  # noqa: BLE001 - whatever a driver throws, the thread ends in peace
            logger.warning("%s could not let go (%s).", current_thread().name, type(error).__name__)


def _look(check: Check) -> Finding | Failure:
    try:
        found: object = check.run()
    except BaseException as error:  # noqa: BLE001 - whatever a check throws, SystemExit too, is what it found
        return Failure(type(error).__name__)  # not the error itself: its frames would keep a connection open
    if not isinstance(found, Finding):
        return Failure("no Finding")
    kinds = [type(found.status), type(found.message)]  # a project's own code may be untyped
    return found if kinds == [HealthStatus, str] else Failure("no Finding")


def _interrupt(check: Check) -> None:
    try:
        check.interrupt()
    except Exception as error:  # noqa: BLE001 - as above; the watch goes on
        logger.warning("The check of %s could not be interrupted (%s).", check.name, type(error).__name__)
