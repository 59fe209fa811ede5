"""The shapes the API answers with; what a field means stands beside it and is shown in the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field

from harvester.errors import FetchFailure
from harvester.models import (
    ArtifactKind,
    ArtifactStage,
    IdentifierScheme,
    RelationshipMethod,
    RelationshipType,
    RunStatus,
    SourceKind,
)
from harvester.queries.ranks import Band

SourceWord = Literal["new", "fine", "failing", "paused"]
Identity = Annotated[int, Field(ge=1, le=2**63 - 1)]
Points = Annotated[float, Field(ge=0, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]
Address = Annotated[str, Field(description="Where to read it in this API, relative to this host.")]
T = TypeVar("T", bound=BaseModel)


def _counts(stored: Mapping[str, object]) -> dict[str, int]:
    return {name: count for name, count in stored.items() if isinstance(count, int)}


Counts = Annotated[dict[str, int], BeforeValidator(_counts), Field(description="Counts of attention, by name.")]


class ListOf(BaseModel, Generic[T]):
    results: list[T]
    next: str | None = Field(description="The address of the next page, relative to this host; null on the last one.")
    as_of: datetime = Field(description="The full hour the scores are shown for; all else is as of the request.")


class Discovery(BaseModel):
    """An artifact as the list shows it."""

    id: Identity
    url: Address
    title: str
    kind: ArtifactKind
    source: str = Field(description="The name of the source it was found in.")
    canonical_url: str = Field(description="Where it is published; may be empty.")
    published_at: datetime = Field(description="What the source says; where it says nothing, when it was first seen.")
    summary: str = Field(description="The beginning of its text, at most 300 characters.")
    score: Points = Field(description="As of the full hour; it halves every 336 hours.")
    score_at_publication: Points
    band: Band = Field(description="The score in a word: notify from 85, strong from 60, fair from 40, else low.")
    explanation: str = Field(description="What moved the score, in a sentence.")
    engagement: Counts


class Person(BaseModel):
    name: str
    affiliation: str = Field(description="Empty where the source gives none.")


class WorkIdentifier(BaseModel):
    scheme: IdentifierScheme
    value: str


class ScoreComponent(BaseModel):
    name: str
    value: Points
    weight: Share
    contribution: Points = Field(description="value × weight; these sum to score_at_publication.")
    reason: str


class SameWorkElsewhere(BaseModel):
    """Another artifact that is the same work."""

    id: Identity
    url: Address
    title: str
    kind: ArtifactKind
    source: str
    canonical_url: str
    published_at: datetime
    method: RelationshipMethod
    evidence: str = Field(description="The identifier that proves it.")
    confidence: Share


class ArtifactDetail(BaseModel):
    """An artifact with all we know of it. Score and explanation are null until it has been scored."""

    id: Identity
    url: Address
    title: str
    kind: ArtifactKind
    source: str
    external_id: str = Field(description="What the source calls it.")
    canonical_url: str
    published_at: datetime
    is_dated: bool = Field(description="False where the source gave no usable date.")
    updated_at: datetime | None
    first_seen_at: datetime
    text: str
    people: list[Person] = Field(description="At most 1,000; then metadata says authors_total.")
    identifiers: list[WorkIdentifier]
    engagement: Counts
    metadata: dict[str, Any] = Field(description="What only this kind of source knows.")
    stage: ArtifactStage = Field(description="The last stage of the pipeline that has finished with it.")
    score: Points | None
    score_at_publication: Points | None
    band: Band | None
    explanation: str | None
    components: list[ScoreComponent]
    same_as: list[SameWorkElsewhere]
    relationships_url: Address
    as_of: datetime


class RelationshipEnd(BaseModel):
    id: Identity
    url: Address
    title: str
    kind: ArtifactKind


class RelationshipShown(BaseModel):
    """A statement about two artifacts; same_as has no direction."""

    id: Identity
    source: RelationshipEnd
    target: RelationshipEnd
    type: RelationshipType
    confidence: Share
    method: RelationshipMethod
    evidence: str


class SourceShown(BaseModel):
    """A watched place."""

    id: Identity
    name: str
    kind: SourceKind
    url: str = Field(
        description="The address it is read from; empty where it is the service's own. Its query only for staff."
    )
    query: str
    state: SourceWord
    is_sample: bool = Field(description="Belongs to the sample world.")
    artifacts: int = Field(ge=0, description="How many artifacts were found there.")
    discoveries_url: Address
    next_fetch_at: datetime
    last_fetch_at: datetime | None
    last_success_at: datetime | None
    failures: int = Field(ge=0, description="Failed fetches since the last good one.")
    failure_reason: FetchFailure | None
    failure_detail: str = Field(description="What went wrong; in full for staff, else the reason in words.")


class RunParameters(BaseModel):
    """What was asked for; null where not said."""

    source: str | None = None
    only: str | None = Field(default=None, description="due: sources whose time had come; sample: the sample world.")
    stage: str | None = None
    since: datetime | None = None
    limit: int | None = None


class StageReport(BaseModel):
    stage: str
    processed: int
    failed: int
    duration_seconds: float


class SourceReport(BaseModel):
    name: str
    fetched: int
    created: int
    updated: int
    errors: int
    outcome: str = "fetched"
    messages: list[str] = Field(
        default_factory=list, description="What went wrong; where the fetch itself failed, for staff only."
    )


class RunShown(BaseModel):
    """One passage through the pipeline."""

    id: Identity
    url: Address
    status: RunStatus
    trigger: str = Field(description="Who asked: command, api, page, schedule or admin.")
    parameters: RunParameters
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_seconds: float | None = Field(description="From start to end; null until it has ended.")
    error: str
    stages: list[StageReport]


class RunDetail(RunShown):
    sources: list[SourceReport]


class HarvestAccepted(BaseModel):
    """A run waits to be taken by a worker."""

    id: Identity
    run_id: Identity = Field(description="The same as id, as the command line calls it.")
    url: Address
    status: RunStatus
    worker_alive: bool = Field(description="Has a worker been heard of lately? Without one the run waits in vain.")
    detail: str


class FieldProblem(BaseModel):
    field: str
    place: Literal["path", "query", "header", "body"] = Field(alias="in")
    message: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="A link to what this kind of problem means.")
    title: str
    status: int
    detail: str
    instance: str = Field(description="The id of the request, which the log knows too.")
    errors: list[FieldProblem] = Field(description="The fields at fault, where there are such.")


class LimitProblem(Problem):
    """Too many requests."""

    limit: int = Field(description="Requests a window, as the header RateLimit-Policy says.")
    retry_after: int = Field(ge=1, description="Seconds to wait, as the header Retry-After says.")
