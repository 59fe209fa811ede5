"""The metrics as a Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks
from django.core.signals import setting_changed

from observability.conf import forget_settled


class ObservabilityConfig(AppConfig):
    name = "observability"
    label = "observability"
    verbose_name = "Observability"

    def ready(self) -> None:
        from observability import system_checks
        from observability.foreign import take_in_foreign_values

        take_in_foreign_values()
        checks.register(system_checks.check_settings, "observability")
        setting_changed.connect(forget_settled, dispatch_uid="observability.settled")
