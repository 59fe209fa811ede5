"""The runs: what each was asked, how far it is, what it brought; and the button that asks for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from harvester.actions import WORKER_COMMAND, request_harvest
from harvester.conf import HARVEST_CALLS, HARVEST_COST
from harvester.errors import InvalidCursorError, UnknownSourceError
from harvester.models import Run, RunStatus
from harvester.pages.posts import SeeOther, new_token, staff_post, token_of
from harvester.queries.cursors import paginate
from harvester.queries.disclosure import shown_messages
from harvester.queries.runs import NEWEST, runs, worker_is_alive
from ratelimit import rate_limit

ROWS = 50
_SOURCES_SHOWN = 100

_TONES = {RunStatus.SUCCEEDED: "good", RunStatus.FAILED: "bad", RunStatus.CANCELLED: "warn"}
_TRIGGERS = {
    "command": "a command",
    "api": "the API",
    "page": "a page",
    "schedule": "the schedule",
    "admin": "the admin",
}
_STAGES = {"ingest": "Fetch and store", "same_work": "Same work elsewhere", "score": "Score"}
_OUTCOMES = {
    "fetched": "fetched",
    "unchanged": "nothing new",
    "failed": "failed",
    "busy": "left to another run",
    "waiting": "asked to be left alone",
    "gone": "removed or changed meanwhile",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One run as the list shows it. ``tone`` is a class of the stylesheet that repeats the word in colour."""

    run: Run
    status: RunStatus
    tone: str
    asked: str
    by: str
    fetched: int
    created: int
    updated: int
    errors: int


@require_safe
def runs_page(request: HttpRequest) -> HttpResponse:
    """Every run, newest first; 400 with the first page for a cursor that is not ours."""
    status, cursor = 200, request.GET.get("cursor") or None
    context: dict[str, Any] = {"here": "runs", "once": new_token()}
    try:
        page = paginate(runs(), order=NEWEST, cursor=cursor, limit=ROWS, binding={})
    except InvalidCursorError:
        status, page = 400, paginate(runs(), order=NEWEST, cursor=None, limit=ROWS, binding={})
        context["cursor_was_refused"] = True
    rows = [_row(run) for run in page.results]
    context |= {
        "rows": rows,
        "last": next((row for row in rows if row.run.is_finished), None),
        "waits_in_vain": _waits_in_vain(page.results),
        "worker_command": WORKER_COMMAND,
        "next_address": _address(page.next_cursor) if page.next_cursor else "",
        "previous_address": _address(page.previous_cursor) if page.previous_cursor else "",
    }
    return render(request, "runs.html", context, status=status)


@require_safe
def run_page(request: HttpRequest, run_id: int) -> HttpResponse:
    """404 where there is none."""
    run = runs().filter(pk=run_id).first()
    if run is None:
        raise Http404
    # Failures first: they are what one looks for.
    reports = sorted(run.source_reports, key=lambda report: (not report.get("errors"), report["name"].casefold()))
    context = {
        "here": "runs",
        "row": _row(run),
        "stages": [(_STAGES.get(report["stage"], report["stage"]), report) for report in run.stage_reports],
        "reports": [
            (
                report,
                _OUTCOMES.get(report.get("outcome", ""), "fetched"),
                shown_messages(report, is_staff=request.user.is_staff),
            )
            for report in reports[:_SOURCES_SHOWN]
        ],
        "more_reports": max(len(reports) - _SOURCES_SHOWN, 0),
        "waits_in_vain": _waits_in_vain([run]),
        "worker_command": WORKER_COMMAND,
    }
    return render(request, "run.html", context)


@staff_post
@rate_limit(cost=HARVEST_COST, scope="harvest", limit=HARVEST_CALLS)
def harvest(request: HttpRequest) -> HttpResponse:
    """Queue a run of every source, or of the one that ``source`` names, and go to it. 404 for an unknown source."""
    source = request.POST.get("source") or None
    token = token_of(request)
    try:
        run = request_harvest(
            owner=request.user,
            trigger="page",
            source=source,
            # What is asked is part of the key, so the same token can never come with a different request.
            idempotency_key=f"page {source or ''} {token}" if token else None,
        )
    except UnknownSourceError:
        raise Http404 from None
    return SeeOther(reverse("run", args=[run.pk]))


def _address(cursor: str) -> str:
    return f"{reverse('runs')}?{urlencode({'cursor': cursor})}"


def _waits_in_vain(shown: list[Run]) -> bool:
    """Is one of them queued, and no worker alive that could take it?"""
    return any(run.status == RunStatus.QUEUED for run in shown) and not worker_is_alive(timezone.now())


def _row(run: Run) -> Row:
    def total(name: str) -> int:
        return sum(report.get(name, 0) for report in run.source_reports)

    return Row(
        run=run,
        status=run.shown_status,
        tone=_TONES.get(run.shown_status, ""),
        asked=_asked(run.parameters),
        by=_TRIGGERS.get(run.trigger, run.trigger),
        fetched=total("fetched"),
        created=total("created"),
        updated=total("updated"),
        errors=total("errors"),
    )


def _asked(parameters: dict[str, Any]) -> str:
    """“source arXiv, stage score”; “everything” where nothing was said."""
    words = [f"{name} {parameters[name]}" for name in ("source", "stage", "since", "limit") if name in parameters]
    return ", ".join(words) or "everything"
