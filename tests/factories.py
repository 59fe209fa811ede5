"""Rows for tests, one plain function a noun; whatever a test does not say is filled with something sensible."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from typing import Any

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from harvester.models import (
    Artifact,
    ArtifactKind,
    ArtifactStage,
    Identifier,
    IdentifierScheme,
    Relationship,
    RelationshipMethod,
    RelationshipType,
    Run,
    Score,
    Source,
    SourceKind,
    User,
    WorkerHeartbeat,
)
from harvester.queries.ranks import rank_of

PASSWORD = "correct horse battery"
_numbers = count(1)


@cache
def _hashed_password() -> str:
    """Hashing is slow on purpose; once is enough."""
    return make_password(PASSWORD)


def make_user(username: str = "", **fields: Any) -> User:
    """Signs in with PASSWORD."""
    return User.objects.create(username=username or f"user{next(_numbers)}", password=_hashed_password(), **fields)


def make_staff(username: str = "", **fields: Any) -> User:
    return make_user(username, is_staff=True, **fields)


def make_source(name: str = "", **fields: Any) -> Source:
    number = next(_numbers)
    values = {"kind": SourceKind.FEED, "url": f"https://feed{number}.example/atom.xml"} | fields
    return Source.objects.create(name=name or f"Source {number}", **values)


def artifact_row(source: Source, **fields: Any) -> Artifact:
    """An artifact that is not saved yet, for ``bulk_create``."""
    number = next(_numbers)
    now = timezone.now()
    values: dict[str, Any] = {
        "external_id": f"entry-{number}",
        "kind": ArtifactKind.ARTICLE,
        "canonical_url": f"https://example.org/{number}",
        "title": f"Artifact {number}",
        "text": "What it is about.",
        "authors": [{"name": "Ada Lovelace", "affiliation": ""}],
        "published_at": now - timedelta(hours=6),
        "first_seen_at": now,
        "content_hash": hashlib.sha256(str(number).encode()).hexdigest(),
        "stage": ArtifactStage.SCORED,
    }
    return Artifact(source=source, **(values | fields))


def score_row(artifact: Artifact, score: float = 70.0, **fields: Any) -> Score:
    """A score that is not saved yet, of two components that sum to it."""
    value = {"value": score, "weight": 0.5}
    values: dict[str, Any] = {
        "components": [
            {"name": "earliness", "reason": "Seen 6 hours after it appeared"} | value,
            {"name": "attention", "reason": "The source counts no attention"} | value,
        ],
        "explanation": "Seen 6 hours after it appeared; the source counts no attention.",
        "computed_at": timezone.now(),
    }
    return Score(
        artifact=artifact,
        source=artifact.source,
        kind=artifact.kind,
        discovery_score=score,
        rank=rank_of(score, artifact.published_at),
        **(values | fields),
    )


def make_artifact(source: Source | None = None, *, score: float | None = 70.0, **fields: Any) -> Artifact:
    """With its score, or with ``score=None`` without one and waiting at the first stage."""
    if score is None:
        fields = {"stage": ArtifactStage.INGESTED} | fields
    artifact = artifact_row(source or make_source(), **fields)
    artifact.save()
    if score is not None:
        make_score(artifact, score)
    return artifact


def make_artifacts(source: Source, number: int, *, score: float = 70.0, **fields: Any) -> list[Artifact]:
    """Many at once, each with a score and an hour older than the one before."""
    newest: datetime = fields.pop("published_at", timezone.now() - timedelta(minutes=5))
    rows = Artifact.objects.bulk_create(
        artifact_row(source, published_at=newest - timedelta(minutes=index), **fields) for index in range(number)
    )
    Score.objects.bulk_create(score_row(artifact, score) for artifact in rows)
    return rows


def make_score(artifact: Artifact, score: float = 70.0, **fields: Any) -> Score:
    row = score_row(artifact, score, **fields)
    row.save()
    return row


def make_identifier(artifact: Artifact, value: str, scheme: str = IdentifierScheme.DOI) -> Identifier:
    return Identifier.objects.create(artifact=artifact, scheme=scheme, value=value)


def make_same_work(artifacts: Sequence[Artifact], evidence: str = "10.5555/same") -> list[Relationship]:
    """Link all to the oldest, as the same-work stage does."""
    oldest, *others = sorted(artifacts, key=lambda artifact: artifact.pk)
    return Relationship.objects.bulk_create(
        Relationship(
            source=oldest,
            target=other,
            type=RelationshipType.SAME_AS,
            confidence=0.99,
            method=RelationshipMethod.DOI,
            evidence=evidence,
        )
        for other in others
    )


def make_run(**fields: Any) -> Run:
    return Run.objects.create(**fields)


def make_worker(seen_at: datetime | None = None) -> WorkerHeartbeat:
    return WorkerHeartbeat.objects.create(worker=f"host:{next(_numbers)}", seen_at=seen_at or timezone.now())
