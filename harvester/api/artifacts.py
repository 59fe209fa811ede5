"""One artifact with all we know of it, and its relationships."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router
from pydantic import Field

from harvester.api.addresses import artifact_address, relationships_address
from harvester.api.document import documented
from harvester.api.lists import list_page
from harvester.api.parameters import ListParameters
from harvester.api.schemas import (
    ArtifactDetail,
    ListOf,
    Person,
    RelationshipEnd,
    RelationshipShown,
    SameWorkElsewhere,
    ScoreComponent,
    WorkIdentifier,
)
from harvester.models import (
    Artifact,
    ArtifactKind,
    ArtifactStage,
    IdentifierScheme,
    Relationship,
    RelationshipMethod,
    RelationshipType,
)
from harvester.queries.artifacts import MOST_CONFIDENT, SameWork, artifact_with_everything, relationships_of, same_work
from harvester.queries.ranks import band, decayed_score, full_hour, score_at_publication

router = Router(tags=["artifacts"])


class RelationshipParameters(ListParameters):
    type: RelationshipType | None = Field(None, description="One type of relationship.")
    min_confidence: float | None = Field(None, ge=0, le=1, allow_inf_nan=False, description="The least confidence.")


@router.get(
    "/artifacts/{int:artifact_id}",
    response=ArtifactDetail,
    summary="One artifact",
    openapi_extra=documented(cost=1, example="/api/v1/artifacts/1"),
)
def get_artifact(request: HttpRequest, artifact_id: int) -> ArtifactDetail:
    """All we know of it: its text, why it has its score, its people and identifiers, and the same work elsewhere."""
    now = timezone.now()
    artifact = artifact_with_everything(artifact_id)
    return _shown(artifact, same_work(artifact_id), now)


@router.get(
    "/artifacts/{int:artifact_id}/relationships",
    response=ListOf[RelationshipShown],
    summary="What an artifact is related to",
    openapi_extra=documented(cost=1, example="/api/v1/artifacts/1/relationships?type=same_as&min_confidence=0.9"),
)
def list_relationships(
    request: HttpRequest, response: HttpResponse, artifact_id: int, parameters: Query[RelationshipParameters]
) -> ListOf[RelationshipShown]:
    """The statements in which the artifact is source or target, most confident first."""
    Artifact.objects.only("pk").get(pk=artifact_id)
    asked = {"artifact": artifact_id, "type": parameters.type, "min_confidence": parameters.min_confidence}
    return list_page(
        request,
        response,
        relationships_of(artifact_id, relationship_type=parameters.type, min_confidence=parameters.min_confidence),
        _relationship_shown,
        order=MOST_CONFIDENT,
        binding={name: str(value) for name, value in asked.items() if value is not None},
        parameters=parameters,
        now=timezone.now(),
    )


def _shown(artifact: Artifact, elsewhere: list[SameWork], now: datetime) -> ArtifactDetail:
    held = getattr(artifact, "score", None)
    score = decayed_score(held.discovery_score, artifact.published_at, now) if held is not None else None
    return ArtifactDetail(
        id=artifact.pk,
        url=artifact_address(artifact.pk),
        title=artifact.title,
        kind=ArtifactKind(artifact.kind),
        source=artifact.source.name,
        external_id=artifact.external_id,
        canonical_url=artifact.canonical_url,
        published_at=artifact.published_at,
        is_dated=artifact.is_dated,
        updated_at=artifact.updated_at,
        first_seen_at=artifact.first_seen_at,
        text=artifact.text,
        people=[Person(name=person["name"], affiliation=person.get("affiliation", "")) for person in artifact.authors],
        identifiers=[
            WorkIdentifier(scheme=IdentifierScheme(identifier.scheme), value=identifier.value)
            for identifier in artifact.identifiers.all()
        ],
        engagement=artifact.engagement,
        metadata=artifact.metadata,
        stage=ArtifactStage(artifact.stage),
        score=score,
        score_at_publication=score_at_publication(held.discovery_score) if held is not None else None,
        band=band(score) if score is not None else None,
        explanation=held.explanation if held is not None else None,
        components=[
            ScoreComponent(contribution=component["value"] * component["weight"], **component)
            for component in (held.components if held is not None else ())
        ],
        same_as=[_elsewhere_shown(same) for same in elsewhere],
        relationships_url=relationships_address(artifact.pk),
        as_of=full_hour(now),
    )


def _elsewhere_shown(same: SameWork) -> SameWorkElsewhere:
    artifact = same.artifact
    return SameWorkElsewhere(
        id=artifact.pk,
        url=artifact_address(artifact.pk),
        title=artifact.title,
        kind=ArtifactKind(artifact.kind),
        source=artifact.source.name,
        canonical_url=artifact.canonical_url,
        published_at=artifact.published_at,
        method=RelationshipMethod(same.method),
        evidence=same.evidence,
        confidence=same.confidence,
    )


def _relationship_shown(relationship: Relationship) -> RelationshipShown:
    return RelationshipShown(
        id=relationship.pk,
        source=_end(relationship.source),
        target=_end(relationship.target),
        type=RelationshipType(relationship.type),
        confidence=relationship.confidence,
        method=RelationshipMethod(relationship.method),
        evidence=relationship.evidence,
    )


def _end(artifact: Artifact) -> RelationshipEnd:
    return RelationshipEnd(
        id=artifact.pk, url=artifact_address(artifact.pk), title=artifact.title, kind=ArtifactKind(artifact.kind)
    )
