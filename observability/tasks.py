"""Measures Celery's tasks by its signals, and lets a worker's main process serve the page."""

from __future__ import annotations

import logging
import sys
import threading
from time import perf_counter
from typing import Any, NamedTuple

from observability.catalogue import OTHER
from observability.conf import conf
from observability.exceptions import tell_unhandled, was_counted
from observability.metrics import (
    background_task_duration,
    background_tasks_active,
    background_tasks_completed,
    errors,
)
from observability.series import GaugeChild

logger = logging.getLogger(__name__)

_OUTCOMES = {"SUCCESS": "success", "FAILURE": "failure", "RETRY": "retry", "IGNORED": "ignored"}


class _Run(NamedTuple):
    """A task that is being worked here now. ``handled``: the exception whose handling it is part of, if any."""

    task_id: str
    started: float
    active: GaugeChild
    handled: BaseException | None


class _Running(threading.local):
    """The runs of this thread, the innermost last: a task that is applied at once runs inside another, or inside its
    own former try with the same id."""

    def __init__(self) -> None:
        self.runs: list[_Run] = []


class _TimeLimits:
    """Celery 5.7 tells twice in a row of a task that its main process kills: first with a traceback as text, when it
    gives the job up, then with one as an object, when it ends the process. Others tell once."""

    def __init__(self) -> None:
        self._last: tuple[str, bool] | None = None

    def was_told(self, task_id: str, traceback: Any) -> bool:
        is_text = isinstance(traceback, str)
        was_told = self._last == (task_id, not is_text)
        self._last = None if was_told else (task_id, is_text)
        return was_told


_running = _Running()
_time_limits = _TimeLimits()


def install() -> None:
    """Listen to Celery's signals, where there is a Celery. Again is the same as once."""
    try:
        from celery import signals
    except ImportError:
        return
    listeners = {
        signals.task_prerun: _on_start,
        signals.task_postrun: _on_end,
        signals.task_failure: _on_failure,
        signals.task_retry: _on_retry,
        signals.task_revoked: _on_revoked,
        signals.task_unknown: _on_unusable_message,
        signals.task_rejected: _on_unusable_message,
        signals.worker_ready: _on_worker_ready,
    }
    for signal, listener in listeners.items():
        signal.connect(listener, dispatch_uid=f"observability.{listener.__name__}", weak=False)


def _on_start(sender: Any = None, task_id: str = "", **_: Any) -> None:
    active = background_tasks_active.at(_name(sender))
    active.inc()
    _running.runs.append(_Run(task_id, perf_counter(), active, sys.exc_info()[1]))


def _on_end(sender: Any = None, task_id: str = "", state: str | None = None, **_: Any) -> None:
    run = _take(task_id)
    if run is None:
        return
    run.active.dec()
    background_task_duration.at(_name(sender)).observe(perf_counter() - run.started)
    flying = sys.exc_info()[1]
    if flying is run.handled:
        _tell(sender, _OUTCOMES.get(state or "", OTHER))
    elif _is_eager(sender):
        _tell(sender, "failure")  # it goes on to the caller, whose exception it is now
    # Otherwise Celery tells of a failure next: here, or in the worker's main process once this one has ended.


def _on_failure(sender: Any = None, task_id: str = "", exception: Any = None, traceback: Any = None, **_: Any) -> None:
    """In the process that works the task; in the worker's main process where that one was killed."""
    from celery.exceptions import Reject, TimeLimitExceeded

    if isinstance(exception, Reject):
        return  # the task's own wish, told at its end
    if isinstance(exception, TimeLimitExceeded) and _time_limits.was_told(task_id, traceback):
        return
    is_here = _find(task_id) is not None
    raised = sys.exc_info()[1] if is_here else None  # what is passed stands in for one that cannot be pickled
    if not was_counted(raised or exception):
        tell_unhandled(raised or exception, "task")
    if not is_here:
        _tell(sender, "failure")


def _on_retry(sender: Any = None, request: Any = None, **_: Any) -> None:
    """Told at its end by who works it; by the worker's main process where that one was killed, or the broker lost."""
    if _find(getattr(request, "id", "")) is None:
        _tell(sender, "retry")


def _on_revoked(sender: Any = None, **_: Any) -> None:
    _tell(sender, "revoked")


def _on_unusable_message(**_: Any) -> None:
    """What it calls itself is anybody's text."""
    errors.at("task", "error").inc()


def _on_worker_ready(**_: Any) -> None:
    """Only now: what is forked before must not inherit the socket."""
    if port := conf.worker_port:
        from observability.worker_port import serve_in_background

        serve_in_background(conf.worker_host, port)


def _tell(task: Any, outcome: str) -> None:
    background_tasks_completed.at(_name(task), outcome).inc()


def _name(task: Any) -> str:
    return str(getattr(task, "name", None) or OTHER)


def _is_eager(task: Any) -> bool:
    return bool(getattr(getattr(task, "request", None), "is_eager", False))


def _find(task_id: str) -> int | None:
    runs = _running.runs
    return next((index for index in range(len(runs) - 1, -1, -1) if runs[index].task_id == task_id), None)


def _take(task_id: str) -> _Run | None:
    """Runs inside it that have told of no end are over too."""
    index = _find(task_id)
    if index is None:
        return None
    run, *lost = _running.runs[index:]
    del _running.runs[index:]
    for one in lost:
        one.active.dec()
    return run
