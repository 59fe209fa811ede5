"""The probes as a Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks
from django.core.signals import setting_changed

from health.conf import forget_settled


class HealthConfig(AppConfig):
    name = "health"
    label = "health"
    verbose_name = "Health"

    def ready(self) -> None:
        from health import system_checks

        checks.register(system_checks.check_settings, "health")
        setting_changed.connect(forget_settled, dispatch_uid="health.settled")
