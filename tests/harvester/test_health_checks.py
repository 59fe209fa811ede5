"""What the product's own checks tell its operator."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as project
from django.db import connection
from django.utils import timezone

from harvester.health_checks import PipelineCheck, SourcesCheck, WorkerCheck
from harvester.models import RunStatus, SourceState, WorkerHeartbeat
from health.base import Check
from health.checks.orm import OrmCheck
from health.status import HealthStatus
from tests.factories import make_run, make_source

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
OWN = [SourcesCheck, PipelineCheck, WorkerCheck]


@pytest.fixture(autouse=True)
def _in_the_tests_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test has written is seen by its own connection alone."""
    monkeypatch.setattr(OrmCheck, "run", lambda self: self.look())


def added(source: Any, at: datetime) -> None:
    type(source).objects.filter(pk=source.pk).update(created_at=at)


def told(check: Check) -> tuple[HealthStatus, str]:
    found = check.run()
    return found.status, found.code


def test_without_sources_all_is_well_but_for_the_worker() -> None:
    assert told(SourcesCheck(name="sources")) == (HealthStatus.HEALTHY, "fine")
    assert told(PipelineCheck(name="pipeline")) == (HealthStatus.HEALTHY, "new")
    assert told(WorkerCheck(name="worker")) == (HealthStatus.DEGRADED, "silent")


@pytest.mark.parametrize(
    ("fields", "added_ago", "is_failing"),
    [
        ({"consecutive_failures": 9, "last_success_at": timezone.now() - 25 * HOUR}, 99 * HOUR, True),
        ({"consecutive_failures": 9, "last_success_at": timezone.now() - 23 * HOUR}, 99 * HOUR, False),
        ({"consecutive_failures": 9}, 25 * HOUR, True),
        ({"consecutive_failures": 9}, 23 * HOUR, False),
        ({"consecutive_failures": 0, "last_success_at": timezone.now() - 99 * HOUR}, 99 * HOUR, False),
        ({"consecutive_failures": 9, "state": SourceState.PAUSED}, 99 * HOUR, False),
        ({"consecutive_failures": 9, "is_sample": True}, 99 * HOUR, False),
    ],
)
def test_a_source_that_has_been_failing_for_a_day_is_told_of(
    fields: dict[str, Any], added_ago: timedelta, is_failing: bool
) -> None:
    added(make_source(**fields), timezone.now() - added_ago)
    status, _ = told(SourcesCheck(name="sources"))
    assert status is (HealthStatus.DEGRADED if is_failing else HealthStatus.HEALTHY)


def test_how_many_are_failing_is_said_and_not_which() -> None:
    for name in ("first", "second"):
        added(make_source(name, consecutive_failures=3), timezone.now() - 48 * HOUR)
    message = SourcesCheck(name="sources").run().message
    assert message == "Active sources that have been failing for more than 24 hours: 2. See /sources."


@pytest.mark.parametrize(
    ("succeeded_ago", "added_ago", "code"),
    [
        (1 * HOUR, 99 * HOUR, "fine"),
        (26 * HOUR, 99 * HOUR, "stale"),
        (26 * HOUR, 1 * HOUR, "fine"),  # there has been something to read for an hour only
        (None, 26 * HOUR, "never"),
        (None, 1 * HOUR, "new"),
    ],
)
def test_a_pipeline_that_has_not_run_for_a_day_is_told_of(
    succeeded_ago: timedelta | None, added_ago: timedelta, code: str
) -> None:
    now = timezone.now()
    added(make_source(), now - added_ago)
    make_run(status=RunStatus.FAILED, finished_at=now)
    if succeeded_ago is not None:
        make_run(status=RunStatus.SUCCEEDED, created_at=now - succeeded_ago, finished_at=now - succeeded_ago)
    status, told_code = told(PipelineCheck(name="pipeline"))
    assert told_code == code
    assert status is (HealthStatus.DEGRADED if code in {"stale", "never"} else HealthStatus.HEALTHY)


def test_a_worker_that_was_heard_of_lately_is_enough() -> None:
    WorkerHeartbeat.objects.create(worker="here:1", seen_at=timezone.now())
    assert told(WorkerCheck(name="worker")) == (HealthStatus.HEALTHY, "alive")


@pytest.mark.parametrize("kind", OWN)
def test_none_of_them_can_take_a_pod_out(kind: type[OrmCheck]) -> None:
    (check,) = kind.expand("one", {})
    assert not check.critical
    assert check.worst is HealthStatus.DEGRADED


def test_the_project_has_them_all() -> None:
    paths = {entry["check"] for entry in project.HEALTH_CHECKS.values() if isinstance(entry, dict)}
    paths |= {entry for entry in project.HEALTH_CHECKS.values() if isinstance(entry, str)}
    assert {f"{kind.__module__}.{kind.__name__}" for kind in OWN} <= paths


@pytest.mark.parametrize("kind", OWN)
def test_each_asks_the_database_few_questions(kind: type[OrmCheck], django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(2):
        kind(name="one").run()
    assert connection.alias == "default"
