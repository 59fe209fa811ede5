"""Says that a run's worker lives, whatever the worker is busy with."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context

from django.db import DatabaseError, connection

from harvester.errors import RunTakenAwayError
from harvester.models import Run

logger = logging.getLogger(__name__)

EVERY_SECONDS = 15.0  # far below Run.LOST_AFTER, so that a few lost beats kill nobody


@contextmanager
def beating(run: Run, every_seconds: float = EVERY_SECONDS) -> Iterator[None]:
    """Beat in a thread of its own with a database connection of its own, until the block ends or the run is ended."""
    done = threading.Event()
    # A copy of the Run, which stays the worker's; and of the context, so that log lines carry the task's id.
    beat = (_beat, Run(pk=run.pk, worker=run.worker), done, every_seconds)
    thread = threading.Thread(target=copy_context().run, args=beat, name=f"run-{run.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _beat(run: Run, done: threading.Event, every_seconds: float) -> None:
    try:
        while not done.wait(every_seconds):
            try:
                run.write()
            except DatabaseError as error:
                logger.warning("heartbeat not written", extra={"run": run.pk, "error": type(error).__name__})
                connection.close()
    except RunTakenAwayError:
        return  # the worker finds out by itself at its next step
    finally:
        connection.close()
