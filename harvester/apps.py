"""The product as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class HarvesterConfig(AppConfig):
    name = "harvester"
    label = "harvester"
    verbose_name = "Signal Harvester"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from harvester.wiring import connect

        connect()
