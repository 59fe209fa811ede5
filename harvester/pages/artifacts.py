"""One artifact: what it is, why it has its score, who made it, and where else the same work is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from harvester.models import Artifact, ArtifactStage, Identifier, IdentifierScheme, RelationshipMethod, Score
from harvester.pages.discoveries import engagement_in_words
from harvester.queries.artifacts import artifact_with_everything, same_work
from harvester.queries.ranks import HALF_LIFE_HOURS, band, decayed_score, full_hour

_TEXT_SHOWN = 4000  # characters of the summary; the rest is at the original
_AUTHORS_SHOWN = 100
_CATEGORIES_SHOWN = 50

#: Where an identifier of this scheme leads.
_RESOLVERS = {IdentifierScheme.DOI: "https://doi.org/", IdentifierScheme.ARXIV: "https://arxiv.org/abs/"}
#: What each stage after ingest still has to do.
_STEPS = {
    ArtifactStage.LINKED: "comparison with the same work elsewhere",
    ArtifactStage.SCORED: "its score",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One component of the score: ``value`` (0 to 100) times ``weight`` gives ``points``."""

    name: str
    value: float
    weight: float
    reason: str

    @property
    def points(self) -> float:
        return self.value * self.weight


@dataclass(frozen=True, slots=True)
class ShownScore:
    """The score as of the full hour and at publication, and what it is made of."""

    now: float
    at_publication: float
    band: str
    parts: tuple[Part, ...]
    half_life_days: float


@dataclass(frozen=True, slots=True)
class ShownIdentifier:
    label: str
    value: str
    address: str


@require_safe
def artifact_page(request: HttpRequest, artifact_id: int) -> HttpResponse:
    """404 where there is none."""
    try:
        artifact = artifact_with_everything(artifact_id)
    except Artifact.DoesNotExist:
        raise Http404 from None
    now = timezone.now()
    metadata = artifact.metadata
    context: dict[str, Any] = {
        "here": "discoveries",
        "artifact": artifact,
        "as_of": full_hour(now),
        "score": _shown_score(artifact, now),
        "waits_for": _waits_for(artifact),
        "text": artifact.text[:_TEXT_SHOWN].strip(),
        "text_is_cut": len(artifact.text) > _TEXT_SHOWN,
        "authors": artifact.authors[:_AUTHORS_SHOWN],
        "more_authors": max(len(artifact.authors) - _AUTHORS_SHOWN, 0),
        "engagement": engagement_in_words(artifact.engagement),
        "identifiers": _identifiers(artifact.identifiers.all()),
        "version": metadata.get("version"),
        "comment": metadata.get("comment"),
        "journal": metadata.get("journal_ref"),
        "categories": list(metadata.get("categories") or ())[:_CATEGORIES_SHOWN],
        "elsewhere": [(same, RelationshipMethod(same.method).label) for same in same_work(artifact.pk)],
    }
    return render(request, "artifact.html", context)


def _shown_score(artifact: Artifact, now: datetime) -> ShownScore | None:
    try:
        score: Score = artifact.score
    except Score.DoesNotExist:
        return None
    decayed = decayed_score(score.discovery_score, artifact.published_at, now)
    return ShownScore(
        now=decayed,
        at_publication=score.discovery_score,
        band=band(decayed),
        parts=tuple(
            Part(part["name"].replace("_", " "), part["value"], part["weight"], part.get("reason", ""))
            for part in score.components
        ),
        half_life_days=HALF_LIFE_HOURS / 24,
    )


def _waits_for(artifact: Artifact) -> list[str]:
    """The work still to be done on it, in order; nothing where a stage has given up."""
    if artifact.is_given_up:
        return []
    order = list(ArtifactStage)
    return [_STEPS[stage] for stage in order[order.index(ArtifactStage(artifact.stage)) + 1 :]]


def _identifiers(stated: Iterable[Identifier]) -> list[ShownIdentifier]:
    """Those a reader can use, strongest first; the derived ones (address, title) show elsewhere on the page."""
    order = list(_RESOLVERS)
    useful = [identifier for identifier in stated if identifier.scheme in order]
    return [
        ShownIdentifier(identifier.get_scheme_display(), identifier.value, _address(identifier))
        for identifier in sorted(useful, key=lambda identifier: order.index(IdentifierScheme(identifier.scheme)))
    ]


def _address(identifier: Identifier) -> str:
    return _RESOLVERS[IdentifierScheme(identifier.scheme)] + quote(identifier.value, safe="/:;()")
