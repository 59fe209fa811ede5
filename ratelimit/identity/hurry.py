"""Database work off the request thread, on connections of its own, with a deadline that holds for a hung server too.

PostgreSQL: connecting takes 2 s at most (psycopg's least), and a statement that overstays is cancelled or, where the
server does not even answer that, its socket is shut. SQLite: waits 0.1 s for a lock. Other databases: as their own
options say.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

_CANCEL_SECONDS = 0.3
_HURRIED_OPTIONS: dict[str, dict[str, Any]] = {"postgresql": {"connect_timeout": 2}, "sqlite": {"timeout": 0.1}}

Result = TypeVar("Result")


class DeadlineError(Exception):
    """The job was ended because its time was up."""


class OwnConnections:
    """The calling thread's own connections, in place of the ones Django would give it; for that thread alone.

    They stay open between jobs, take nothing from a pool, and are not seen by Django's request signals.
    """

    def __init__(self, aliases: Iterable[str]) -> None:
        self._connections = [_own_connection(alias) for alias in aliases]
        for connection in self._connections:
            connections[connection.alias] = connection

    def run(self, job: Callable[[], Result], seconds: float) -> Result:
        """The job's result. Raises what it raises, or DeadlineError; the next job then connects anew.

        A connection that was good once may have been ended meanwhile; then the job is tried once more.
        """
        was_open = any(connection.connection is not None for connection in self._connections)
        try:
            return self._run(job, seconds)
        except (OperationalError, InterfaceError):
            if not was_open:
                raise
        return self._run(job, seconds)

    def close(self) -> None:
        for connection in self._connections:
            with suppress(Exception):  # what cannot even be closed is gone
                connection.close()

    def _run(self, job: Callable[[], Result], seconds: float) -> Result:
        deadline = _Deadline(self._connections, seconds)
        try:
            result = job()
        except BaseException as error:
            has_passed = deadline.end()
            self.close()
            if has_passed:
                raise DeadlineError from error
            raise
        if deadline.end():
            self.close()
        return result


class _Deadline:
    """Ends what the connections are doing when the time is up."""

    def __init__(self, watched: list[BaseDatabaseWrapper], seconds: float) -> None:
        self._watched = watched
        self._seconds = seconds
        self._lock = Lock()
        self._done = Event()
        self._has_passed = False
        self._thread = Thread(target=self._watch, name="ratelimit-deadline", daemon=True)
        self._thread.start()

    def end(self) -> bool:
        """Stop watching; whether the deadline had passed."""
        with self._lock:
            self._done.set()
        if self._has_passed:
            self._thread.join()
        return self._has_passed

    def _watch(self) -> None:
        if self._done.wait(self._seconds):
            return
        with self._lock:
            if self._done.is_set():
                return
            self._has_passed = True
        for end in (_cancel, _shut):
            for connection in self._watched:
                if connection.connection is not None:
                    with suppress(Exception):  # it may come to its own end at this very moment
                        end(connection.connection)
            if self._done.wait(_CANCEL_SECONDS):
                return


def _cancel(connection: Any) -> None:
    if hasattr(connection, "cancel_safe"):
        connection.cancel_safe(timeout=_CANCEL_SECONDS)


def _shut(connection: Any) -> None:
    """Whoever waits on the socket wakes up to its end."""
    if hasattr(connection, "fileno"):
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)


def _own_connection(alias: str) -> BaseDatabaseWrapper:
    connection = connections.create_connection(alias)
    given = {name: value for name, value in connection.settings_dict["OPTIONS"].items() if name != "pool"}
    connection.settings_dict = {
        **connection.settings_dict,
        "OPTIONS": given | _HURRIED_OPTIONS.get(connection.vendor, {}),
        "AUTOCOMMIT": True,
    }
    return connection
