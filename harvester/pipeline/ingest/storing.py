"""Stores a page's items, and where the reading stands, so that nothing is lost and nothing doubled."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from harvester.models import Artifact, ArtifactStage, Identifier, Relationship, RelationshipType, Source
from harvester.sources.base import Item, Page, Rejection
from harvester.sources.identifiers import identifiers_of

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
    "is_permanent_failure",
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
    costs only itself.
    """
    try:
        with transaction.atomic():
            stored = _store_items(source, items)
            keep_place(source, page)
    except DatabaseError:
        stored = _store_singly(source, items)
        with transaction.atomic():
            keep_place(source, page)
    return stored


def keep_place(source: Source, page: Page) -> None:
    """Store the page's cursor and validators; in the transaction of its items, where it has any."""
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
            refused = Rejection(storable(item.external_id), "the database cannot hold it")
            total = replace(total, rejections=(*total.rejections, refused))
        else:
            total = replace(total, created=total.created + one.created, updated=total.updated + one.updated)
    return total


def _store_items(source: Source, items: Sequence[Item]) -> Stored:
    by_id = {item.external_id: item for item in items}
    stored = Artifact.objects.filter(source=source, external_id__in=by_id)
    known = {
        external_id: (content_hash, updated_at)
        for external_id, content_hash, updated_at in stored.values_list("external_id", "content_hash", "updated_at")
    }
    now = timezone.now()
    candidates = ((_artifact(source, item, now), item) for item in by_id.values())
    changed = [pair for pair in candidates if _is_news(pair[0], *known.get(pair[0].external_id, ("", None)))]
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


def _is_news(artifact: Artifact, known_hash: str, known_updated_at: datetime | None) -> bool:
    """Different from what is stored, and not an older version of it (a lagging mirror, a look-up of version 1)."""
    if artifact.content_hash == known_hash:
        return False
    return not (artifact.updated_at and known_updated_at and artifact.updated_at < known_updated_at)


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


def storable(text: str) -> str:
    """Without what PostgreSQL cannot hold: NUL and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
