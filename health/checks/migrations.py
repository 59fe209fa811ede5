"""Whether the databases are as the code expects them: no migration is pending."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.apps import apps
from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from health.base import Check, Finding
from health.checks.connection import OwnConnection, chosen_aliases, in_place_of_the_threads
from health.checks.line import Line
from health.status import HealthStatus


@dataclass(kw_only=True)
class MigrationsCheck(Check):
    """Of every database in HEALTH_DATABASES: what ``migrate`` would do there, but what the routers keep away."""

    deadline_seconds: float = 3.0
    fresh_seconds: float = 5.0  # all migrations are read anew for it
    startup_only: bool = True

    messages: ClassVar[Mapping[str, str]] = {
        "none": "No migration is pending.",
        "one": "1 migration is pending.",
        "some": "{count:.0f} migrations are pending.",
    }

    def __post_init__(self) -> None:
        self._line = Line()
        self._own = [OwnConnection(alias, self._line) for alias in chosen_aliases()]

    @classmethod
    def expand(cls, name: str, options: Mapping[str, Any]) -> list[Check]:
        """One for all databases; none where there is no database."""
        return [cls(name=name, **options)] if chosen_aliases() else []

    def run(self) -> Finding:
        try:
            with self._line.in_use():
                count = sum(own.run(_pending) for own in self._own)
        finally:
            self.close()  # it is needed until the start has succeeded, and then no more
        if not count:
            return self.found(HealthStatus.HEALTHY, "none")
        return self.found(HealthStatus.UNHEALTHY, "one" if count == 1 else "some", count=count)

    def interrupt(self) -> None:
        self._line.cut()

    def close(self) -> None:
        for own in self._own:
            own.close()


def _pending(connection: BaseDatabaseWrapper) -> int:
    with in_place_of_the_threads(connection):  # Django reads the migrations that were applied with its ORM
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    labels = [migration.app_label for migration, _ in plan]
    belonging = {label for label in set(labels) if _belongs(label, connection.alias)}
    return sum(label in belonging for label in labels)


def _belongs(label: str, alias: str) -> bool:
    """Whether the routers let any of the app's tables into the database."""
    models = list(apps.get_app_config(label).get_models(include_auto_created=True))
    if not models:
        return router.allow_migrate(alias, label)
    return any(router.allow_migrate_model(alias, model) for model in models)
