"""The database connections of a refresh: in its thread alone, in a hurry, and ended from outside when it hangs."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import ceil
from threading import Lock
from traceback import clear_frames
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from observability.collected.connections import APPLICATION_NAME, own_handles
from observability.database import leave_out

_LEAST_CONNECT_SECONDS = 2  # libpq and psycopg wait no shorter, for each of the host's addresses
_NOT_OURS = ("pool",)  # a connection that is cut must never come back to others


class Lines:
    """Second grips on connections. ``cut`` may come from any thread; the rest is for the thread of the refresh.

    A grip is a duplicate of the socket: the original's number may be another file's by the time it is needed.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._cutters: list[Callable[[], object]] = []
        self._grips: list[socket.socket] = []
        self._was_cut = False

    def hold(self, connection: Any) -> None:
        """Of a new connection of a driver's; one that comes after the cut is cut at once."""
        if hasattr(connection, "fileno"):
            grip = socket.socket(fileno=os.dup(connection.fileno()))
            self._add(lambda: grip.shutdown(socket.SHUT_RDWR), grip)
        elif hasattr(connection, "interrupt"):  # SQLite's
            self._add(connection.interrupt)

    def cut(self) -> None:
        """Whoever waits on one of them wakes up to its end. Neither waits nor raises."""
        with self._lock:
            self._was_cut = True
            for cutter in self._cutters:
                _call(cutter)

    def let_go(self) -> None:
        with self._lock:
            self._cutters.clear()
            grips, self._grips = self._grips, []
        for grip in grips:
            grip.close()

    def _add(self, cutter: Callable[[], object], *grips: socket.socket) -> None:
        with self._lock:
            self._cutters.append(cutter)
            self._grips.extend(grips)
            if self._was_cut:
                _call(cutter)


@contextmanager
def own_connections(lines: Lines, timeout_seconds: float) -> Iterator[None]:
    """Inside the block, ``django.db.connections`` of this thread are held by ``lines``; after it they are closed.

    For a thread that has none yet. A statement on PostgreSQL takes ``timeout_seconds`` at most, as its server counts.
    """
    made: list[BaseDatabaseWrapper] = []
    for alias in connections.settings:
        with suppress(Exception):  # a driver that is missing is told to whoever asks for this database
            connections[alias] = _made(alias, lines, timeout_seconds)
            made.append(connections[alias])
    try:
        yield
    except BaseException as error:
        _finish(error)
        raise
    finally:
        for connection in made:
            _close(connection)
        lines.let_go()  # last, since closing may hang too


def _made(alias: str, lines: Lines, timeout_seconds: float) -> BaseDatabaseWrapper:
    made: Any = connections.create_connection(alias)
    leave_out(made)
    given = {name: value for name, value in made.settings_dict["OPTIONS"].items() if name not in _NOT_OURS}
    made.settings_dict = {
        **made.settings_dict,
        "OPTIONS": given | _hurried_options(made.vendor, timeout_seconds),
        "AUTOCOMMIT": True,
        "CONN_HEALTH_CHECKS": False,  # it is new
    }
    connect, initialise = made.get_new_connection, made.init_connection_state

    def connect_and_hold(params: Any) -> Any:
        connection = connect(params)
        if made.vendor == "sqlite":
            own_handles.add((alias, id(made)))
        lines.hold(connection)
        return connection

    def initialise_in_a_hurry() -> None:
        if made.vendor == "postgresql" and not made.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
            # Where that is set a pool gives the server's sessions to others after us, with what we have set.
            with made.connection.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = {ceil(timeout_seconds * 1000)}")
        initialise()

    made.get_new_connection = connect_and_hold  # before Django's first statement, which may hang too
    made.init_connection_state = initialise_in_a_hurry
    own: BaseDatabaseWrapper = made
    return own


def _hurried_options(vendor: str, timeout_seconds: float) -> dict[str, Any]:
    """No shorter than the deadline, at which a refresh that hangs is told from one that fails."""
    connect_timeout = max(_LEAST_CONNECT_SECONDS, ceil(timeout_seconds))
    if vendor == "postgresql":
        return {"connect_timeout": connect_timeout, "application_name": APPLICATION_NAME}
    if vendor == "mysql":
        return {"connect_timeout": connect_timeout}
    return {"timeout": timeout_seconds} if vendor == "sqlite" else {}


def _close(wrapper: BaseDatabaseWrapper) -> None:
    with suppress(Exception):  # what cannot even be closed is gone
        wrapper.close()
    own_handles.discard((wrapper.alias, id(wrapper)))
    with suppress(Exception):
        if wrapper.connection is not None:  # Django keeps SQLite's in-memory databases open
            wrapper.connection.close()


def _finish(error: BaseException | None) -> None:
    """Close what a failed connect() left open.

    psycopg's, when its time is up, keeps the socket among the variables of a frame, and the frame in a cycle with the
    error: open until the next cyclic garbage collection.
    """
    while error is not None:
        clear_frames(error.__traceback__)
        unfinished = getattr(error, "pgconn", None)
        if unfinished is not None:
            unfinished.finish()
        error = error.__cause__


def _call(cutter: Callable[[], object]) -> None:
    with suppress(Exception):  # the other side, or the end of the refresh, was faster
        cutter()
