"""What deserves attention, as a list."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router
from pydantic import Field

from harvester.api.addresses import artifact_address
from harvester.api.document import documented
from harvester.api.lists import list_page
from harvester.api.parameters import ListParameters, Moment
from harvester.api.schemas import Discovery, ListOf
from harvester.models import LONGEST_NAME, Artifact, ArtifactKind
from harvester.queries.discoveries import DiscoveryFilters, Opening, discoveries, order_of, summary_of
from harvester.queries.ranks import band, decayed_score, score_at_publication

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

router = Router(tags=["discoveries"])


class DiscoveryParameters(ListParameters):
    source: str | None = Field(
        None, min_length=1, max_length=LONGEST_NAME, description="The name of a source, whatever the case."
    )
    kind: ArtifactKind | None = Field(None, description="One kind of artifact.")
    min_score: float | None = Field(
        None, ge=0, le=100, allow_inf_nan=False, description="The least score, as it is shown: faded to the full hour."
    )
    since: Moment | None = Field(None, description="Published then or later.")
    sort: Literal["best", "newest"] = Field("best", description="By faded score, or by publication.")


@router.get(
    "/discoveries",
    response=ListOf[Discovery],
    summary="What deserves attention",
    openapi_extra=documented(cost=1, example="/api/v1/discoveries?kind=preprint&min_score=60&limit=10"),
)
def list_discoveries(
    request: HttpRequest, response: HttpResponse, parameters: Query[DiscoveryParameters]
) -> ListOf[Discovery]:
    """Scored artifacts, best first or newest first."""
    now = timezone.now()
    filters = DiscoveryFilters(
        source=parameters.source,
        kind=parameters.kind,
        min_score=parameters.min_score,
        since=parameters.since,
        sort=parameters.sort,
    )
    return list_page(
        request,
        response,
        discoveries(filters, now=now).defer("authors"),  # which may be a thousand, and are not shown here
        lambda artifact: _shown(artifact, now),
        order=order_of(filters),
        binding=filters.binding,
        parameters=parameters,
        now=now,
    )


def _shown(artifact: WithAnnotations[Artifact, Opening], now: datetime) -> Discovery:
    score = decayed_score(artifact.score.discovery_score, artifact.published_at, now)
    return Discovery(
        id=artifact.pk,
        url=artifact_address(artifact.pk),
        title=artifact.title,
        kind=ArtifactKind(artifact.kind),
        source=artifact.source.name,
        canonical_url=artifact.canonical_url,
        published_at=artifact.published_at,
        summary=summary_of(artifact.opening),
        score=score,
        score_at_publication=score_at_publication(artifact.score.discovery_score),
        band=band(score),
        explanation=artifact.score.explanation,
        engagement=artifact.engagement,
    )
