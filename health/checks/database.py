"""Whether a database answers, and how fast."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from health.base import Check, Finding
from health.checks.connection import OwnConnection, chosen_aliases, load_driver
from health.errors import UnusableOptionError
from health.status import HealthStatus

# Each look reads the database's own catalogue: the project's tables may be locked, or not be there yet.
_LOOK = ("SELECT 1", "SELECT table_name FROM information_schema.tables LIMIT 1")
_LOOKS: Mapping[str, Sequence[str]] = {
    "sqlite": ("SELECT 1", "SELECT name FROM sqlite_master LIMIT 1"),
    "oracle": ("SELECT 1 FROM dual", "SELECT table_name FROM all_tables WHERE ROWNUM = 1"),
}
# A backend that waits for a lock does not notice that nobody waits for it any longer. So that they do not pile up its
# time is limited, for this one transaction: a plain SET would stay on a pooler's connection and hit whoever gets it
# next. The three are one transaction, and one round trip.
_POSTGRESQL_LOOK = """
    SELECT pg_catalog.set_config('statement_timeout', %s, true);
    SELECT 1;
    SELECT relname FROM pg_catalog.pg_class LIMIT 1
"""
_NOT_IN_NAMES = re.compile(r"[^a-z0-9_.-]")
_LIMIT_FACTOR = 2.5  # of the deadline; at twice the deadline the run is interrupted


@dataclass(kw_only=True)
class DatabaseCheck(Check):
    """Connects and reads, on a connection of its own. Slow above ``slow_seconds``, connecting included."""

    alias: str = DEFAULT_DB_ALIAS
    slow_seconds: float = 1.0

    messages: ClassVar[Mapping[str, str]] = {
        "answers": "Answered in {milliseconds:.0f} ms.",
        "slow": "Answered in {milliseconds:.0f} ms, which is slow.",
    }

    def __post_init__(self) -> None:
        self._own = OwnConnection(self.alias)

    @classmethod
    def expand(cls, name: str, options: Mapping[str, Any]) -> list[Check]:
        """One for every alias in HEALTH_DATABASES, or for the one that the options name."""
        if "alias" in options:
            if options["alias"] not in connections.settings:
                raise UnusableOptionError(f"there is no database “{options['alias']}” in DATABASES")
            load_driver(options["alias"])
            return [cls(name=name, **options)]
        aliases = chosen_aliases()
        for alias in aliases:
            load_driver(alias)
        return [cls(name=_name(name, alias), alias=alias, **options) for alias in aliases]

    def run(self) -> Finding:
        began_at = time.monotonic()
        self._own.run(self._look)
        seconds = time.monotonic() - began_at
        status, code = (
            (HealthStatus.HEALTHY, "answers") if seconds <= self.slow_seconds else (HealthStatus.DEGRADED, "slow")
        )
        return self.found(status, code, milliseconds=seconds * 1000)

    def interrupt(self) -> None:
        self._own.interrupt()

    def close(self) -> None:
        self._own.close()

    def _look(self, connection: BaseDatabaseWrapper) -> None:
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(_POSTGRESQL_LOOK, [f"{self.deadline_seconds * _LIMIT_FACTOR * 1000:.0f}"])
                return
            for statement in _LOOKS.get(connection.vendor, _LOOK):
                cursor.execute(statement)


def _name(name: str, alias: str) -> str:
    return name if alias == DEFAULT_DB_ALIAS else f"{name}-{_NOT_IN_NAMES.sub('-', alias.lower())}"
