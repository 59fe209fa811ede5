"""The metrics as a Django app."""

from __future__ import annotations

import sys

from django.apps import AppConfig
from django.core.signals import setting_changed

from observability.conf import forget_settled


class ObservabilityConfig(AppConfig):
    name = "observability"
    label = "observability"
    verbose_name = "Observability"

    def ready(self) -> None:
        from observability import cache, database, exceptions
        from observability.foreign import take_in_foreign_values

        take_in_foreign_values()
        database.install()
        cache.install()
        exceptions.install()
        if "celery" in sys.modules:
            from observability import tasks

            tasks.install()
        setting_changed.connect(forget_settled, dispatch_uid="observability.settled")
