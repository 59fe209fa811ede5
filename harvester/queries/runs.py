"""Runs as lists show them, and whether a worker lives that could take one."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from harvester.models import Run, RunStatus, WorkerHeartbeat
from harvester.queries.cursors import Order

NEWEST = Order("newest", value="created_at", type=datetime)


def runs() -> QuerySet[Run]:
    """Every run, newest first, with its owner."""
    return Run.objects.select_related("owner").order_by(*NEWEST.columns())


def worker_is_alive(now: datetime) -> bool:
    """Has any worker said so recently? Without one a queued run waits in vain."""
    return WorkerHeartbeat.objects.filter(seen_at__gt=now - WorkerHeartbeat.FRESH_FOR).exists()


def last_success_at() -> datetime | None:
    """When the last harvest that succeeded ended; None where none has."""
    succeeded = Run.objects.filter(status=RunStatus.SUCCEEDED).order_by("-created_at", "-id")
    return succeeded.values_list("finished_at", flat=True).first()
