"""What one collector has last read, and its refreshing: by one thread of one process at a time, however many ask."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Lock, Thread
from time import monotonic, time
from typing import Any, NamedTuple

from observability.collectors.base import is_of_this_process, name_of, snapshot_seconds_of
from observability.collectors.fitness import Fit, fit
from observability.collectors.lines import own_connections
from observability.collectors.runs import OthersRun, Run
from observability.collectors.sharing import Board, Told
from observability.conf import conf
from observability.errors import CollectorSettingError, UnfitFamilyError
from observability.metrics import errors
from observability.storage import storage

logger = logging.getLogger(__name__)

LONG_PATIENCE_SECONDS = 0.1
"""For the first of a collector, once for each run: a page without it would be no answer at all."""
_LATE = "it does not come back"
_FAR_TOO_OLD = 3
_FUTURE_SECONDS = 60.0
"""What a clock told that was later mended is not believed."""
_INSTANT = 1e-6


class View(NamedTuple):
    """What a collector has for the page now. None: it is not known yet."""

    name: str
    families: tuple[Fit, ...]
    is_well: bool | None
    age_seconds: float | None
    duration_seconds: float | None


class Trouble:
    """What is wrong with a collector: counted each time, told in the log when it changes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told = ""

    def meet(self, problem: str) -> None:
        with suppress(Exception):  # neither a log's handler nor a label's budget may end a refresh or a page
            errors.at("collector", "error").inc()
        if problem != self._told:
            self._told = problem
            with suppress(Exception):
                logger.error("The collector %s is of no use: %s.", self._name, problem)

    def end(self) -> None:
        if self._told:
            self._told = ""
            with suppress(Exception):
                logger.info("The collector %s is well again.", self._name)


class Snapshots:
    """Of one collector; any thread may ask. A class is made an object by its first refresh.

    Where processes share a folder, one of them refreshes it for all, and each shows what any of them has read last.
    """

    def __init__(self, source: Any, name: str = "", clock: Callable[[], float] = monotonic) -> None:
        self.name = name or name_of(source)
        self.trouble = Trouble(self.name)
        self.clash = Trouble(self.name)  # with another's families, while all else is well
        self._source = source
        self._clock = clock
        self._lock = Lock()
        self._board = None if is_of_this_process(source) else _board(self.name)
        self._run: Run | None = None
        self._others: OthersRun | None = None
        self._families: tuple[Fit, ...] | None = None
        self._told_at = self._taken_at = self._due_at = -inf
        self._is_well: bool | None = None
        self._duration_seconds: float | None = None

    def ask(self) -> Run | None:
        """For what to wait where it is too old: ``start`` that. Waits for nothing itself."""
        with self._lock:
            was_well = self._is_well
            self._catch_up()
            now = self._clock()
            run = self._run
            if run is None and self._is_due(now) and self._begin(now):
                run = self._run
            others = self._others = self._others if run is None and self._is_due(now) else None
            is_mended = self._is_well is True and was_well is False
        if is_mended:
            self.trouble.end()
        if run is None:
            return others if others is not None and now < others.deadline else None
        if now >= run.deadline:
            self.abandon(run)  # a watch may be late, or missing where the system has no more threads
        return run

    def start(self, run: Run) -> None:
        """Of a run that was asked for; every further time nothing happens."""
        with self._lock:
            if run.is_started:
                return
            run.is_started = True
        try:
            Thread(target=self._refresh, args=(run,), name=f"observability-{self.name}", daemon=True).start()
        except RuntimeError:  # no more threads, or the process is ending: nothing that others should know
            if run.claim is not None:
                run.claim.end()
            self._end(run, None, "no thread can be started for it")

    def view(self) -> View:
        """With the age of what is served; not well while its refresh is overdue."""
        with self._lock:
            now = self._clock()
            run, families = self._run or self._others, self._families
            is_overdue = run is not None and now >= run.deadline
            return View(
                self.name,
                families or (),
                False if is_overdue else self._is_well,
                None if families is None else max(0.0, now - self._taken_at),
                self._duration_seconds,
            )

    def abandon(self, run: Run) -> None:
        """Give a run up that is later than its deadline: nobody waits for it, and its connections are shut."""
        with self._lock:
            if self._run is not run or run.is_abandoned:
                return
            run.is_abandoned = True
            self._is_well = False
        run.lines.cut()
        self.trouble.meet(_LATE)

    def stop(self) -> None:
        """End what goes on, as far as that can be; nothing more is told of it."""
        with self._lock:
            run, self._board = self._run, None
            if run is None:
                return
            run.is_abandoned = True
        run.lines.cut()

    def _is_due(self, now: float) -> bool:
        return now >= self._due_at

    def _begin(self, now: float) -> bool:
        """Whether it is this thread's to start the run; else another's goes on, or has just ended."""
        claim = None
        if self._board is not None:
            try:
                claim = self._board.claim()
            except BlockingIOError:
                self._see_others(self._board, now)
                return False
            except OSError:  # the folder is of no use: every process for itself
                pass
            self._catch_up()
            if not self._is_due(now):
                if claim is not None:
                    claim.end()
                return False
        run = self._run = Run(now, conf.collect_timeout_seconds, self._patience_seconds(now), claim)
        run.told_at = time()
        if self._told_at <= run.told_at + _FUTURE_SECONDS:  # the later run is the newer one though the clock went back
            run.told_at = max(run.told_at, self._told_at + _INSTANT)
        if claim is not None:
            claim.begin(run.told_at)
        return True

    def _see_others(self, board: Board, now: float) -> None:
        claimed_at, others = board.claimed_at(), self._others
        if claimed_at is not None and claimed_at <= self._told_at:
            claimed_at = None  # that run has ended, and the one that goes on is only just beginning
        if others is not None and others.claimed_at == claimed_at:
            return
        timeout_seconds = conf.collect_timeout_seconds
        left = timeout_seconds if claimed_at is None else min(claimed_at - time(), 0.0) + timeout_seconds
        self._others = OthersRun(now, left, self._patience_seconds(now), self._has_caught_up)
        self._others.claimed_at = claimed_at

    def _patience_seconds(self, now: float) -> float:
        """More than a page has as a rule where it would show nothing, or what was true long ago, of what is well."""
        fresh_seconds = snapshot_seconds_of(self._source, conf.snapshot_seconds)
        is_in_want = self._families is None or now - self._taken_at > _FAR_TOO_OLD * fresh_seconds
        return LONG_PATIENCE_SECONDS if is_in_want and self._is_well is not False else 0.0

    def _has_caught_up(self) -> bool:
        with self._lock:
            self._catch_up()
            return not self._is_due(self._clock())

    def _catch_up(self) -> None:
        """Take over what another process has told, if that is newer. With the lock."""
        told = None if self._board is None else self._board.read()
        latest = time() + _FUTURE_SECONDS
        if told is not None and told.began_at <= latest and not told.began_at <= self._told_at <= latest:
            self._take(told, self._clock() - time())

    def _take(self, told: Told, offset: float) -> None:
        """With the lock; ``offset`` makes the clock's times of those since 1970."""
        now = self._clock()
        fresh_seconds = snapshot_seconds_of(self._source, conf.snapshot_seconds)
        self._told_at = told.began_at
        self._duration_seconds, self._is_well = told.duration_seconds, told.is_well
        self._families, self._taken_at = told.families, min(now, told.taken_at + offset)
        if told.is_well:
            self._due_at = self._taken_at + fresh_seconds
        else:  # what is rare is tried again soon
            ended_at = min(now, told.began_at + told.duration_seconds + offset)
            self._due_at = ended_at + min(fresh_seconds, conf.snapshot_seconds)

    def _refresh(self, run: Run) -> None:
        families, problem = None, "RuntimeError"
        try:
            with own_connections(run.lines, run.deadline - run.began_at):
                families = fit(self._object().collect())
        except BaseException as error:  # noqa: BLE001 - whatever a collector throws, SystemExit too, is its own failure
            problem = _problem(error)
        finally:
            self._end(run, families, problem)

    def _object(self) -> Any:
        if isinstance(self._source, type):
            self._source = self._source()
        return self._source

    def _end(self, run: Run, families: tuple[Fit, ...] | None, problem: str) -> None:
        with self._lock:
            now = self._clock()
            is_late = run.is_abandoned or now >= run.deadline
            is_known = run.is_abandoned
            shown, taken_at = families, run.began_at
            if families is None and is_late and self._families is not None:
                shown, taken_at = self._families, self._taken_at  # else it has answered: that is no longer true
            offset = run.began_at - run.told_at
            told = Told(run.told_at, now - run.began_at, families is not None, taken_at - offset, shown)
            board = self._board
        if run.claim is not None:
            if board is not None and run.claim.is_held:
                board.tell(told)  # before this process shows it: the next page may be another's
            run.claim.end()
        with self._lock:
            self._run = None
            self._take(told, offset)
        if families is not None:
            self.trouble.end()
        elif not is_known:
            self.trouble.meet(_LATE if is_late else problem)
        run.ended.set()


def _board(name: str) -> Board | None:
    return None if storage.folder is None else Board(storage.folder, name)


class Broken:
    """An entry that makes no collector: it has nothing to show, and is not well."""

    def __init__(self, error: CollectorSettingError) -> None:
        self.name = error.path
        self.trouble = self.clash = Trouble(error.path)
        self.trouble.meet(error.problem.rstrip("."))

    def ask(self) -> None: ...

    def start(self, run: Run) -> None: ...

    def abandon(self, run: Run) -> None: ...

    def view(self) -> View:
        return View(self.name, (), False, None, None)

    def stop(self) -> None: ...


class Immediate:
    """A collector of this app's that is read at each scrape, since it waits for nothing."""

    def __init__(self, source: Any) -> None:
        self.name = name_of(source)
        self.trouble = Trouble(self.name)
        self.clash = Trouble(self.name)  # with another's families, while all else is well
        self._source = source

    def ask(self) -> None: ...

    def start(self, run: Run) -> None: ...

    def abandon(self, run: Run) -> None: ...

    def view(self) -> View:
        began_at = monotonic()
        families: tuple[Fit, ...] | None = None
        try:
            families = fit(self._source.collect())
        except Exception as error:  # noqa: BLE001 - as any collector's
            self.trouble.meet(_problem(error))
        else:
            self.trouble.end()
        is_well = families is not None
        return View(self.name, families or (), is_well, 0.0 if is_well else None, monotonic() - began_at)

    def stop(self) -> None: ...


def _problem(error: BaseException) -> str:
    """Never the text of an error that is not ours: it may hold an address with a password."""
    if isinstance(error, UnfitFamilyError):
        return f"it {error.problem}"
    return type(error).__name__
