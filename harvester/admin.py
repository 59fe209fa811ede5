"""What an operator edits or looks into: Django's own admin, with lists that cost the same for any number of rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as StockGroupAdmin
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from harvester.actions import (
    WORKER_COMMAND,
    cancel_runs,
    check_address,
    check_name,
    check_source,
    forget_position,
    pause_source,
    remove_source,
    repeat_run,
    request_harvest,
    rescore_artifacts,
    resume_source,
    retry_artifacts,
)
from harvester.clients.http import build_client
from harvester.errors import FetchError, SourceConfigError, UnknownSourceError
from harvester.models import Artifact, Identifier, Relationship, Run, Score, Source, User
from harvester.queries.ranks import BANDS, band, decayed_score, lowest_rank
from harvester.queries.runs import worker_is_alive
from harvester.queries.sources import sources

# Only the type stubs know these classes as generic.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[Any, Any]
    _SourceModelForm = forms.ModelForm[Source]
    _StockUserAdmin = StockUserAdmin[User]
else:
    _ModelAdmin, _TabularInline, _SourceModelForm = admin.ModelAdmin, admin.TabularInline, forms.ModelForm
    _StockUserAdmin = StockUserAdmin

ROWS = 50

admin.site.site_header = "Signal Harvester"
admin.site.site_title = "Signal Harvester"
admin.site.index_title = "Administration"


class _List(_ModelAdmin):
    """What all lists share. Nothing here counts a whole table."""

    list_per_page = ROWS
    show_full_result_count = False


class _LookedAt(_List):
    """A model that the pipeline writes and nobody edits."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


# --- sources -------------------------------------------------------------------------------------------------------


class SourceForm(_SourceModelForm):
    """Refuses, beside the field, what no fetch could ever work with."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        kind = cleaned.get("kind") or self.instance.kind
        try:
            if name := cleaned.get("name"):
                check_name(name)
                self._check_name_is_free(name)
            if kind:
                check_address(kind, cleaned.get("url") or "", cleaned.get("query") or "")
        except SourceConfigError as error:
            self.add_error(error.field if error.field in self.fields else None, error.message)
        return cleaned

    def _check_name_is_free(self, name: str) -> None:
        if Source.objects.exclude(pk=self.instance.pk).filter(name__iexact=name).exists():
            raise SourceConfigError("name", f"There is a source named “{name}” already. Choose another name.")


class FailingFilter(admin.SimpleListFilter):
    title = "failing"
    parameter_name = "failing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return (("yes", "Yes"), ("no", "No"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Source]) -> QuerySet[Source]:
        match self.value():
            case "yes":
                return queryset.filter(consecutive_failures__gt=0)
            case "no":
                return queryset.filter(consecutive_failures=0)
        return queryset


@admin.register(Source)
class SourceAdmin(_List):
    form = SourceForm
    list_display = ("name", "kind", "state_in_words", "next_fetch_at", "consecutive_failures", "artifacts")
    list_filter = ("kind", "state", FailingFilter)
    search_fields = ("name", "url")
    ordering = ("name",)
    actions = ("fetch_now", "pause", "resume", "check_one")
    fieldsets = (
        (None, {"fields": ("name", "kind", "url", "query")}),
        ("When", {"fields": ("state", "interval_seconds", "next_fetch_at", "leave_alone_until")}),
        (
            "How it has been doing",
            {
                "fields": (
                    "last_fetch_at",
                    "last_success_at",
                    "consecutive_failures",
                    "failure_reason",
                    "failure_detail",
                    "cursor",
                    "etag",
                    "last_modified",
                    "claimed_by",
                    "is_sample",
                    "created_at",
                )
            },
        ),
    )
    _kept_by_the_pipeline = (
        "next_fetch_at",
        "leave_alone_until",
        "last_fetch_at",
        "last_success_at",
        "consecutive_failures",
        "failure_reason",
        "failure_detail",
        "cursor",
        "etag",
        "last_modified",
        "claimed_by",
        "is_sample",
        "created_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Source]:
        return sources()

    def get_readonly_fields(self, request: HttpRequest, obj: Source | None = None) -> tuple[str, ...]:
        """A kind is for life: the cursor, and what was read so far, belong to it."""
        return self._kept_by_the_pipeline if obj is None else ("kind", *self._kept_by_the_pipeline)

    def get_fieldsets(self, request: HttpRequest, obj: Source | None = None) -> Any:
        return super().get_fieldsets(request, obj) if obj is not None else self._fieldsets_to_add

    _fieldsets_to_add = ((None, {"fields": ("name", "kind", "url", "query", "interval_seconds")}),)

    def save_model(self, request: HttpRequest, obj: Source, form: forms.ModelForm[Source], change: bool) -> None:
        if change and {"url", "query"} & set(form.changed_data):
            forget_position(obj)
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Source) -> None:
        remove_source(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        for source in queryset:
            remove_source(source)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """Counts instead of naming every artifact that goes with a source: there may be a hundred thousand."""
        found = sources().filter(pk__in=[source.pk for source in objs])
        counts = {source.name: source.artifact_count for source in found}
        listed = [f"{name}, and the {count:,} artifacts found there" for name, count in counts.items()]
        return listed, {"sources": len(counts), "artifacts": sum(counts.values())}, set(), []

    @admin.display(description="state", ordering="state")
    def state_in_words(self, source: Source) -> str:
        return source.state_word

    @admin.display(description="artifacts", ordering="artifact_count")
    def artifacts(self, source: Any) -> int:
        count: int = source.artifact_count
        return count

    @admin.action(description="Fetch now", permissions=["change"])
    def fetch_now(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        runs = [request_harvest(owner=request.user, trigger="admin", source=source.name) for source in queryset]
        self.message_user(request, f"Queued {len(runs)} harvests: run {', '.join(str(run.pk) for run in runs)}.")
        if not worker_is_alive(timezone.now()):
            self.message_user(
                request, f"No worker is alive to take them. Start one: {WORKER_COMMAND}", messages.WARNING
            )

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        for source in queryset:
            pause_source(source)
        self.message_user(request, "Paused. Scheduled harvests leave them out.")

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        for source in queryset:
            resume_source(source)
        self.message_user(request, "Resumed. They are due now.")

    @admin.action(description="Check (reads a little of one source, stores nothing)", permissions=["change"])
    def check_one(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        """One at a time, since the visitor waits for the other server's answer."""
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, "Choose one source to check.", messages.WARNING)
            return
        try:
            titles = check_source(chosen[0], build_client())
        except FetchError as error:
            self.message_user(request, f"{chosen[0].name} does not work: {error.detail}", messages.ERROR)
            return
        found = "; ".join(title[:100] for title in titles) or "nothing in it at the moment"
        self.message_user(request, f"{chosen[0].name} works: {found}.")


# --- artifacts -----------------------------------------------------------------------------------------------------


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


class _LookedAtInline(_TabularInline):
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ScoreInline(_LookedAtInline):
    model = Score
    fields = ("discovery_score", "rank", "explanation", "computed_at")


class IdentifierInline(_LookedAtInline):
    model = Identifier
    fields = ("scheme", "value")


class _LinkInline(_LookedAtInline):
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
class ArtifactAdmin(_LookedAt):
    list_display = ("title", "source", "kind", "published_at", "score_now", "band_now", "error")
    list_select_related = ("source", "score")
    list_filter = ("kind", BandFilter, "failed_stage", "source")
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
        return _as_text(artifact.engagement)

    @admin.display(description="metadata")
    def particulars(self, artifact: Artifact) -> str:
        return _as_text(artifact.metadata)

    @admin.display(description="raw")
    def entry_as_read(self, artifact: Artifact) -> str:
        return _as_text(artifact.raw)

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


def _as_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


# --- relationships and runs ----------------------------------------------------------------------------------------


@admin.register(Relationship)
class RelationshipAdmin(_LookedAt):
    list_display = ("source", "type", "target", "confidence", "method")
    list_select_related = ("source", "target")
    list_filter = ("type", "method")
    search_fields = ("source__title", "target__title")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Relationship]:
        long = [f"{end}__{column}" for end in ("source", "target") for column in ("text", "raw", "metadata")]
        return super().get_queryset(request).defer(*long)


@admin.register(Run)
class RunAdmin(_LookedAt):
    list_display = ("id", "started_at", "trigger", "status_in_words", "stages", "duration", "owner")
    list_select_related = ("owner",)
    list_filter = ("status", "trigger")
    search_fields = ("=id",)
    ordering = ("-created_at", "-id")
    actions = ("cancel", "run_again")
    exclude = ("parameters", "stage_reports", "source_reports")
    readonly_fields = ("asked_for", "stage_reports_in_full", "source_reports_in_full")

    @admin.display(description="status", ordering="status")
    def status_in_words(self, run: Run) -> str:
        return str(run.shown_status.label)

    @admin.display(description="stages")
    def stages(self, run: Run) -> str:
        return ", ".join(f"{report['stage']} {report['processed']:,}" for report in run.stage_reports)

    @admin.display(description="duration")
    def duration(self, run: Run) -> timedelta | None:
        return timedelta(seconds=round(run.duration_seconds)) if run.duration_seconds is not None else None

    @admin.display(description="parameters")
    def asked_for(self, run: Run) -> str:
        return _as_text(run.parameters)

    @admin.display(description="stage reports")
    def stage_reports_in_full(self, run: Run) -> str:
        return _as_text(run.stage_reports)

    @admin.display(description="source reports")
    def source_reports_in_full(self, run: Run) -> str:
        return _as_text(run.source_reports)

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("harvester.change_run")

    @admin.action(description="Cancel what is still queued", permissions=["act"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        count = cancel_runs(queryset)
        self.message_user(request, f"{count} cancelled. A run that has begun goes on to its end.")

    @admin.action(description="Run again", permissions=["act"])
    def run_again(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        for run in queryset:
            try:
                again = repeat_run(run, owner=request.user, trigger="admin")
            except UnknownSourceError as error:
                self.message_user(
                    request, f"Run {run.pk} is not repeated: there is no source named “{error.name}”.", messages.ERROR
                )
            else:
                self.message_user(request, f"Run {run.pk} is repeated by run {again.pk}.")


# --- people --------------------------------------------------------------------------------------------------------

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(_StockUserAdmin):
    """Django's. What an account may do comes from its groups, so single permissions are not offered."""

    list_per_page = ROWS
    show_full_result_count = False
    filter_horizontal = ()
    autocomplete_fields = ("groups",)
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Personal info", {"fields": ("first_name", "last_name", "email")}),
        ("May", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )


@admin.register(Group)
class GroupAdmin(StockGroupAdmin):
    list_per_page = ROWS
    show_full_result_count = False
    filter_horizontal = ()
