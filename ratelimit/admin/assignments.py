"""The tiers of users: looked through, changed one by one or many at once."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django import forms
from django.contrib import admin
from django.db import router, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from ratelimit.admin.lists import USERNAME, LimitedAdmin, TierFilter, TierForm, in_short
from ratelimit.identity import Identity
from ratelimit.identity.identities import user_identity
from ratelimit.models import TierAssignment, tier_choices
from ratelimit.tiers import RateLimitTier, counted_as


class TierChoice(forms.Form):
    tier = forms.ChoiceField(choices=lambda: [("", "---------"), *tier_choices()])


@admin.register(TierAssignment)
class TierAssignmentAdmin(LimitedAdmin):
    form = TierForm
    user_field = "user"
    raw_id_fields = ("user",)
    list_display = ("username", "tier_shown", "limit", "remaining", "full_again", "note", "created")
    list_select_related = ("user",)
    list_filter = (TierFilter,)
    search_fields = (f"user__{USERNAME}", "note")
    ordering = ("-created_at", "-pk")
    actions = ("change_tier", "reset_bucket")
    fields = ("user", "tier", "note", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: TierAssignment | None = None) -> tuple[str, ...]:
        """Somebody else's tier is another assignment."""
        return ("created_at",) if obj is None else ("user", "created_at")

    def identity_of(self, row: TierAssignment) -> Identity:
        """As requests of this user are counted; a superuser's tier is admin whatever is assigned."""
        is_superuser = getattr(row.user, "is_superuser", False)
        return user_identity(str(row.user_id), RateLimitTier.ADMIN.value if is_superuser else counted_as(row.tier))

    @admin.display(description="user", ordering=f"user__{USERNAME}")
    def username(self, row: TierAssignment) -> str:
        return row.user.get_username()

    @admin.display(description="tier", ordering="tier")
    def tier_shown(self, row: TierAssignment) -> str:
        words = super().tier_shown(row)
        is_moot = getattr(row.user, "is_superuser", False) and row.tier != RateLimitTier.ADMIN.value
        return f"{words} (superuser, counts as {RateLimitTier.ADMIN.value})" if is_moot else words

    @admin.display(description="created", ordering="created_at")
    def created(self, row: TierAssignment) -> str | None:
        return in_short(row.created_at)

    @admin.action(description="Change the tier", permissions=["change"])
    def change_tier(self, request: HttpRequest, queryset: QuerySet[TierAssignment]) -> TemplateResponse | None:
        is_answer = request.POST.get("confirmed") == "yes"
        form = TierChoice({"tier": request.POST.get("tier", "")} if is_answer else None)
        if not form.is_valid():
            return self.confirm_action(
                request,
                queryset,
                action="change_tier",
                title="Change the tier",
                question="Which tier shall these users have? It holds everywhere within 5 seconds.",
                button="Change the tier",
                form=form,
            )
        count = self._give(request, queryset, form.cleaned_data["tier"])
        self.message_user(request, f"{count:,} assignments were changed to {form.cleaned_data['tier']}.")
        return None

    def _give(self, request: HttpRequest, queryset: QuerySet[TierAssignment], tier: str) -> int:
        """How many had another tier."""
        with transaction.atomic(using=router.db_for_write(TierAssignment)):
            changed = sorted(queryset.exclude(tier=tier), key=_tier_of)
            TierAssignment.objects.filter(pk__in=[row.pk for row in changed]).update(tier=tier)
            for before, rows in groupby(changed, key=_tier_of):
                some: list[Any] = list(rows)
                for row in some:
                    row.tier = tier  # the log's entries bear what they are called by now
                self.record(request, some, f"Changed the tier from {before} to {tier}.")
        return len(changed)


def _tier_of(row: TierAssignment) -> str:
    return row.tier
