"""Runs: looked at, cancelled while they wait, repeated."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from harvester.actions import cancel_runs, repeat_run
from harvester.admin.lists import LookedAtAdmin, as_text
from harvester.errors import UnknownSourceError
from harvester.models import Run


@admin.register(Run)
class RunAdmin(LookedAtAdmin):
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
        return as_text(run.parameters)

    @admin.display(description="stage reports")
    def stage_reports_in_full(self, run: Run) -> str:
        return as_text(run.stage_reports)

    @admin.display(description="source reports")
    def source_reports_in_full(self, run: Run) -> str:
        return as_text(run.source_reports)

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
