"""Whether the databases are as the code expects them."""

from __future__ import annotations

from collections.abc import Iterable

from django.apps import apps
from django.db import connections, router
from django.db.migrations.executor import MigrationExecutor
from prometheus_client.core import Metric as Family

from observability.collected.connections import alias_label
from observability.pulled import Pulled

migrations_pending = Pulled(
    "migrations_pending",
    "Migrations that `manage.py migrate` would apply to the database, without those that its router keeps away.",
    group="Database",
    labels=(alias_label,),
)


class MigrationsCollector:
    """Of one database. Every migration is read anew for it, and they seldom change."""

    snapshot_seconds = 60.0

    def __init__(self, alias: str) -> None:
        self.name = f"migrations_{alias}"
        self._alias = alias

    def collect(self) -> Iterable[Family]:
        connection = connections[self._alias]
        if connection.settings_dict["NAME"] == ":memory:":
            return  # every connection has one of its own, and it is this thread's that nobody has migrated
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        labels = [migration.app_label for migration, _ in plan]
        belonging = {label for label in set(labels) if _belongs(label, self._alias)}
        yield migrations_pending.family({(self._alias,): sum(label in belonging for label in labels)})


def _belongs(label: str, alias: str) -> bool:
    """Whether the routers let any of the app's tables into the database."""
    models = list(apps.get_app_config(label).get_models(include_auto_created=True))
    if not models:
        return router.allow_migrate(alias, label)
    return any(router.allow_migrate_model(alias, model) for model in models)
