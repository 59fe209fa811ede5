"""Fetches the sources and stores what they give, page by page, together with where the reading stands."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from harvester.clients.http import HttpClient
from harvester.errors import FetchError, FetchFailure
from harvester.models import (
    Artifact,
    ArtifactStage,
    Identifier,
    Relationship,
    RelationshipType,
    Run,
    Source,
    SourceState,
)
from harvester.pipeline.stage import Progress, SourceReport, Unwatched
from harvester.queries.statistics import Growth
from harvester.sources import source_module
from harvester.sources.base import Item, Page, Rejection
from harvester.sources.identifiers import identifiers_of

logger = logging.getLogger(__name__)

NAME = "ingest"

LONGEST_BACK_OFF = timedelta(hours=24)
MESSAGES_KEPT = 5

_WRITTEN_ON_UPDATE = (
    "kind",
    "canonical_url",
    "title",
    "text",
    "authors",
    "published_at",
    "is_dated",
    "updated_at",
    "engagement",
    "metadata",
    "raw",
    "content_hash",
    "stage",
    "failed_stage",
    "error",
    "attempts",
    "is_permanent_failure",
)


@dataclass(frozen=True, slots=True)
class Stored:
    """What storing a page changed; ``rejections`` are items the database would not take."""

    created: int = 0
    updated: int = 0
    rejections: tuple[Rejection, ...] = ()


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

    ``since`` leaves out what was published earlier, ``limit`` ends each source after so many entries.
    """
    watcher = progress or Unwatched()
    reports = []
    for source in sources:
        report = _fetch(source, client, run=run, since=since, limit=limit, progress=watcher)
        reports.append(report)
        run.source_reports = [*run.source_reports, report.as_json()]
        run.heartbeat_at = timezone.now()
        run.save(update_fields=["source_reports", "heartbeat_at"])
    return reports


def store(source: Source, items: Sequence[Item], page: Page) -> Stored:
    """Store a page's items and the page's cursor in one transaction, in a fixed number of queries.

    If the database refuses the batch (a value it cannot hold), the items are tried one by one, so that one bad item
    costs only itself.
    """
    try:
        with transaction.atomic():
            stored = _store_items(source, items)
            _keep_place(source, page)
    except DatabaseError:
        stored = _store_singly(source, items)
        with transaction.atomic():
            _keep_place(source, page)
    return stored


# --- one source ----------------------------------------------------------------------------------------------------


def _fetch(
    source: Source,
    client: HttpClient,
    *,
    run: Run,
    since: datetime | None,
    limit: int | None,
    progress: Progress,
) -> SourceReport:
    report = SourceReport(source.name)
    refusal = _claim(source, run)
    if refusal is not None:
        progress.advance(0, f"{source.name}: {refusal.messages[0]}")
        return refusal
    minimum_seconds, growth = 0, Growth()
    try:
        for page in source_module(source.kind).fetch(source, client, since=since, limit=limit):
            before, report = report, _take(source, page, report)
            growth.add(report.created - before.created)
            minimum_seconds = max(minimum_seconds, page.min_interval_seconds)
            run.touch()
            progress.advance(len(page.items), source.name)
    except FetchError as error:
        return _failed(source, report, error)
    except Exception:
        logger.exception("source failed unexpectedly", extra={"source": source.name})
        return _failed(
            source, report, FetchError(FetchFailure.UNEXPECTED, "Unexpected error; the log has the details.")
        )
    _succeeded(source, minimum_seconds)
    return report


def _take(source: Source, page: Page, report: SourceReport) -> SourceReport:
    if page.not_modified:
        _keep_place(source, page)
        return replace(report, outcome="unchanged")
    stored = store(source, page.items, page)
    rejections = page.rejections + stored.rejections
    messages = (f"{rejection.external_id or 'an entry'}: {rejection.reason}" for rejection in rejections)
    return replace(
        report,
        fetched=report.fetched + len(page.items),
        created=report.created + stored.created,
        updated=report.updated + stored.updated,
        errors=report.errors + len(rejections),
        messages=(*report.messages, *messages)[:MESSAGES_KEPT],
    )


def _claim(source: Source, run: Run) -> SourceReport | None:
    """Take the source for this run; a report that says why not if another run holds it or it wants to be left alone."""
    with transaction.atomic():
        current = Source.objects.select_for_update(of=("self",)).filter(pk=source.pk).first()
        if current is None:
            return SourceReport(source.name, outcome="gone", messages=("removed meanwhile",))
        holder = current.claimed_by
        if holder is not None and holder.pk != run.pk and holder.is_working:
            return SourceReport(source.name, outcome="busy", messages=(f"being fetched by run {holder.pk}",))
        if current.leave_alone_until is not None and current.leave_alone_until > timezone.now():
            until = f"{current.leave_alone_until:%Y-%m-%d %H:%M:%S} UTC"
            return SourceReport(source.name, outcome="waiting", messages=(f"asked not to be called before {until}",))
        current.claimed_by = run
        current.last_fetch_at = timezone.now()
        current.save(update_fields=["claimed_by", "last_fetch_at"])
    source.refresh_from_db()
    return None


def _succeeded(source: Source, minimum_seconds: int) -> None:
    now = timezone.now()
    Source.objects.filter(pk=source.pk).update(
        claimed_by=None,
        last_success_at=now,
        next_fetch_at=now + timedelta(seconds=max(source.interval_seconds, minimum_seconds)),
        leave_alone_until=None,
        consecutive_failures=0,
        failure_reason="",
        failure_detail="",
    )


def _failed(source: Source, report: SourceReport, error: FetchError) -> SourceReport:
    now = timezone.now()
    failures = source.consecutive_failures + 1
    back_off = min(timedelta(seconds=source.interval_seconds) * 2 ** min(failures - 1, 16), LONGEST_BACK_OFF)
    asked = timedelta(seconds=error.retry_after_seconds or 0)
    Source.objects.filter(pk=source.pk).update(
        claimed_by=None,
        next_fetch_at=now + max(LONGEST_BACK_OFF if error.permanent else back_off, asked),
        leave_alone_until=now + asked if asked else None,
        consecutive_failures=failures,
        failure_reason=error.reason,
        failure_detail=_storable(error.detail)[:500],
    )
    logger.warning("source failed", extra={"source": source.name, "reason": error.reason, "detail": error.detail})
    messages = (error.detail, *report.messages)[:MESSAGES_KEPT]
    return replace(report, outcome="failed", errors=report.errors + 1, messages=messages)


# --- one page ------------------------------------------------------------------------------------------------------


def _keep_place(source: Source, page: Page) -> None:
    source.cursor = dict(page.cursor)
    fields = ["cursor"]
    if page.etag or page.last_modified:
        source.etag, source.last_modified = page.etag[:500], page.last_modified[:200]
        fields += ["etag", "last_modified"]
    source.save(update_fields=fields)


def _store_singly(source: Source, items: Sequence[Item]) -> Stored:
    total = Stored()
    for item in items:
        try:
            with transaction.atomic():
                one = _store_items(source, [item])
        except DatabaseError as error:
            logger.warning("item refused by the database", extra={"source": source.name, "error": str(error)})
            refused = Rejection(_storable(item.external_id), "the database cannot hold it")
            total = replace(total, rejections=(*total.rejections, refused))
        else:
            total = replace(total, created=total.created + one.created, updated=total.updated + one.updated)
    return total


def _store_items(source: Source, items: Sequence[Item]) -> Stored:
    by_id = {item.external_id: item for item in items}
    known = {
        external_id: (pk, content_hash)
        for external_id, pk, content_hash in Artifact.objects.filter(source=source, external_id__in=by_id).values_list(
            "external_id", "pk", "content_hash"
        )
    }
    now = timezone.now()
    changed: list[tuple[Artifact, Item]] = []
    for external_id, item in by_id.items():
        artifact = _artifact(source, item, now)
        if known.get(external_id, (None, ""))[1] != artifact.content_hash:
            changed.append((artifact, item))
    if not changed:
        return Stored()
    artifacts = Artifact.objects.bulk_create(
        (artifact for artifact, _ in changed),
        update_conflicts=True,
        unique_fields=("source", "external_id"),
        update_fields=_WRITTEN_ON_UPDATE,
    )
    updated = {artifact.pk for artifact in artifacts if artifact.external_id in known}
    _state_identifiers([(artifact, item) for artifact, (_, item) in zip(artifacts, changed, strict=True)], updated)
    return Stored(created=len(changed) - len(updated), updated=len(updated))


def _artifact(source: Source, item: Item, now: datetime) -> Artifact:
    published = item.published_at or item.updated_at
    return Artifact(
        source=source,
        external_id=item.external_id,
        kind=item.kind,
        canonical_url=item.url,
        title=item.title,
        text=item.text,
        authors=[{"name": author.name, "affiliation": author.affiliation} for author in item.authors],
        published_at=published or now,
        is_dated=published is not None,
        updated_at=item.updated_at,
        first_seen_at=now,
        engagement=dict(item.engagement),
        metadata=dict(item.metadata),
        raw=dict(item.raw),
        content_hash=content_hash(item),
        stage=ArtifactStage.INGESTED,
    )


def content_hash(item: Item) -> str:
    """SHA-256 (hexadecimal) of all that is kept of an item but ``raw``, whose accidents are no news."""
    kept = (
        item.kind,
        item.url,
        item.title,
        item.text,
        [(author.name, author.affiliation) for author in item.authors],
        item.published_at.isoformat() if item.published_at else None,
        item.updated_at.isoformat() if item.updated_at else None,
        sorted(item.identifiers),
        dict(item.engagement),
        dict(item.metadata),
    )
    return hashlib.sha256(json.dumps(kept, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _state_identifiers(stored: Sequence[tuple[Artifact, Item]], updated: set[int]) -> None:
    """Write the identifiers of new artifacts and of the ``updated`` ones.

    Where an artifact no longer states an identifier, the links that rested on it fall, and its former neighbours are
    compared anew.
    """
    stated = {(artifact.pk, str(scheme), value) for artifact, item in stored for scheme, value in identifiers_of(item)}
    before = _identifiers(updated) if updated else {}
    withdrawn = before.keys() - stated
    if withdrawn:
        Identifier.objects.filter(pk__in=[before[key] for key in withdrawn]).delete()
        _unlink({artifact_id for artifact_id, _, _ in withdrawn})
    Identifier.objects.bulk_create(
        (
            Identifier(artifact_id=artifact_id, scheme=scheme, value=value)
            for artifact_id, scheme, value in sorted(stated - before.keys())
        ),
        ignore_conflicts=True,
    )


def _identifiers(ids: set[int]) -> dict[tuple[int, str, str], int]:
    found = Identifier.objects.filter(artifact__in=ids).values_list("artifact_id", "scheme", "value", "pk")
    return {(artifact_id, scheme, value): pk for artifact_id, scheme, value, pk in found}


def _unlink(ids: set[int]) -> None:
    links = Relationship.objects.filter(Q(source__in=ids) | Q(target__in=ids), type=RelationshipType.SAME_AS)
    neighbours = {end for pair in links.values_list("source_id", "target_id") for end in pair}
    links.delete()
    Artifact.objects.filter(pk__in=neighbours).update(stage=ArtifactStage.INGESTED)


def _storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
