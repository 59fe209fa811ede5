"""Sources: added, changed, paused, checked and removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from harvester.actions import (
    POSITION_FIELDS,
    WORKER_COMMAND,
    check_address,
    check_name,
    check_source,
    forget_position,
    pause_source,
    remove_source,
    request_harvest,
    resume_source,
)
from harvester.admin.lists import ListAdmin
from harvester.clients.http import build_client
from harvester.errors import FetchError, SourceConfigError
from harvester.models import Source
from harvester.queries.runs import worker_is_alive
from harvester.queries.sources import sources

# Only the type stubs know this class as generic.
if TYPE_CHECKING:
    _SourceModelForm = forms.ModelForm[Source]
else:
    _SourceModelForm = forms.ModelForm


class SourceForm(_SourceModelForm):
    """Refuses, beside the field, what no fetch could ever work with."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if name := cleaned.get("name"):
            self._refuse(lambda: self._check_name(name))
        if kind := cleaned.get("kind") or self.instance.kind:
            self._refuse(lambda: check_address(kind, cleaned.get("url") or "", cleaned.get("query") or ""))
        return cleaned

    def _check_name(self, name: str) -> None:
        check_name(name)
        if Source.objects.exclude(pk=self.instance.pk).filter(name__iexact=name).exists():
            raise SourceConfigError("name", f"There is a source named “{name}” already. Choose another name.")

    def _refuse(self, check: Callable[[], None]) -> None:
        try:
            check()
        except SourceConfigError as error:
            self.add_error(error.field if error.field in self.fields else None, error.message)


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
class SourceAdmin(ListAdmin):
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
        if not change:
            super().save_model(request, obj, form, change)
            return
        changed = list(form.changed_data)
        if {"url", "query"} & set(changed):
            forget_position(obj)
            changed += POSITION_FIELDS
        obj.save(update_fields=changed)  # nothing else: a worker may be writing its place just now

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
