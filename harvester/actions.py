"""What a person may do: add and change sources, ask for a run. Pages, API, admin and commands all call these."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError

from harvester.clients.http import HttpClient
from harvester.errors import IdempotencyConflictError, SourceConfigError
from harvester.models import (
    LONGEST_ADDRESS,
    LONGEST_NAME,
    Artifact,
    ArtifactStage,
    Run,
    RunStatus,
    Source,
    SourceKind,
    SourceState,
    User,
)
from harvester.pipeline.links import same_as_of, withdraw
from harvester.pipeline.run import STAGES
from harvester.queries.sources import source_named
from harvester.sources import source_module

logger = logging.getLogger(__name__)

IDEMPOTENCY_KEPT = timedelta(hours=24)
HARVEST_TASK = "harvester.tasks.harvest"
#: What to type where no worker lives; shown by pages, API and commands.
WORKER_COMMAND = "python -m celery -A harvester.config worker --beat"

#: The fields that ``forget_position`` changes.
POSITION_FIELDS = (
    "cursor", "etag", "last_modified", "next_fetch_at", "leave_alone_until", "claimed_by",
    "consecutive_failures", "failure_reason", "failure_detail",
)  # fmt: skip

_CHECKED_ENTRIES = 5


# --- sources -------------------------------------------------------------------------------------------------------


def add_source(*, kind: str, name: str, url: str = "", query: str = "", is_sample: bool = False) -> Source:
    """Begin to watch a place. Raises SourceConfigError that names the field; then nothing is added."""
    name, url, query = name.strip(), url.strip(), query.strip()
    check_name(name)
    if kind not in SourceKind.values:
        raise SourceConfigError("kind", f"There is no kind “{kind}”. Known kinds: {', '.join(SourceKind.values)}.")
    check_address(kind, url, query)
    try:
        with transaction.atomic():
            return Source.objects.create(kind=kind, name=name, url=url, query=query, is_sample=is_sample)
    except IntegrityError as error:
        raise SourceConfigError("name", f"There is a source named “{name}” already. Choose another name.") from error


def edit_source(source: Source, *, url: str | None = None, query: str | None = None) -> Source:
    """Change where or what a source reads; it is then read from the beginning. Raises SourceConfigError."""
    source.url = source.url if url is None else url.strip()
    source.query = source.query if query is None else query.strip()
    check_address(source.kind, source.url, source.query)
    forget_position(source)
    source.save(update_fields=["url", "query", *POSITION_FIELDS])
    return source


def forget_position(source: Source) -> None:
    """Make an unsaved source begin anew: what was read and what failed belonged to another address or query.

    What it changes are ``POSITION_FIELDS``. A fetch that is under way loses its claim, so it cannot write the old place
    over the new one.
    """
    source.claimed_by = None
    source.cursor, source.etag, source.last_modified = {}, "", ""
    source.next_fetch_at, source.leave_alone_until = timezone.now(), None
    source.consecutive_failures, source.failure_reason, source.failure_detail = 0, "", ""


def check_name(name: str) -> None:
    """Raise SourceConfigError when no source can be called this; whether the name is free, the database knows."""
    if not name:
        raise SourceConfigError("name", "A source needs a name.")
    if len(name) > LONGEST_NAME:
        raise SourceConfigError("name", f"A name has at most {LONGEST_NAME} characters.")
    if not name.isprintable():
        raise SourceConfigError("name", "This name holds a line break or control character. Remove it.")


def check_address(kind: str, url: str, query: str) -> None:
    """Raise SourceConfigError when no fetch could ever work with these; no network."""
    for field, value in (("url", url), ("query", query)):
        if len(value) > LONGEST_ADDRESS:
            raise SourceConfigError(field, f"This is longer than {LONGEST_ADDRESS:,} characters. Shorten it.")
        if not value.isprintable():
            raise SourceConfigError(field, "This holds a line break or control character. Remove it.")
    source_module(kind).validate(url, query)


def pause_source(source: Source) -> None:
    """Leave it out of scheduled and general harvests until it is resumed; a run that names it still fetches it."""
    source.state = SourceState.PAUSED
    source.save(update_fields=["state"])


def resume_source(source: Source) -> None:
    """Watch it again, from now on, also if the service had asked to be left alone for longer."""
    source.state, source.next_fetch_at, source.leave_alone_until = SourceState.ACTIVE, timezone.now(), None
    source.save(update_fields=["state", "next_fetch_at", "leave_alone_until"])


def remove_source(source: Source) -> int:
    """Remove it and the artifacts found there; how many artifacts went with it.

    What they linked together is compared anew: two works may have hung together by a third that goes.
    """
    with transaction.atomic():
        count = source.artifacts.count()
        withdraw(same_as_of(source.artifacts.all()))
        source.delete()
    return count


def check_source(source: Source, client: HttpClient) -> list[str]:
    """Fetch a little of it now and store nothing; the titles found. Raises FetchError."""
    probe = Source(kind=source.kind, name=source.name, url=source.url, query=source.query)
    titles: list[str] = []
    for page in source_module(source.kind).fetch(probe, client, since=None, limit=_CHECKED_ENTRIES):
        titles += [item.title for item in page.items]
        if len(titles) >= _CHECKED_ENTRIES:
            break
    return titles[:_CHECKED_ENTRIES]


# --- artifacts -----------------------------------------------------------------------------------------------------


def retry_artifacts(artifacts: QuerySet[Artifact]) -> int:
    """Let the stage that failed on them try again, also where it had given up; how many had failed."""
    return artifacts.filter(attempts__gt=0).update(attempts=0, failed_stage="", error="")


def rescore_artifacts(artifacts: QuerySet[Artifact]) -> int:
    """Send scored ones back before the score stage, which keeps the old score until it gives the new; how many."""
    return artifacts.filter(stage=ArtifactStage.SCORED).update(stage=ArtifactStage.LINKED)


# --- runs ----------------------------------------------------------------------------------------------------------


def create_run(
    *,
    owner: User | AnonymousUser | None = None,
    trigger: str,
    source: str | None = None,
    stage: str | None = None,
    only: str | None = None,
    since: datetime | None = None,
    limit: int | None = None,
    idempotency_key: str | None = None,
) -> Run:
    """A queued Run that nobody has been told of; ``harvester.pipeline.run.claim`` takes it.

    With an ``idempotency_key`` (one owner's, for 24 hours) the same request gives the same Run. Raises
    UnknownSourceError, SourceConfigError for an unknown stage, IdempotencyConflictError.
    """
    if stage is not None and stage not in STAGES:
        raise SourceConfigError("stage", f"There is no stage “{stage}”. Known stages: {', '.join(STAGES)}.")
    asked: dict[str, Any] = {
        "source": source_named(source).name if source is not None else None,
        "only": only,
        "stage": stage,
        "since": since.isoformat() if since is not None else None,
        "limit": limit,
    }
    run = Run(
        owner=owner if isinstance(owner, User) else None,
        trigger=trigger,
        parameters={name: value for name, value in asked.items() if value is not None},
        idempotency_key=idempotency_key,
    )
    return _save_once(run)


def request_harvest(
    *,
    owner: User | AnonymousUser | None,
    trigger: str,
    source: str | None = None,
    stage: str | None = None,
    only: str | None = None,
    since: datetime | None = None,
    limit: int | None = None,
    idempotency_key: str | None = None,
) -> Run:
    """Queue a Run and tell a worker. Parameters and errors as in ``create_run``.

    The Run in the database is the request; the message only wakes a worker, so a broker that is away loses nothing: the
    schedule finds queued runs too.
    """
    run = create_run(
        owner=owner,
        trigger=trigger,
        source=source,
        stage=stage,
        only=only,
        since=since,
        limit=limit,
        idempotency_key=idempotency_key,
    )
    transaction.on_commit(lambda: _wake_worker(run))
    return run


def repeat_run(run: Run, *, owner: User | AnonymousUser | None, trigger: str) -> Run:
    """Queue what this run was asked for once more. Raises UnknownSourceError if its source is gone."""
    since = run.parameters.get("since")
    return request_harvest(
        owner=owner,
        trigger=trigger,
        source=run.parameters.get("source"),
        stage=run.parameters.get("stage"),
        only=run.parameters.get("only"),
        since=datetime.fromisoformat(since) if since else None,
        limit=run.parameters.get("limit"),
    )


def cancel_runs(runs: QuerySet[Run]) -> int:
    """Cancel those no worker has taken yet; how many. One that has begun goes on to its end."""
    return runs.filter(status=RunStatus.QUEUED).update(status=RunStatus.CANCELLED, finished_at=timezone.now())


def _save_once(run: Run) -> Run:
    try:
        with transaction.atomic():
            run.save()
    except IntegrityError:
        earlier = Run.objects.filter(owner=run.owner, idempotency_key=run.idempotency_key).first()
        if earlier is None:
            raise
        if timezone.now() - earlier.created_at > IDEMPOTENCY_KEPT:
            earlier.idempotency_key = None
            earlier.save(update_fields=["idempotency_key"])
            run.pk = None
            return _save_once(run)
        if earlier.parameters != run.parameters:
            raise IdempotencyConflictError from None
        return earlier
    return run


def _wake_worker(run: Run) -> None:
    try:
        current_app.send_task(HARVEST_TASK, args=[run.pk], retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("no broker; the schedule will find the run", extra={"run": run.pk, "error": str(error)})
