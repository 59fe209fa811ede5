"""Asking for a harvest."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Body, Header, Router
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from harvester.actions import WORKER_COMMAND, request_harvest
from harvester.api.addresses import run_address
from harvester.api.document import documented
from harvester.api.parameters import Moment
from harvester.api.schemas import HarvestAccepted
from harvester.conf import HARVEST_CALLS, HARVEST_COST
from harvester.models import LONGEST_NAME
from harvester.pipeline.run import STAGES
from harvester.queries.runs import worker_is_alive
from ratelimit import rate_limit

router = Router(tags=["harvest"])

LONGEST_IDEMPOTENCY_KEY = 255

StageName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(STAGES)})]


class HarvestRequest(BaseModel):
    """What to harvest; all of it may be left out, which means every active source through every stage."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)] | None = Field(
        default=None, description="The name of a source, whatever the case; also a paused one."
    )
    stage: StageName | None = Field(default=None, description="Only this stage.")
    since: Moment | None = Field(default=None, description="Leave out what was published before.")


_EVERYTHING = HarvestRequest()


@router.post(
    "/harvest",
    response={202: HarvestAccepted},
    summary="Ask for a harvest",
    openapi_extra=documented(
        cost=HARVEST_COST, calls=HARVEST_CALLS, scope="write", example="/api/v1/harvest", body={"stage": "score"}
    ),
)
@rate_limit(cost=HARVEST_COST, scope="harvest", limit=HARVEST_CALLS)
def harvest(
    request: HttpRequest,
    response: HttpResponse,
    asked: Annotated[HarvestRequest, Body()] = _EVERYTHING,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=LONGEST_IDEMPOTENCY_KEY,
            description="Of your choice. For 24 hours the same key with the same request gives the same run.",
        ),
    ] = None,
) -> HarvestAccepted:
    """Queue a run for a worker; it is answered at once, and the run's address tells how it goes. Staff only."""
    run = request_harvest(
        owner=request.user,
        trigger="api",
        source=asked.source,
        stage=asked.stage,
        since=asked.since,
        idempotency_key=idempotency_key,
    )
    address, worker_alive = run_address(run.pk), worker_is_alive(timezone.now())
    response["Location"] = address
    return HarvestAccepted(
        id=run.pk,
        run_id=run.pk,
        url=address,
        status=run.shown_status,
        worker_alive=worker_alive,
        detail=(
            f"A worker takes it in a moment; {address} tells how it goes."
            if worker_alive
            else f"No worker is alive, so it waits until one is started: {WORKER_COMMAND}"
        ),
    )
