"""Celery's tasks: wrappers of a few lines over the functions that the commands call too."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from harvester.actions import create_run
from harvester.clients.http import build_client
from harvester.models import Run, RunStatus
from harvester.pipeline import ingest
from harvester.pipeline.run import claim, sweep
from harvester.pipeline.run import harvest as work_run

# A queued run this old has lost its message (the broker was away, or kept it in memory and died).
_MESSAGE_LOST_AFTER = timedelta(seconds=60)


@shared_task
def harvest(run_id: int) -> None:
    """Work a queued run, unless another worker has taken it."""
    run = Run.objects.filter(pk=run_id).first()
    if run is not None and claim(run):
        work_run(run, build_client())


@shared_task
def sweep_runs() -> None:
    """End the runs that lost their worker, and take up those whose message was lost."""
    sweep()
    forgotten = timezone.now() - _MESSAGE_LOST_AFTER
    for run_id in Run.objects.filter(status=RunStatus.QUEUED, created_at__lt=forgotten).values_list("pk", flat=True):
        harvest(run_id)


@shared_task
def harvest_due() -> None:
    """Harvest the sources whose time has come, as one scheduled run; nothing due, no run."""
    if not ingest.pending().exists():
        return
    run = create_run(trigger="schedule", only=ingest.ONLY_DUE)
    if claim(run):
        work_run(run, build_client())
