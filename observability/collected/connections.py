"""How many connections a database has, against how many it may have."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db import connections
from prometheus_client.core import Metric as Family

from observability.catalogue import Budget, Label
from observability.pulled import Pulled

APPLICATION_NAME = "observability"
"""By which the server knows the connections of collectors: all of them ask at the same moment, and would be counted."""

own_handles: set[tuple[str, int]] = set()
"""SQLite's connections that collectors have just now, as alias and identity; changed without a lock, for forks."""

alias_label = Label("alias", Budget(20))

connections_active = Pulled(
    "db_connections_active",
    "Connections of all clients to the database, without those of collectors; of SQLite, the handles that the process"
    " that answers has open of its file.",
    group="Database",
    labels=(alias_label,),
)
connections_max = Pulled(
    "db_connections_max",
    "How many connections the database's server allows to all its databases together; SQLite has no such limit.",
    group="Database",
    labels=(alias_label,),
)

_COUNT = """
    select count(*), current_setting('max_connections')::int
    from pg_stat_activity
    where datname = current_database()
      and application_name is distinct from %s
      and coalesce(backend_type, 'client backend') = 'client backend'
"""  # the type of others' backends is hidden from a role that may not see statistics
_OPEN_FILES = Path("/proc/self/fd")


class ConnectionsCollector:
    """Of one database."""

    def __init__(self, alias: str) -> None:
        self.name = f"connections_{alias}"
        self._alias = alias

    @property
    def is_of_this_process(self) -> bool:
        """Whoever opens a file of SQLite's has handles of its own."""
        return connections.create_connection(self._alias).vendor == "sqlite"

    def collect(self) -> Iterable[Family]:
        connection: Any = connections[self._alias]
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(_COUNT, [APPLICATION_NAME])
                active, most = cursor.fetchone()
            yield connections_active.family({(self._alias,): active})
            yield connections_max.family({(self._alias,): most})
        elif connection.vendor == "sqlite" and _OPEN_FILES.is_dir() and not connection.is_in_memory_db():
            own = sum(alias == self._alias for alias, _ in tuple(own_handles))
            handles = _handles(connection.settings_dict["NAME"]) - own
            yield connections_active.family({(self._alias,): max(0, handles)})


def _handles(database: str | Path) -> int:
    try:
        wanted = os.stat(database)  # noqa: PTH116 - the name may be a text, and links are followed as SQLite does
    except FileNotFoundError:
        return 0
    count = 0
    for descriptor in os.listdir(_OPEN_FILES):  # noqa: PTH208 - half the cost, where thousands may be open
        with suppress(OSError, ValueError):  # it was closed meanwhile
            count += os.path.samestat(os.fstat(int(descriptor)), wanted)
    return count
