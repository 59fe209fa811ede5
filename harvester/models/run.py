"""One passage through the pipeline: who asked, what happened, how it ended; and which workers live."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from harvester.errors import RunTakenAwayError


class RunStatus(models.TextChoices):
    QUEUED = "queued", "queued"
    RUNNING = "running", "running"
    SUCCEEDED = "succeeded", "succeeded"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


class Run(models.Model):
    """One harvest. ``parameters`` is what was asked for (source, only, stage, since, limit), absent where not said.

    ``stage_reports`` is ``[{"stage", "processed", "failed", "duration_seconds", …}]`` in the order they ran and
    ``source_reports`` ``[{"name", "fetched", "created", "updated", "errors"}]``; both grow while the run works.
    """

    #: A running Run silent for this long has lost its worker, which says every few seconds that it lives. Shorter than
    #: the five minutes after which nobody may still see it as running.
    LOST_AFTER = timedelta(minutes=4)

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="runs"
    )
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)
    trigger = models.CharField(max_length=20, default="command", help_text="command, api, page, schedule or admin")
    parameters = models.JSONField(default=dict, blank=True)
    status = models.CharField(max_length=10, choices=RunStatus, default=RunStatus.QUEUED)
    stage_reports = models.JSONField(default=list, blank=True)
    source_reports = models.JSONField(default=list, blank=True)
    error = models.CharField(max_length=500, blank=True)
    worker = models.CharField(max_length=200, blank=True, help_text="host:pid of the process that runs it")
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="run_idempotency_key_unique_per_owner",
            ),
            models.CheckConstraint(condition=Q(status__in=RunStatus.values), name="run_status_known"),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="run_newest"),
            models.Index(
                fields=["status", "heartbeat_at"],
                name="run_unfinished",
                condition=Q(status__in=(RunStatus.QUEUED, RunStatus.RUNNING)),
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}"

    @property
    def is_lost(self) -> bool:
        """Still marked running although its worker has been silent too long; the next sweep will mark it failed."""
        if self.status != RunStatus.RUNNING or self.heartbeat_at is None:
            return False
        return timezone.now() - self.heartbeat_at > self.LOST_AFTER

    @property
    def is_working(self) -> bool:
        """Running, and its worker was heard of lately."""
        return self.status == RunStatus.RUNNING and not self.is_lost

    def write(self, **fields: Any) -> None:
        """Write fields and a heartbeat, as the worker that runs it.

        Raises RunTakenAwayError when it is no longer this worker's: ended by a person or by the sweep. What ended stays
        ended.
        """
        fields["heartbeat_at"] = timezone.now()
        mine = Run.objects.filter(pk=self.pk, status=RunStatus.RUNNING, worker=self.worker)
        if not mine.update(**fields):
            raise RunTakenAwayError(f"Run {self.pk} was ended by somebody else.")
        for name, value in fields.items():
            setattr(self, name, value)

    @property
    def shown_status(self) -> RunStatus:
        """The status a reader should see, also when no worker lives that could sweep."""
        return RunStatus.FAILED if self.is_lost else RunStatus(self.status)

    @property
    def is_finished(self) -> bool:
        return self.shown_status in (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED)

    @property
    def duration_seconds(self) -> float | None:
        """Seconds from start to end; None while it is not finished."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


class WorkerHeartbeat(models.Model):
    """A worker process that said “I live” at ``seen_at``; without a fresh one a queued run waits in vain."""

    FRESH_FOR = timedelta(seconds=90)

    worker = models.CharField(max_length=200, primary_key=True)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.worker
