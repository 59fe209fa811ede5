"""Runs as lists show them, whether a worker lives that could take one, and what waits in the pipeline."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count, QuerySet

from harvester.models import Artifact, ArtifactStage, Run, WorkerHeartbeat
from harvester.queries.cursors import Order

NEWEST = Order("newest", value="created_at", type=datetime)


def runs() -> QuerySet[Run]:
    """Every run, newest first, with its owner."""
    return Run.objects.select_related("owner").order_by(*NEWEST.columns())


def worker_is_alive(now: datetime) -> bool:
    """Has any worker said so recently? Without one a queued run waits in vain."""
    return WorkerHeartbeat.objects.filter(seen_at__gt=now - WorkerHeartbeat.FRESH_FOR).exists()


def backlog() -> dict[ArtifactStage, int]:
    """How many artifacts stand at each stage and wait for the next; permanent failures wait for nothing."""
    waiting = (
        Artifact.objects.exclude(stage=ArtifactStage.SCORED)
        .filter(is_permanent_failure=False)
        .order_by()
        .values_list("stage")
        .annotate(n=Count("pk"))
    )
    return {ArtifactStage(stage): count for stage, count in waiting}
