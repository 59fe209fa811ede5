"""Takes a Run through the stages; this file alone knows their order."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Protocol

from django.utils import timezone

from harvester import metrics
from harvester.clients.http import HttpClient
from harvester.errors import RunTakenAwayError, UnknownSourceError
from harvester.metrics import Mishap
from harvester.models import Run, RunStatus, Source, SourceState
from harvester.pipeline import ingest, same_work, score
from harvester.pipeline.heartbeat import beating
from harvester.pipeline.stage import Progress, StageReport, Unwatched
from harvester.queries.sources import source_named
from harvester.queries.statistics import Growth

logger = logging.getLogger(__name__)


class Work(Protocol):
    """The ``run`` of a stage file."""

    def __call__(self, limit: int = ..., *, without: Collection[int] = ...) -> StageReport: ...


#: The stages after ingest, in order. Each reads what the one before has left in the database.
_ANALYSIS: dict[str, Work] = {same_work.NAME: same_work.run, score.NAME: score.run}
STAGES = (ingest.NAME, *_ANALYSIS)

#: How a fetch ends that has heard from its source: nothing else makes an ingest of some sources a success.
_HEARD_FROM = frozenset({"fetched", "unchanged"})

#: The other word that ``parameters["only"]`` may say.
ONLY_SAMPLE = "sample"


def worker_name() -> str:
    """``host:pid`` of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def claim(run: Run) -> bool:
    """Take a queued run for this process; False if another worker was quicker or it was cancelled."""
    now = timezone.now()
    taken = Run.objects.filter(pk=run.pk, status=RunStatus.QUEUED).update(
        status=RunStatus.RUNNING, started_at=now, heartbeat_at=now, worker=worker_name()
    )
    run.refresh_from_db()
    return bool(taken)


def harvest(run: Run, client: HttpClient, *, progress: Progress | None = None) -> Run:
    """Work a claimed run to its end and return it with its reports.

    Fetches every active source; or the one that ``parameters["source"]`` names, paused or not; or what
    ``parameters["only"]`` says: ``due`` for those whose time has come, ``sample`` for the sample world's. The run fails
    if there is no such source, or if something was to be fetched and every source failed. One that was ended by
    somebody else meanwhile stays as it was ended.
    """
    try:
        with beating(run):
            _work(run, client, progress or Unwatched())
        if _have_all_failed(report["outcome"] for report in run.source_reports):
            _finish(run, RunStatus.FAILED, "Every source failed.")
        else:
            _finish(run, RunStatus.SUCCEEDED, "")
    except RunTakenAwayError:
        logger.warning("run was ended by somebody else", extra={"run": run.pk})
        run.refresh_from_db()
    except UnknownSourceError as error:
        _finish(run, RunStatus.FAILED, str(error)[:500])
    except KeyboardInterrupt:
        _finish(run, RunStatus.CANCELLED, "Interrupted; everything stored so far is kept.")
        raise
    except Exception:
        logger.exception("run failed", extra={"run": run.pk})
        _finish(run, RunStatus.FAILED, "Unexpected error; the log has the details.")
        raise
    return run


def sweep() -> int:
    """Mark as failed the runs that lost their worker and free their sources; how many there were.

    A run of this machine whose process is gone is found at once, any other by its silence.
    """
    lost = [run for run in Run.objects.filter(status=RunStatus.RUNNING) if run.is_lost or _is_dead_here(run.worker)]
    for run in lost:
        # Only if it is still as we saw it: the worker may have come back in this moment.
        swept = Run.objects.filter(pk=run.pk, status=RunStatus.RUNNING, heartbeat_at=run.heartbeat_at).update(
            status=RunStatus.FAILED,
            finished_at=timezone.now(),
            error="The worker died. What it had stored is kept; the next run continues there.",
        )
        if swept:
            Source.objects.filter(claimed_by=run).update(claimed_by=None)
            metrics.record_mishap(Mishap.RUN_LOST, "error")
            logger.warning("run lost its worker", extra={"run": run.pk, "worker": run.worker})
    return len(lost)


def _work(run: Run, client: HttpClient, progress: Progress) -> None:
    stage = run.parameters.get("stage")
    if stage in (None, ingest.NAME):
        _ingest(run, client, progress)
    for name, work in _ANALYSIS.items():
        if stage in (None, name):
            _analyse(run, name, work, progress)


def _ingest(run: Run, client: HttpClient, progress: Progress) -> None:
    started = time.monotonic()
    progress.begin(ingest.NAME, None)
    since = run.parameters.get("since")
    reports = ingest.process(
        _sources(run),
        client,
        run=run,
        since=datetime.fromisoformat(since) if since else None,
        limit=run.parameters.get("limit"),
        progress=progress,
    )
    progress.end()
    processed = sum(report.fetched for report in reports)
    failed = sum(report.errors for report in reports)
    total = StageReport(ingest.NAME, processed, failed, time.monotonic() - started)
    outcomes = {report.outcome for report in reports}
    _record(run, total, has_succeeded=not outcomes or not outcomes.isdisjoint(_HEARD_FROM))


def _sources(run: Run) -> list[Source]:
    name = run.parameters.get("source")
    if name is not None:
        return [source_named(name)]
    only = run.parameters.get("only")
    if only == ingest.ONLY_DUE:
        return list(ingest.pending())
    active = Source.objects.filter(state=SourceState.ACTIVE).order_by("next_fetch_at", "id")
    return list(active.filter(is_sample=True) if only == ONLY_SAMPLE else active)


def _analyse(run: Run, name: str, work: Work, progress: Progress) -> None:
    total, growth = StageReport(name), Growth()
    failed: frozenset[int] = frozenset()
    progress.begin(name, None)
    while True:
        report = work(without=failed)  # one attempt per item and run
        total += report
        failed |= report.failed_ids
        growth.add(report.processed)
        run.write()
        progress.advance(report.processed)
        if not report.processed and not report.failed:
            break
    progress.end()
    _record(run, total, has_succeeded=bool(total.processed or not total.failed))


def _record(run: Run, report: StageReport, *, has_succeeded: bool) -> None:
    run.write(stage_reports=[*run.stage_reports, report.as_json()])
    metrics.record_stage(report.stage, report.duration_seconds, has_succeeded=has_succeeded)


def _have_all_failed(outcomes: Iterable[str]) -> bool:
    """None of no outcomes has."""
    return set(outcomes) == {"failed"}


def _finish(run: Run, status: RunStatus, error: str) -> None:
    try:
        run.write(status=status, error=error, finished_at=timezone.now())
    except RunTakenAwayError:
        run.refresh_from_db()
    else:
        if status == RunStatus.FAILED:
            metrics.record_mishap(Mishap.RUN_FAILED, "error")
    Source.objects.filter(claimed_by=run).update(claimed_by=None)


def _is_dead_here(worker: str) -> bool:
    host, _, pid = worker.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
