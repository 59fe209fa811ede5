"""The watched sources and how each is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router

from harvester.api.addresses import discoveries_address
from harvester.api.document import documented
from harvester.api.lists import list_page
from harvester.api.parameters import ListParameters
from harvester.api.schemas import ListOf, SourceShown, SourceWord
from harvester.errors import FetchFailure
from harvester.models import Source, SourceKind
from harvester.queries.disclosure import shown_failure_detail, shown_url
from harvester.queries.sources import BY_NAME, ArtifactCount, sources

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

router = Router(tags=["sources"])


@router.get(
    "/sources",
    response=ListOf[SourceShown],
    summary="The watched sources",
    openapi_extra=documented(cost=1, example="/api/v1/sources?limit=100"),
)
def list_sources(
    request: HttpRequest, response: HttpResponse, parameters: Query[ListParameters]
) -> ListOf[SourceShown]:
    """Every source by name: its state, its next fetch, its failures and how much was found there."""
    return list_page(
        request,
        response,
        sources(),
        lambda source: _shown(source, is_staff=request.user.is_staff),
        order=BY_NAME,
        binding={},
        parameters=parameters,
        now=timezone.now(),
    )


def _shown(source: WithAnnotations[Source, ArtifactCount], *, is_staff: bool) -> SourceShown:
    return SourceShown(
        id=source.pk,
        name=source.name,
        kind=SourceKind(source.kind),
        url=shown_url(source, is_staff=is_staff),
        query=source.query,
        state=cast("SourceWord", source.state_word),
        is_sample=source.is_sample,
        artifacts=source.artifact_count,
        discoveries_url=discoveries_address(source.name),
        next_fetch_at=source.next_fetch_at,
        last_fetch_at=source.last_fetch_at,
        last_success_at=source.last_success_at,
        failures=source.consecutive_failures,
        failure_reason=FetchFailure(source.failure_reason) if source.failure_reason else None,
        failure_detail=shown_failure_detail(source, is_staff=is_staff),
    )
