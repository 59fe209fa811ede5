"""The Celery app: settings under ``CELERY_`` in Django's, tasks in ``harvester.tasks``, a heartbeat row per worker."""

from __future__ import annotations

import logging
import os
from typing import Any

from celery import Celery, bootsteps
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harvester.config.settings")

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 30.0

app = Celery("harvester")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_django_logging(**_: object) -> None:
    """Django has configured logging already; a listener here keeps Celery from doing it again."""


class Heartbeat(bootsteps.StartStopStep):
    """Says every half minute that the worker lives, from its main process: also while its pool is busy."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer_entry: Any = None

    def start(self, parent: Any) -> None:
        self._beat(parent.hostname)
        self._timer_entry = parent.timer.call_repeatedly(HEARTBEAT_SECONDS, self._beat, (parent.hostname,))

    def stop(self, parent: Any) -> None:
        from harvester.models import WorkerHeartbeat

        if self._timer_entry is not None:
            self._timer_entry.cancel()
            self._timer_entry = None
        WorkerHeartbeat.objects.filter(worker=parent.hostname).delete()

    def _beat(self, worker: str) -> None:
        from django.db import DatabaseError, connection
        from django.utils import timezone

        from harvester.models import WorkerHeartbeat

        now = timezone.now()
        try:
            WorkerHeartbeat.objects.update_or_create(worker=worker, defaults={"seen_at": now})
            WorkerHeartbeat.objects.filter(seen_at__lt=now - 10 * WorkerHeartbeat.FRESH_FOR).delete()
        except DatabaseError as error:
            logger.warning("heartbeat not written", extra={"error": type(error).__name__})
        finally:
            connection.close()  # never inherited by a pool process that is forked later


app.steps["worker"].add(Heartbeat)
