"""Fetches the sources and stores what they give, page by page, together with where the reading stands."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from harvester import metrics
from harvester.clients.http import HttpClient
from harvester.errors import ClaimLostError, FetchError, FetchFailure, RunTakenAwayError
from harvester.models import Run, Source, SourceState
from harvester.pipeline.ingest.storing import as_claimed, keep_place, store
from harvester.pipeline.stage import Progress, SourceReport, Unwatched
from harvester.queries.statistics import Growth
from harvester.sources import source_module
from harvester.sources.base import Page
from harvester.sources.text import storable

logger = logging.getLogger(__name__)

NAME = "ingest"

LONGEST_BACK_OFF = timedelta(hours=24)
#: The longest a service can keep us away: what asks for years is mistaken, or means harm.
LONGEST_WAIT_SECONDS = 7 * 24 * 3600
#: What ``parameters["only"]`` of a run says when it may fetch only what is due.
ONLY_DUE = "due"
MESSAGES_KEPT = 5


def pending() -> QuerySet[Source]:
    """Active sources whose next fetch is due, the longest waiting first."""
    due = Source.objects.filter(state=SourceState.ACTIVE, next_fetch_at__lte=timezone.now())
    return due.order_by("next_fetch_at", "id")


def process(
    sources: Iterable[Source],
    client: HttpClient,
    *,
    run: Run,
    since: datetime | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> list[SourceReport]:
    """Fetch each source in turn; one that fails never stops the others.

    ``since`` leaves out what was published and last changed earlier, ``limit`` ends each source after so many entries.
    """
    watcher = progress or Unwatched()
    reports = []
    for source in sources:
        report = _fetch(source, client, run=run, since=since, limit=limit, progress=watcher)
        if report is not None:
            reports.append(report)
            run.write(source_reports=[*run.source_reports, report.as_json()])
    return reports


def _fetch(
    source: Source,
    client: HttpClient,
    *,
    run: Run,
    since: datetime | None,
    limit: int | None,
    progress: Progress,
) -> SourceReport | None:
    """None when a scheduled run finds that another has fetched the source meanwhile."""
    report = SourceReport(source.name)
    try:
        _claim(source, run)
    except _RefusedError as refusal:
        progress.advance(0, f"{source.name}: {refusal}")
        return replace(report, outcome=refusal.outcome, messages=(str(refusal),)) if refusal.outcome else None
    minimum_seconds, growth, started = 0, Growth(), time.monotonic()
    try:
        for page in source_module(source.kind).fetch(source, client, since=since, limit=limit):
            before, report = report, _take(source, page, report)
            growth.add(report.created - before.created)
            minimum_seconds = max(minimum_seconds, page.min_interval_seconds)
            run.write()
            progress.advance(len(page.items), source.name)
    except FetchError as error:
        return _failed(source, report, error)
    except ClaimLostError:
        return replace(report, outcome="gone", messages=("removed, edited or taken over meanwhile", *report.messages))
    except (RunTakenAwayError, OperationalError, InterfaceError):
        raise  # not this source's fault: the run itself ends
    except Exception:
        logger.exception("source failed unexpectedly", extra={"source": source.name})
        return _failed(
            source, report, FetchError(FetchFailure.UNEXPECTED, "Unexpected error; the log has the details.")
        )
    finally:
        metrics.record_discovery_fetch(source.name, report.fetched, time.monotonic() - started)
    _succeeded(source, minimum_seconds)
    return report


def _take(source: Source, page: Page, report: SourceReport) -> SourceReport:
    if page.not_modified:
        keep_place(source, page)
        return replace(report, outcome="unchanged")
    stored = store(source, page.items, page)
    rejections = page.rejections + stored.rejections
    messages = (f"{rejection.external_id or 'an entry'}: {rejection.reason}" for rejection in rejections)
    return replace(
        report,
        fetched=report.fetched + len(page.items),
        created=report.created + stored.created,
        updated=report.updated + stored.updated,
        errors=report.errors + sum(rejection.count for rejection in rejections),
        messages=(*report.messages, *messages)[:MESSAGES_KEPT],
    )


class _RefusedError(Exception):
    """The source cannot be claimed now; an empty ``outcome`` means that nothing is to be reported."""

    def __init__(self, outcome: str, why: str) -> None:
        super().__init__(why)
        self.outcome = outcome


def _claim(source: Source, run: Run) -> None:
    """Take the source for this run and read it anew; raises _RefusedError."""
    now = timezone.now()
    with transaction.atomic():
        current = Source.objects.select_for_update(of=("self",)).filter(pk=source.pk).first()
        if current is None:
            raise _RefusedError("gone", "removed meanwhile")
        holder = current.claimed_by
        if holder is not None and holder.pk != run.pk and holder.is_working:
            raise _RefusedError("busy", f"being fetched by run {holder.pk}")
        if current.leave_alone_until is not None and current.leave_alone_until > now:
            raise _RefusedError(
                "waiting", f"asked not to be called before {current.leave_alone_until:%Y-%m-%d %H:%M} UTC"
            )
        if run.parameters.get("only") == ONLY_DUE and current.next_fetch_at > now:
            raise _RefusedError("", "fetched by another run meanwhile")
        Source.objects.filter(pk=current.pk).update(claimed_by=run, last_fetch_at=now)
    source.refresh_from_db()


def _succeeded(source: Source, minimum_seconds: int) -> None:
    now = timezone.now()
    as_claimed(source).update(
        claimed_by=None,
        last_success_at=now,
        next_fetch_at=now + timedelta(seconds=max(source.interval_seconds, min(minimum_seconds, LONGEST_WAIT_SECONDS))),
        leave_alone_until=None,
        consecutive_failures=0,
        failure_reason="",
        failure_detail="",
    )


def _failed(source: Source, report: SourceReport, error: FetchError) -> SourceReport:
    now = timezone.now()
    failures = source.consecutive_failures + 1
    back_off = min(timedelta(seconds=source.interval_seconds) * 2 ** min(failures - 1, 16), LONGEST_BACK_OFF)
    asked = timedelta(seconds=min(error.retry_after_seconds or 0, LONGEST_WAIT_SECONDS))
    as_claimed(source).update(
        claimed_by=None,
        next_fetch_at=now + max(LONGEST_BACK_OFF if error.permanent else back_off, asked),
        leave_alone_until=now + asked if asked else None,
        consecutive_failures=failures,
        failure_reason=error.reason,
        failure_detail=storable(error.detail)[:500],
    )
    metrics.record_fetch_failure(error.reason)
    logger.warning("source failed", extra={"source": source.name, "reason": error.reason, "detail": error.detail})
    messages = (error.detail, *report.messages)[:MESSAGES_KEPT]
    return replace(report, outcome="failed", errors=report.errors + 1, messages=messages)
