"""Runs the checks for all who ask, in WSGI and ASGI, commands, metrics and pages, and never keeps anyone waiting long.

A probe reads a verdict that is younger than a second. Else one run is started for all who ask, and they wait for it at
most the check's deadline.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from collections.abc import Collection, Iterable
from concurrent.futures import TimeoutError as NotDone
from contextlib import suppress
from math import inf
from threading import Condition, Lock, Thread
from time import monotonic

from health.base import Check
from health.conf import on_change
from health.errors import UnknownComponentError
from health.registry import build_checks
from health.runner import Runner, Wait
from health.signals import component_checked, status_changed
from health.status import ComponentHealth, HealthStatus

logger = logging.getLogger(__name__)

STOP_SECONDS = 1.0
WATCHED_AGAIN_SECONDS = 1.0
_LEVELS = {
    HealthStatus.HEALTHY: logging.INFO,
    HealthStatus.DEGRADED: logging.WARNING,
    HealthStatus.UNHEALTHY: logging.ERROR,
}


class Engine:
    """One for a process (``get_engine``); any thread and task may ask."""

    def __init__(self, checks: Iterable[Check]) -> None:
        self._runners = {check.name: Runner(check, self._notice, self._watch_from) for check in checks}
        self._wake = Condition()
        self._watch: Thread | None = None
        self._due = inf
        self._is_stopped = False

    # --- for whoever asks --------------------------------------------------------------------------------------------

    def names(self, *, startup: bool, exclude: Collection[str] = ()) -> list[str]:
        """Of the components that readiness looks at, or startup, in the order of the settings."""
        runners = self._runners.items()
        return [name for name, one in runners if name not in exclude and (startup or not one.check.startup_only)]

    def look(self, names: Iterable[str]) -> tuple[ComponentHealth, ...]:
        """What is to be said of these components now. Waits for the longest deadline among them at most.

        Raises UnknownComponentError.
        """
        runners = self._named(names)
        waits = self._ask(runners)
        for runner, wait in waits:
            try:
                wait.ended.result(max(0.0, wait.until - monotonic()))
            except NotDone:
                runner.time_out(wait.until)
        return tuple(runner.component() for runner in runners)

    async def alook(self, names: Iterable[str]) -> tuple[ComponentHealth, ...]:
        """As ``look``, on an event loop, without a thread."""
        runners = self._named(names)
        waits = self._ask(runners)
        if waits:
            await asyncio.gather(*(_wait(wait) for _, wait in waits))
        for runner, wait in waits:
            if not wait.ended.done():
                runner.time_out(wait.until)
        return tuple(runner.component() for runner in runners)

    def known(self) -> tuple[ComponentHealth, ...]:
        """What was last found out, without asking anything: for metrics."""
        return tuple(runner.component() for runner in self._runners.values() if runner.is_known)

    # --- for settings and tests --------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the threads and their connections; waits for them a second at most."""
        with self._wake:
            self._is_stopped = True
            self._wake.notify()
        ending = [thread for runner in self._runners.values() for thread in runner.stop()]
        if self._watch is not None:
            ending.append(self._watch)
        until = monotonic() + STOP_SECONDS
        for thread in ending:
            thread.join(max(0.0, until - monotonic()))

    # --- inside ------------------------------------------------------------------------------------------------------

    def _named(self, names: Iterable[str]) -> list[Runner]:
        try:
            return [self._runners[name] for name in names]
        except KeyError as error:
            raise UnknownComponentError(str(error.args[0]), tuple(self._runners)) from None

    def _ask(self, runners: list[Runner]) -> list[tuple[Runner, Wait]]:
        waits = [(runner, wait) for runner in runners if (wait := runner.ask()) is not None]
        if waits:
            self._watch_from(min(wait.until for _, wait in waits))
        return waits

    def _watch_from(self, due: float) -> None:
        with self._wake:
            if self._is_stopped:
                return
            if self._watch is None:
                thread = Thread(target=self._keep_watch, name="health-watch", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no more threads: whoever waits times the runs out
                    return
                self._watch = thread
            if due < self._due:
                self._due = due
                self._wake.notify()

    def _keep_watch(self) -> None:
        due = -inf
        while self._sleep(due):
            due = min(_tick(runner) for runner in self._runners.values())

    def _sleep(self, due: float) -> bool:
        """Until then, or until a run that was started meanwhile is due; whether to go on."""
        with self._wake:
            self._due = min(self._due, due)
            if not self._is_stopped and self._due > monotonic():
                self._wake.wait(None if self._due == inf else self._due - monotonic())
            self._due = inf
            return not self._is_stopped

    def _notice(self, component: ComponentHealth, previous: HealthStatus | None, is_changed: bool) -> None:
        component_checked.send_robust(Engine, component=component)
        if not is_changed:
            return
        status_changed.send_robust(Engine, component=component, previous=previous)
        if previous is not None or component.status is not HealthStatus.HEALTHY:
            logger.log(_LEVELS[component.status], "%s is %s: %s", component.name, component.status, component.message)


def _tick(runner: Runner) -> float:
    try:
        return runner.tick()
    except Exception as error:  # noqa: BLE001 - one component must not end the watch over the others
        with suppress(Exception):  # nor must a log's handler
            logger.error("%s cannot be watched (%s).", runner.check.name, type(error).__name__)  # noqa: TRY400 - no trace
        return monotonic() + WATCHED_AGAIN_SECONDS


async def _wait(wait: Wait) -> None:
    waiter = asyncio.wrap_future(wait.ended)
    try:
        await asyncio.wait({waiter}, timeout=max(0.0, wait.until - monotonic()))
    finally:
        waiter.cancel()


_lock = Lock()
_engine: Engine | None = None
_inherited: list[Engine] = []


def get_engine() -> Engine:
    """The process's engine, made of the settings when first asked for, and anew after a change of them."""
    global _engine  # noqa: PLW0603 - one for a process is the point
    engine = _engine
    if engine is None:
        with _lock:
            engine = _engine = _engine or Engine(build_checks())
    return engine


def stop_engine() -> None:
    """End its threads and connections; the next question makes a new one."""
    global _engine
    with _lock:
        engine, _engine = _engine, None
    if engine is not None:
        engine.stop()


def _after_fork() -> None:
    """The child has neither the parent's threads nor a right to its connections."""
    global _engine, _lock
    if _engine is not None:
        _inherited.append(_engine)  # kept, as even closing would speak on the parent's sockets
    _engine, _lock = None, Lock()


on_change(stop_engine)
os.register_at_fork(after_in_child=_after_fork)
atexit.register(stop_engine)
