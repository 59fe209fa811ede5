"""Stores a page's items, and where the reading stands, so that nothing is lost and nothing doubled."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from harvester import metrics
from harvester.errors import ClaimLostError
from harvester.metrics import Mishap
from harvester.models import Artifact, ArtifactStage, Identifier, Source
from harvester.pipeline.links import same_as_of, withdraw
from harvester.sources.base import Item, Page, Rejection
from harvester.sources.identifiers import identifiers_of
from harvester.sources.text import storable

logger = logging.getLogger(__name__)

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
)


@dataclass(frozen=True, slots=True)
class Stored:
    """What storing a page changed; ``rejections`` are items the database would not take."""

    created: int = 0
    updated: int = 0
    rejections: tuple[Rejection, ...] = ()


def store(source: Source, items: Sequence[Item], page: Page) -> Stored:
    """Store a page's items and the page's cursor in one transaction, in a fixed number of queries.

    If the database refuses the batch (a value it cannot hold), the items are tried one by one, so that one bad item
    costs only itself. Raises ClaimLostError, and stores nothing, when the source is no longer as it was claimed.
    """
    try:
        with transaction.atomic():
            _require_claim(source)
            stored = _store_items(source, items)
            keep_place(source, page)
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError:
        stored = _store_singly(source, items)
        with transaction.atomic():
            _require_claim(source)
            keep_place(source, page)
    return stored


def as_claimed(source: Source) -> QuerySet[Source]:
    """The source's row, if it is still there and claimed as it was: editing and taking over end a claim."""
    if source.claimed_by_id is None:
        return Source.objects.filter(pk=source.pk, claimed_by__isnull=True)
    return Source.objects.filter(pk=source.pk, claimed_by=source.claimed_by_id)


def keep_place(source: Source, page: Page) -> None:
    """Store the page's cursor and validators, in the transaction of its items where it has any."""
    fields: dict[str, Any] = {"cursor": dict(page.cursor)}
    if page.etag or page.last_modified:
        fields |= {"etag": page.etag[:500], "last_modified": page.last_modified[:200]}
    if not as_claimed(source).update(**fields):
        raise ClaimLostError


def _require_claim(source: Source) -> None:
    """Lock the source's row until the transaction ends, so that it is not edited or removed meanwhile."""
    if not list(as_claimed(source).select_for_update().values_list("pk")):
        raise ClaimLostError


def _store_singly(source: Source, items: Sequence[Item]) -> Stored:
    total = Stored()
    for item in items:
        try:
            with transaction.atomic():
                _require_claim(source)
                one = _store_items(source, [item])
        except (OperationalError, InterfaceError):
            raise
        except DatabaseError as error:
            metrics.record_mishap(Mishap.ENTRY_REFUSED, "warning")
            logger.warning("item refused by the database", extra={"source": source.name, "error": str(error)})
            refused = Rejection(storable(item.external_id), "the database cannot hold it")
            total = replace(total, rejections=(*total.rejections, refused))
        else:
            total = replace(total, created=total.created + one.created, updated=total.updated + one.updated)
    return total


def _store_items(source: Source, items: Sequence[Item]) -> Stored:
    by_id = {item.external_id: item for item in items}
    stored = Artifact.objects.filter(source=source, external_id__in=by_id)
    known = {
        artifact.external_id: artifact
        for artifact in stored.only("external_id", "content_hash", "updated_at", "published_at", "is_dated")
    }
    now = timezone.now()
    candidates = ((_artifact(source, item, known.get(item.external_id), now), item) for item in by_id.values())
    changed = [pair for pair in candidates if _is_news(pair[0], known.get(pair[0].external_id))]
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


def _is_news(artifact: Artifact, known: Artifact | None) -> bool:
    """Different from what is stored, and not an older version of it (a lagging mirror, a look-up of version 1)."""
    if known is None:
        return True
    if artifact.content_hash == known.content_hash:
        return False
    return not (artifact.updated_at and known.updated_at and artifact.updated_at < known.updated_at)


def _artifact(source: Source, item: Item, known: Artifact | None, now: datetime) -> Artifact:
    published, is_dated = item.published_at or item.updated_at, True
    if published is None:  # what gives no date appeared when we first saw it, not each time it changes
        published, is_dated = (known.published_at, known.is_dated) if known else (now, False)
    return Artifact(
        source=source,
        external_id=item.external_id,
        kind=item.kind,
        canonical_url=item.url,
        title=item.title,
        text=item.text,
        authors=[{"name": author.name, "affiliation": author.affiliation} for author in item.authors],
        published_at=published,
        is_dated=is_dated,
        updated_at=item.updated_at,
        first_seen_at=now,
        engagement=dict(item.engagement),
        metadata=dict(item.metadata),
        raw=dict(item.raw),
        content_hash=content_hash(item),
        stage=ArtifactStage.INGESTED,
    )


def content_hash(item: Item) -> str:
    """SHA-256 (hexadecimal) of what is kept of an item.

    But for ``raw`` and ``updated_at``: accidents of form are no news, and some feeds restamp every entry daily.
    """
    kept = (
        item.kind,
        item.url,
        item.title,
        item.text,
        [(author.name, author.affiliation) for author in item.authors],
        item.published_at.isoformat() if item.published_at else None,
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
        withdraw(same_as_of({artifact_id for artifact_id, _, _ in withdrawn}))
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
