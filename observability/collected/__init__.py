"""What this app asks by itself: databases, migrations, caches, processes; one file for each kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from django.core.cache import caches as all_caches  # this package has files of these names
from django.db import connections as all_databases
from prometheus_client.core import Metric as Family

from observability.collected.build import BuildCollector
from observability.collected.caches import CacheCollector
from observability.collected.connections import ConnectionsCollector
from observability.collected.migrations import MigrationsCollector
from observability.collected.processes import ProcessesCollector
from observability.conf import conf

_NO_DATABASE = "django.db.backends.dummy"  # what Django makes of a project that names none


class BuiltIn(Protocol):
    name: str

    def collect(self) -> Iterable[Family]: ...


def immediate() -> Sequence[BuiltIn]:
    """Those that wait for nothing, and are read at each scrape."""
    return (ProcessesCollector(), BuildCollector())


def built_in() -> Sequence[BuiltIn]:
    """Those that ask servers: one for each alias, so that one server that is away hides no other's values."""
    databases = all_databases.settings if conf.databases is None else conf.databases
    asked = [alias for alias in databases if all_databases.settings.get(alias, {}).get("ENGINE") != _NO_DATABASE]
    measured = all_caches.settings if conf.caches is None else conf.caches
    return (
        *map(ConnectionsCollector, asked),
        *map(MigrationsCollector, asked),
        *map(CacheCollector, measured),
    )
