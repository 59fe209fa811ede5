"""What one collector has last read, and its refreshing: by one thread at a time, however many ask."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, NamedTuple

from observability.collectors.base import name_of, snapshot_seconds_of
from observability.collectors.fitness import Fit, fit
from observability.collectors.lines import Lines, own_connections
from observability.conf import conf
from observability.errors import CollectorSettingError, UnfitFamilyError
from observability.metrics import errors

logger = logging.getLogger(__name__)

_LATE = "it does not come back"


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


class Run:
    """One refresh. ``ended`` is set once its thread has nothing more to say."""

    __slots__ = ("began_at", "deadline", "ended", "is_abandoned", "is_watched", "lines")

    def __init__(self, began_at: float, timeout_seconds: float) -> None:
        self.began_at = began_at
        self.deadline = began_at + timeout_seconds
        self.ended = Event()
        self.is_abandoned = self.is_watched = False
        self.lines = Lines()


class Snapshots:
    """Of one collector in one process; any thread may ask. A class is made an object by its first refresh."""

    def __init__(self, source: Any, name: str = "", clock: Callable[[], float] = monotonic) -> None:
        self.name = name or name_of(source)
        self.trouble = Trouble(self.name)
        self.clash = Trouble(self.name)  # with another's families, while all else is well
        self._source = source
        self._clock = clock
        self._lock = Lock()
        self._run: Run | None = None
        self._families: tuple[Fit, ...] | None = None
        self._taken_at = self._due_at = -inf
        self._is_well: bool | None = None
        self._duration_seconds: float | None = None

    def ask(self) -> Run | None:
        """Have it refreshed where it is too old; for what to wait then. Waits for nothing itself."""
        with self._lock:
            now = self._clock()
            run = self._run
            is_new = run is None and now >= self._due_at
            if is_new:
                run = self._run = Run(now, conf.collect_timeout_seconds)
        if run is None:
            return None
        if is_new:
            self._start(run)
        elif now >= run.deadline:
            self.abandon(run)  # a watch may be late, or missing where the system has no more threads
        return run

    def view(self) -> View:
        """With the age of what is served; not well while its refresh is overdue."""
        with self._lock:
            now = self._clock()
            run, families = self._run, self._families
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
            run = self._run
            if run is None:
                return
            run.is_abandoned = True
        run.lines.cut()

    def _start(self, run: Run) -> None:
        try:
            Thread(target=self._refresh, args=(run,), name=f"observability-{self.name}", daemon=True).start()
        except RuntimeError:  # no more threads, or the process is ending
            self._end(run, None, "no thread can be started for it")

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
            is_told = run.is_abandoned
            self._run = None
            self._duration_seconds = now - run.began_at
            self._is_well = families is not None
            fresh_seconds = snapshot_seconds_of(self._source, conf.snapshot_seconds)
            if families is not None:
                self._families, self._taken_at = families, run.began_at
                self._due_at = run.began_at + fresh_seconds
            else:
                if not is_late:
                    self._families = None  # it has answered: what it said before is no longer true
                self._due_at = now + min(fresh_seconds, conf.snapshot_seconds)  # what is rare is tried again soon
        if families is not None:
            self.trouble.end()
        elif not is_told:
            self.trouble.meet(_LATE if is_late else problem)
        run.ended.set()


class Broken:
    """An entry that makes no collector: it has nothing to show, and is not well."""

    def __init__(self, error: CollectorSettingError) -> None:
        self.name = error.path
        self.trouble = self.clash = Trouble(error.path)
        self.trouble.meet(error.problem.rstrip("."))

    def ask(self) -> None: ...

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
