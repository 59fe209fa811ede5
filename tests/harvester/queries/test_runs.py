"""Runs and living workers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from harvester.models import WorkerHeartbeat
from harvester.queries.runs import runs, worker_is_alive
from tests.factories import make_run, make_user, make_worker

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def test_runs_come_newest_first_with_their_owners_in_one_query(django_assert_num_queries: Any) -> None:
    older = make_run(created_at=NOW - timedelta(hours=1), owner=make_user("anna"))
    newer = make_run(created_at=NOW)
    with django_assert_num_queries(1):
        listed = list(runs())
        assert [run.owner and run.owner.username for run in listed] == [None, "anna"]
    assert listed == [newer, older]


def test_a_worker_is_alive_as_long_as_it_was_heard_of_lately() -> None:
    assert not worker_is_alive(NOW)
    make_worker(NOW - WorkerHeartbeat.FRESH_FOR)
    assert not worker_is_alive(NOW)
    make_worker(NOW - WorkerHeartbeat.FRESH_FOR + timedelta(seconds=1))
    assert worker_is_alive(NOW)
