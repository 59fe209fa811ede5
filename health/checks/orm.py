"""For checks of a project's own that ask its tables through the ORM."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS
from django.db.backends.base.base import BaseDatabaseWrapper

from health.base import Check, Finding
from health.checks.connection import OwnConnection, in_place_of_the_threads


@dataclass(kw_only=True)
class OrmCheck(Check):
    """Derive, and write ``look()``: what it asks of the database ``alias`` goes over a connection of the check's own.

    So it is interrupted when it hangs, and leaves no connection behind: that one is closed after each run, as such a
    question is asked seldom (``fresh_seconds``), and every worker would else keep one for each check.
    """

    alias: str = DEFAULT_DB_ALIAS
    fresh_seconds: float = 15.0

    def __post_init__(self) -> None:
        self._own = OwnConnection(self.alias)

    def look(self) -> Finding:
        """Ask, and say what was found. As ``Check.run``."""
        raise NotImplementedError

    def run(self) -> Finding:
        try:
            return self._own.run(self._look_on)
        finally:
            self._own.close()

    def interrupt(self) -> None:
        self._own.interrupt()

    def close(self) -> None:
        self._own.close()

    def _look_on(self, connection: BaseDatabaseWrapper) -> Finding:
        with in_place_of_the_threads(connection):
            return self.look()
