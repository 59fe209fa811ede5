"""The metrics as a Django app."""

from __future__ import annotations

import sys
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.signals import setting_changed

from observability.conf import forget_settled


class ObservabilityConfig(AppConfig):
    name = "observability"
    label = "observability"
    verbose_name = "Observability"

    def __init__(self, app_name: str, app_module: Any) -> None:
        """Before any app's models are imported, whatever the order of the apps: those may make metrics of their own."""
        from observability.foreign import take_in_foreign_values

        super().__init__(app_name, app_module)
        take_in_foreign_values()

    def ready(self) -> None:
        from observability import cache, database, exceptions, system_checks

        database.install()
        cache.install()
        exceptions.install()
        if "celery" in sys.modules:
            from observability import tasks

            tasks.install()
        checks.register(system_checks.check_settings, "observability")
        setting_changed.connect(forget_settled, dispatch_uid="observability.settled")
