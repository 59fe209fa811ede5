"""The list of runs, one run, and the button that asks for one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from harvester.actions import WORKER_COMMAND
from harvester.models import Run, RunStatus
from tests.factories import make_run, make_source, make_staff, make_user, make_worker
from tests.harvester.pages.reading import elements, text_of

pytestmark = pytest.mark.django_db

REPORT = {"fetched": 35, "created": 12, "updated": 3, "errors": 0, "outcome": "fetched", "messages": []}


def finished(**fields: Any) -> Run:
    now = timezone.now()
    times = {"created_at": now, "started_at": now - timedelta(seconds=90), "finished_at": now}
    return make_run(status=RunStatus.SUCCEEDED, **(times | fields))


def rows(html: bytes) -> list[str]:
    return [" ".join(row.text.split()) for row in elements(html, "tr") if "scope=col" not in str(row)]


# --- the list ------------------------------------------------------------------------------------------------------


def test_the_list_says_what_each_run_was_asked_and_brought(client: Client) -> None:
    run = finished(
        trigger="schedule",
        parameters={"source": "Lab Nord", "limit": 5},
        source_reports=[{"name": "Lab Nord", **REPORT}, {"name": "Two", **REPORT, "errors": 2}],
    )
    html = client.get("/runs").content
    assert f"Run {run.pk} succeeded source Lab Nord, limit 5 the schedule just now 1 min 30 s 24 6 2" in rows(html)
    assert f"The last to end, run {run.pk}, succeeded just now." in text_of(html)


def test_names_of_owners_are_shown_to_staff_only(client: Client) -> None:
    finished(trigger="page", owner=make_user("secretive"))
    assert "secretive" not in text_of(client.get("/runs").content)
    client.force_login(make_staff())
    assert "a page, secretive" in text_of(client.get("/runs").content)


def test_a_queued_run_without_a_worker_says_how_to_start_one(client: Client) -> None:
    run = make_run()
    for address in ("/runs", f"/runs/{run.pk}"):
        html = client.get(address).content
        assert "no worker is alive to take it" in text_of(html)
        assert WORKER_COMMAND in text_of(html)
    make_worker(timezone.now() - timedelta(minutes=5))
    assert "no worker is alive" in text_of(client.get("/runs").content)
    make_worker()
    for address in ("/runs", f"/runs/{run.pk}"):
        assert "no worker is alive" not in text_of(client.get(address).content)


@pytest.mark.parametrize("number", [10, 1000])
def test_the_list_costs_at_most_three_queries(client: Client, django_assert_max_num_queries: Any, number: int) -> None:
    owner = make_user()
    Run.objects.bulk_create(Run(owner=owner, source_reports=[REPORT | {"name": "A"}]) for _ in range(number))
    with django_assert_max_num_queries(3):
        html = client.get("/runs").content
    assert len(elements(html, "tr")) == min(number, 50) + 1
    client.force_login(make_staff())
    with django_assert_max_num_queries(6):
        client.get("/runs")


@pytest.mark.parametrize("cursor", ["x", "%00", "a" * 5000])
def test_a_crafted_cursor_gives_the_first_page_and_a_sentence(client: Client, cursor: str) -> None:
    finished()
    response = client.get(f"/runs?cursor={cursor}")
    assert response.status_code == 400
    assert "does not fit this list" in text_of(response.content)


def test_with_nothing_run_the_command_is_shown(client: Client) -> None:
    assert "python manage.py harvest" in text_of(client.get("/runs").content)


# --- one run -------------------------------------------------------------------------------------------------------


def test_a_run_shows_its_stages_and_its_sources_failures_first(client: Client) -> None:
    run = finished(
        stage_reports=[
            {"stage": "ingest", "processed": 1234, "failed": 1, "duration_seconds": 3.21},
            {"stage": "score", "processed": 2, "failed": 0, "duration_seconds": 61.0},
        ],
        source_reports=[
            {"name": "Ample", **REPORT},
            {"name": "Zinc", **REPORT, "errors": 1, "outcome": "failed", "messages": ["503 Service Unavailable"]},
        ],
    )
    html = client.get(f"/runs/{run.pk}").content
    assert rows(html)[1:3] == ["Fetch and store 1,234 1 3.2 s", "Score 2 0 1 min 1 s"]
    assert rows(html)[4:] == ["Zinc failed 35 12 3 1", "Ample fetched 35 12 3 0"]
    assert "70 items read: 24 new, 6 changed, 1 error." in text_of(html)
    assert not elements(html, "a", href=f"/runs/{run.pk}")
    client.force_login(make_staff())
    assert rows(client.get(f"/runs/{run.pk}").content)[4] == "Zinc failed 503 Service Unavailable 35 12 3 1"


def test_a_running_run_can_be_refreshed(client: Client) -> None:
    now = timezone.now()
    run = make_run(status=RunStatus.RUNNING, started_at=now, heartbeat_at=now)
    html = client.get(f"/runs/{run.pk}").content
    (link,) = elements(html, "a", href=f"/runs/{run.pk}")
    assert link.text == "Refresh"
    assert "running" in text_of(html)


def test_a_run_that_lost_its_worker_is_shown_as_failed(client: Client) -> None:
    silent = timezone.now() - Run.LOST_AFTER - timedelta(minutes=1)
    run = make_run(status=RunStatus.RUNNING, started_at=silent, heartbeat_at=silent)
    text = text_of(client.get(f"/runs/{run.pk}").content)
    assert f"Run {run.pk}: failed" in text
    assert "Its worker fell silent 5 minutes ago." in text


def test_a_run_of_very_many_sources_stays_small(client: Client) -> None:
    reports = [{"name": f"Source {index} {'x' * 150}", **REPORT, "messages": ["m" * 400] * 5} for index in range(1000)]
    run = finished(source_reports=reports)
    html = client.get(f"/runs/{run.pk}").content
    assert len(html) < 100_000
    assert "more sources" in text_of(html)


@pytest.mark.parametrize("run_id", ["0", "9" * 40])
def test_an_unknown_run_is_404(client: Client, run_id: str) -> None:
    assert client.get(f"/runs/{run_id}").status_code == 404


def test_one_run_costs_at_most_three_queries(client: Client, django_assert_max_num_queries: Any) -> None:
    run = make_run()
    with django_assert_max_num_queries(3):
        client.get(f"/runs/{run.pk}")


# --- asking for one ------------------------------------------------------------------------------------------------


def test_staff_asks_for_a_harvest_and_is_sent_to_its_run(client: Client) -> None:
    staff = make_staff()
    client.force_login(staff)
    response = client.post("/harvest")
    run = Run.objects.get()
    assert (response.status_code, response["Location"]) == (303, f"/runs/{run.pk}")
    assert (run.owner, run.trigger, run.status, run.parameters) == (staff, "page", RunStatus.QUEUED, {})


def test_one_source_can_be_harvested(client: Client) -> None:
    make_source("Lab Nord")
    client.force_login(make_staff())
    client.post("/harvest", {"source": "Lab Nord"})
    assert Run.objects.get().parameters == {"source": "Lab Nord"}
    assert client.post("/harvest", {"source": "Nobody"}).status_code == 404
    assert client.post("/harvest", {"source": "a\0b"}).status_code == 404


def test_the_same_form_sent_twice_asks_once(client: Client) -> None:
    make_source("Lab Nord")
    client.force_login(make_staff())
    once = elements(client.get("/sources").content, "input", name="once")[0].attributes["value"]
    first, second = (client.post("/harvest", {"once": once}) for _ in range(2))
    assert first["Location"] == second["Location"]
    assert client.post("/harvest", {"once": once, "source": "Lab Nord"})["Location"] != first["Location"]


@pytest.mark.parametrize("token", ["", "short", "x" * 300, "a\0" * 16, "ß" * 20])
def test_a_crafted_token_is_no_token(client: Client, token: str) -> None:
    client.force_login(make_staff())
    assert client.post("/harvest", {"once": token}).status_code == 303
    assert Run.objects.get().idempotency_key is None
