"""A database's connection that belongs to a check, outside every request's and every pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from traceback import clear_frames
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import load_backend

from health.checks.line import Line
from health.conf import conf
from health.errors import UnusableOptionError

_NO_DATABASE = "django.db.backends.dummy"  # what Django makes of a project that names none
# 2 s is the least that libpq and psycopg wait, for each address. SQLite would wait 5 s for a lock.
_HURRIED_OPTIONS: dict[str, dict[str, Any]] = {"postgresql": {"connect_timeout": 2}, "sqlite": {"timeout": 1}}
# The protocol of prepared statements and of parameters bound by the server takes one command at a time.
_NOT_OURS = ("pool", "prepare_threshold", "server_side_binding")

Result = TypeVar("Result")


def chosen_aliases() -> Sequence[str]:
    """HEALTH_DATABASES, without those that Django only makes up.

    Raises UnusableOptionError for one that is not in DATABASES.
    """
    for alias in conf.databases:
        if alias not in connections.settings:
            raise UnusableOptionError(f"there is no database “{alias}” in DATABASES")
    return [alias for alias in conf.databases if connections.settings[alias]["ENGINE"] != _NO_DATABASE]


def load_driver(alias: str) -> None:
    """So that the first run need not do it, within its deadline: it takes a second where the processor is scarce.

    What is missing is for the run to tell.
    """
    with suppress(ImportError, ImproperlyConfigured):
        load_backend(connections.settings[alias]["ENGINE"])


class OwnConnection:
    """To one database; kept from job to job as long as its CONN_MAX_AGE allows. For one thread at a time.

    PostgreSQL: connecting takes 2 s at most for each of the host's addresses, after its name was looked up, which takes
    as long as the resolver allows (resolv.conf). Where the driver tells its socket (those of PostgreSQL and MySQL do),
    ``interrupt`` ends whatever waits on it. A ``line`` is given where a run uses several connections in turn.
    """

    def __init__(self, alias: str, line: Line | None = None) -> None:
        self._alias = alias
        self._line = line or Line()
        self._connection: BaseDatabaseWrapper | None = None

    def run(self, job: Callable[[BaseDatabaseWrapper], Result]) -> Result:
        """The job's result. Raises what it raises, and lets go of the connection then.

        A connection that was good once may have been ended meanwhile; then the job is tried once more on a new one.
        """
        was_kept = self._connection is not None
        with self._line.in_use():
            try:
                return self._run(job)
            except (OperationalError, InterfaceError):
                if not was_kept or self._line.was_cut:
                    raise
            return self._run(job)

    def interrupt(self) -> None:
        """Make a hung job fail, from another thread; neither waits nor raises."""
        self._line.cut()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self._line.let_go()
        if connection is not None:
            with suppress(Exception):  # what cannot even be closed is gone
                connection.close()
                if connection.connection is not None:  # Django keeps SQLite's in-memory databases open
                    connection.connection.close()

    def _run(self, job: Callable[[BaseDatabaseWrapper], Result]) -> Result:
        if self._connection is None:
            self._connection = self._made()
        try:
            result = job(self._connection)
            self._connection.close_if_unusable_or_obsolete()
        except BaseException as error:
            self.close()
            _finish(error)
            raise
        if self._connection.connection is None:
            self.close()
        return result

    def _made(self) -> BaseDatabaseWrapper:
        made: Any = connections.create_connection(self._alias)
        given = {name: value for name, value in made.settings_dict["OPTIONS"].items() if name not in _NOT_OURS}
        made.settings_dict = {
            **made.settings_dict,
            "OPTIONS": given | _HURRIED_OPTIONS.get(made.vendor, {}),
            "AUTOCOMMIT": True,
            "CONN_HEALTH_CHECKS": False,  # the job is one
        }
        connect = made.get_new_connection

        def connect_and_hold(params: Any) -> Any:
            connection = connect(params)
            if hasattr(connection, "fileno"):
                self._line.hold(connection.fileno())
            return connection

        made.get_new_connection = connect_and_hold  # before Django's first statement, which may hang too
        made.inc_thread_sharing()  # the thread that runs a check may be another tomorrow
        own: BaseDatabaseWrapper = made
        return own


@contextmanager
def in_place_of_the_threads(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """The ORM uses this connection, in the calling thread."""
    alias = connection.alias
    theirs = connections[alias]
    connections[alias] = connection
    try:
        yield
    finally:
        connections[alias] = theirs


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
