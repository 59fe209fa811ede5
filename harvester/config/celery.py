"""The Celery app: settings under ``CELERY_`` in Django's, tasks in ``harvester.tasks``."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harvester.config.settings")

app = Celery("harvester")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_django_logging(**_: object) -> None:
    """Django has configured logging already; a listener here keeps Celery from doing it again."""
