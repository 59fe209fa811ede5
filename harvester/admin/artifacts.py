"""Artifacts: looked at with all that belongs to them; a failed stage can be tried again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from harvester.actions import rescore_artifacts, retry_artifacts
from harvester.admin.lists import LookedAtAdmin, LookedAtInline, as_text
from harvester.models import MAX_ATTEMPTS, Artifact, Identifier, Relationship, Score
from harvester.pipeline.run import STAGES
from harvester.queries.ranks import BANDS, band, decayed_score, lowest_rank


class BandFilter(admin.SimpleListFilter):
    """By the shown, decayed score; the index on rank serves it."""

    title = "band"
    parameter_name = "band"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return (*((word, word) for _, word in BANDS), ("low", "low"), ("none", "not scored"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Artifact]) -> QuerySet[Artifact]:
        now, above = timezone.now(), None
        if self.value() == "none":
            return queryset.filter(score__isnull=True)
        for least, word in (*BANDS, (0.0, "low")):
            if word == self.value():
                from_below = Q(score__rank__gte=lowest_rank(least, now)) if least else Q(score__isnull=False)
                return queryset.filter(from_below if above is None else from_below & Q(score__rank__lt=above))
            above = lowest_rank(least, now) if least else None
        return queryset


class FailedStageFilter(admin.SimpleListFilter):
    title = "failed stage"
    parameter_name = "failed_stage"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return (("any", "any"), ("given-up", "any, given up"), *((stage, stage) for stage in STAGES))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Artifact]) -> QuerySet[Artifact]:
        match self.value():
            case None:
                return queryset
            case "any":
                return queryset.exclude(failed_stage="")
            case "given-up":
                return queryset.filter(attempts__gte=MAX_ATTEMPTS)
            case stage:
                return queryset.filter(failed_stage=stage)


class ScoreInline(LookedAtInline):
    model = Score
    fields = ("discovery_score", "rank", "explanation", "computed_at")


class IdentifierInline(LookedAtInline):
    model = Identifier
    fields = ("scheme", "value")


class _LinkInline(LookedAtInline):
    model = Relationship
    fields: ClassVar[tuple[str, ...]]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Relationship]:
        return super().get_queryset(request).select_related("source", "target")


class LinkOutInline(_LinkInline):
    fk_name = "source"
    fields = ("type", "target", "confidence", "method", "evidence")
    verbose_name_plural = "relationships to others"


class LinkInInline(_LinkInline):
    fk_name = "target"
    fields = ("source", "type", "confidence", "method", "evidence")
    verbose_name_plural = "relationships from others"


@admin.register(Artifact)
class ArtifactAdmin(LookedAtAdmin):
    list_display = ("title", "source", "kind", "published_at", "score_now", "band_now", "error")
    list_select_related = ("source", "score")
    list_filter = ("kind", BandFilter, FailedStageFilter, "source")
    search_fields = ("title", "external_id")
    ordering = ("-published_at", "-id")
    actions = ("retry", "rescore")
    inlines = (ScoreInline, IdentifierInline, LinkOutInline, LinkInInline)
    exclude = ("authors", "engagement", "metadata", "raw")
    readonly_fields = ("people", "counts", "particulars", "entry_as_read")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Artifact]:
        """Without the long columns, which a list never shows; the detail reads them when it does."""
        return super().get_queryset(request).defer("text", "raw", "metadata")

    @admin.display(description="score now", ordering="score__rank")
    def score_now(self, artifact: Artifact) -> str:
        shown = _shown_score(artifact)
        return "–" if shown is None else f"{shown:.1f}"

    @admin.display(description="band", ordering="score__rank")
    def band_now(self, artifact: Artifact) -> str:
        shown = _shown_score(artifact)
        return "–" if shown is None else band(shown)

    @admin.display(description="authors")
    def people(self, artifact: Artifact) -> str:
        return "; ".join(", ".join(filter(None, author.values())) for author in artifact.authors)

    @admin.display(description="engagement")
    def counts(self, artifact: Artifact) -> str:
        return as_text(artifact.engagement)

    @admin.display(description="metadata")
    def particulars(self, artifact: Artifact) -> str:
        return as_text(artifact.metadata)

    @admin.display(description="raw")
    def entry_as_read(self, artifact: Artifact) -> str:
        return as_text(artifact.raw)

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("harvester.change_artifact")

    @admin.action(description="Try the failed stage again", permissions=["act"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Artifact]) -> None:
        count = retry_artifacts(queryset)
        self.message_user(request, f"{count:,} of them had failed and will be tried again by the next run.")

    @admin.action(description="Score again", permissions=["act"])
    def rescore(self, request: HttpRequest, queryset: QuerySet[Artifact]) -> None:
        count = rescore_artifacts(queryset)
        self.message_user(request, f"{count:,} wait for their score, which the next run gives.")


def _shown_score(artifact: Artifact) -> float | None:
    try:
        score: Score = artifact.score
    except Score.DoesNotExist:
        return None
    return decayed_score(score.discovery_score, artifact.published_at, timezone.now())
