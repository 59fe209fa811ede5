"""A worker that is busy for minutes is not taken for dead."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from harvester.models import Run, RunStatus
from harvester.pipeline.heartbeat import beating
from harvester.pipeline.run import claim

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 10


def a_silent_run() -> Run:
    run = Run.objects.create()
    claim(run)
    Run.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=5))
    return Run.objects.get()


def test_the_heart_beats_while_the_worker_does_something_else() -> None:
    run = a_silent_run()
    assert run.is_lost
    deadline = time.monotonic() + PATIENCE_SECONDS
    with beating(run, every_seconds=0.02):
        while Run.objects.get().is_lost:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_the_heart_of_a_run_that_was_ended_stops() -> None:
    run = a_silent_run()
    Run.objects.update(status=RunStatus.FAILED)
    before = Run.objects.get().heartbeat_at
    with beating(run, every_seconds=0.01):
        time.sleep(0.1)
    assert Run.objects.get().heartbeat_at == before
