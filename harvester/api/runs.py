"""The runs: what each was asked, how far it is, what it brought."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router

from harvester.api.addresses import run_address
from harvester.api.document import documented
from harvester.api.lists import list_page
from harvester.api.parameters import ListParameters
from harvester.api.schemas import ListOf, RunDetail, RunParameters, RunShown, SourceReport, StageReport
from harvester.models import Run
from harvester.queries.disclosure import shown_messages
from harvester.queries.runs import NEWEST, runs

router = Router(tags=["runs"])


@router.get(
    "/runs",
    response=ListOf[RunShown],
    summary="The runs",
    openapi_extra=documented(cost=1, example="/api/v1/runs?limit=10"),
)
def list_runs(request: HttpRequest, response: HttpResponse, parameters: Query[ListParameters]) -> ListOf[RunShown]:
    """Every run, newest first, with its stages. What each source brought stands at the run itself."""
    return list_page(
        request,
        response,
        runs().defer("source_reports"),
        lambda run: RunShown(**_facts(run)),
        order=NEWEST,
        binding={},
        parameters=parameters,
        now=timezone.now(),
    )


@router.get(
    "/runs/{int:run_id}",
    response=RunDetail,
    summary="One run",
    openapi_extra=documented(cost=1, example="/api/v1/runs/1"),
)
def get_run(request: HttpRequest, run_id: int) -> RunDetail:
    """Its status, its stages and what each source brought; all of it grows while the run works."""
    run = runs().get(pk=run_id)
    reports = [
        SourceReport(**report | {"messages": shown_messages(report, is_staff=request.user.is_staff)})
        for report in run.source_reports
    ]
    return RunDetail(sources=reports, **_facts(run))


def _facts(run: Run) -> dict[str, Any]:
    return {
        "id": run.pk,
        "url": run_address(run.pk),
        "status": run.shown_status,
        "trigger": run.trigger,
        "parameters": RunParameters(**run.parameters),
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "duration_seconds": run.duration_seconds,
        "error": run.error,
        "stages": [StageReport(**report) for report in run.stage_reports],
    }
