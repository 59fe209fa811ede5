"""The limiter as a Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks
from django.core.signals import setting_changed

from ratelimit.conf import forget_settled


class RateLimitConfig(AppConfig):
    name = "ratelimit"
    label = "ratelimit"
    verbose_name = "Rate limits"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from ratelimit import system_checks  # it needs models, which are ready only now

        checks.register(system_checks.check_settings, "ratelimit")
        checks.register(system_checks.check_deployment, "ratelimit", deploy=True)
        setting_changed.connect(forget_settled, dispatch_uid="ratelimit.settled")
