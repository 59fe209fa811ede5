"""The Celery app: settings under ``CELERY_`` in Django's, tasks in ``harvester.tasks``, a heartbeat row per worker."""

from __future__ import annotations

import logging
import os
from typing import Any

from celery import Celery, bootsteps
from celery.signals import setup_logging

from harvester.config.env import Environment
from harvester.config.metrics_folder import share_metrics

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harvester.config.settings")

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 30.0
PUBLISH_TIMEOUT_SECONDS = 1.0


class HarvesterCelery(Celery):
    """Publishes without patience: a request must not wait for a broker that is away, the schedule finds the run.

    Only for writing. Who consumes waits with a blocking read, which a short timeout of the socket would cut.
    """

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        """As Celery's; a broker that refuses or says nothing is an OperationalError after about a second."""
        asked = options.pop("transport_options", None) or {}
        return super().connection_for_write(
            url,
            connect_timeout=options.pop("connect_timeout", None) or PUBLISH_TIMEOUT_SECONDS,
            transport_options=_without_patience(url or self.conf.broker_write_url) | asked,
            **options,
        )

    @property
    def Worker(self) -> Any:  # noqa: N802 - Celery's name for it
        """Celery's. Asked for by ``celery worker`` before it reads the apps, which every signal comes after."""
        share_metrics("worker", Environment.of_process())
        return super().Worker


def _without_patience(url: str) -> dict[str, Any]:
    """The transport's options; each transport has its own names for them."""
    scheme = url.partition(":")[0]
    if scheme.startswith("redis"):
        names = ("socket_connect_timeout", "socket_timeout")
    elif scheme.startswith("amqp"):
        names = ("read_timeout", "write_timeout")
    else:
        return {}  # files and memory answer at once
    return {"max_retries": 0} | dict.fromkeys(names, PUBLISH_TIMEOUT_SECONDS)


app = HarvesterCelery("harvester")
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
