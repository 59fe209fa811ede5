"""GET /runs and /runs/{id}."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from harvester.models import Run, RunStatus
from tests.factories import make_run, make_user
from tests.harvester.api.clients import ApiClient, fields, problem, staff

pytestmark = pytest.mark.django_db

MOMENT = datetime(2026, 11, 23, 16, tzinfo=UTC)
STAGE = {"stage": "ingest", "processed": 7, "failed": 1, "duration_seconds": 1.5}
SOURCE = {
    "name": "arXiv",
    "fetched": 7,
    "created": 5,
    "updated": 1,
    "errors": 1,
    "outcome": "fetched",
    "messages": ["An entry without a title."],
}

anonymous = ApiClient()


def test_a_run_says_how_it_went() -> None:
    run = make_run(
        owner=make_user("anna"),
        trigger="api",
        parameters={"source": "arXiv", "since": "2026-11-01T00:00:00+00:00"},
        status=RunStatus.SUCCEEDED,
        stage_reports=[STAGE],
        source_reports=[SOURCE],
        worker="host:1",
        created_at=MOMENT,
        started_at=MOMENT,
        finished_at=MOMENT + timedelta(seconds=90),
    )
    listed = {
        "id": run.pk,
        "url": f"/api/v1/runs/{run.pk}",
        "status": "succeeded",
        "trigger": "api",
        "parameters": {"source": "arXiv", "only": None, "stage": None, "since": "2026-11-01T00:00:00Z", "limit": None},
        "created_at": "2026-11-23T16:00:00Z",
        "started_at": "2026-11-23T16:00:00Z",
        "finished_at": "2026-11-23T16:01:30Z",
        "duration_seconds": 90.0,
        "error": "",
        "stages": [STAGE],
    }
    assert anonymous.results("/runs") == [listed]
    assert anonymous.json(f"/runs/{run.pk}") == listed | {"sources": [SOURCE]}


def test_a_run_that_lost_its_worker_is_not_shown_as_running() -> None:
    run = make_run(status=RunStatus.RUNNING, heartbeat_at=timezone.now() - timedelta(hours=1))
    assert anonymous.json(f"/runs/{run.pk}")["status"] == "failed"


def test_who_asked_and_who_worked_stays_with_us() -> None:
    run = make_run(owner=make_user("anna"), worker="host:1", idempotency_key="secret")
    text = anonymous.get(f"/runs/{run.pk}").content.decode()
    assert not any(word in text for word in ("anna", "host:1", "secret"))


def test_why_a_fetch_failed_is_for_staff() -> None:
    failed = SOURCE | {"outcome": "failed", "messages": ["localhost is not on the public internet (127.0.0.1)"]}
    run = make_run(source_reports=[failed, SOURCE])
    assert anonymous.json(f"/runs/{run.pk}")["sources"] == [failed | {"messages": []}, SOURCE]
    assert staff().json(f"/runs/{run.pk}")["sources"] == [failed, SOURCE]


def test_runs_come_newest_first_page_by_page() -> None:
    runs = [make_run(created_at=MOMENT) for _ in range(25)]
    met, following = [], "/runs?limit=10"
    while following:
        page = anonymous.json(following)
        met += [run["id"] for run in page["results"]]
        following = page["next"]
    assert met == [run.pk for run in reversed(runs)]


@pytest.mark.parametrize("run_id", ["0", "999999", str(2**63), "9" * 30, "-1", "abc"])
def test_an_id_that_is_unknown_or_none_is_not_found(run_id: str) -> None:
    problem(anonymous.get(f"/runs/{run_id}"), 404, "not-found")


@pytest.mark.parametrize(("query", "field"), [("limit=0", "limit"), ("cursor=x", "cursor"), ("status=new", "status")])
def test_what_cannot_be_used_is_named(query: str, field: str) -> None:
    assert fields(anonymous.get(f"/runs?{query}")) == {("query", field)}


@pytest.mark.parametrize("number", [10, 1000])
def test_runs_take_one_query_however_many(number: int, django_assert_num_queries: Any) -> None:
    owner = make_user()
    Run.objects.bulk_create(Run(owner=owner, stage_reports=[STAGE], source_reports=[SOURCE]) for _ in range(number))
    with django_assert_num_queries(1):
        anonymous.json("/runs?limit=100")
