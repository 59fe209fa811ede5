"""What the lists share: fifty rows with their live buckets, the reset, the confirmation page, the log."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME, AdminForm
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from ratelimit.admin.buckets import Cells, LiveBuckets, local, words_of_tier
from ratelimit.errors import StoreError
from ratelimit.identity import Identity
from ratelimit.limiter import get_rate_limiter
from ratelimit.models import tier_choices
from ratelimit.tiers import RateLimitTier, counted_as, known_tiers

# Only the type stubs know these classes as generic.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _ModelForm = forms.ModelForm[Any]
else:
    _ModelAdmin, _ModelForm = admin.ModelAdmin, forms.ModelForm

logger = logging.getLogger(__name__)

USERNAME: str = get_user_model().USERNAME_FIELD
_ROWS = 50
_MOST_NAMED = 200
"""Rows on a confirmation page; of more only the number is told."""
_MOST_LOGGED = 20
_UNBROKEN = "\N{NO-BREAK SPACE}"


class LiveChangeList(ChangeList):
    """A page whose rows know their buckets. A POST does something else with the page, and reads none."""

    live: LiveBuckets | None = None
    model_admin: LimitedAdmin

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if request.method == "POST":
            return
        rows: Iterable[Any] = self.result_list  # a queryset, which keeps the rows it has read
        self.live = LiveBuckets({row.pk: self.model_admin.identity_of(row) for row in rows})
        for row in rows:
            row.live_buckets = self.live


class TierFilter(admin.SimpleListFilter):
    """By the tier that an assignment counts as, whatever it says."""

    title = "tier"
    parameter_name = "tier"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return tier_choices()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        tier = self.value()
        if tier == RateLimitTier.API_KEY.value:
            return queryset.exclude(tier__in=set(known_tiers()) - {tier})
        return queryset.filter(tier=tier) if tier else queryset


class TierForm(_ModelForm):
    """Keeps a tier that the settings no longer name, as long as nobody chooses another."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kept, field = self.instance.tier, self.fields.get("tier")
        if kept and kept not in known_tiers() and isinstance(field, forms.ChoiceField):
            field.choices = [*tier_choices(), (kept, tier_in_words(kept))]

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]  # not in the stubs
        return excluded if "tier" in self.changed_data else excluded | {"tier"}


class LimitedAdmin(_ModelAdmin):
    """Rows that have a bucket each. A subclass says whose it is, and which field holds the user."""

    user_field: str
    list_per_page = _ROWS
    show_full_result_count = False
    empty_value_display = "–"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LiveChangeList

    def identity_of(self, row: Any) -> Identity | None:
        """Whose bucket the row is about; None where it has none of its own."""
        raise NotImplementedError

    def get_autocomplete_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """The user, where the project's own admin of users can be searched and this person may; else by primary key."""
        users = self.admin_site._registry.get(get_user_model())  # noqa: SLF001 - is_registered tells no more
        can_search = users is not None and users.get_search_fields(request) and users.has_view_permission(request)
        return (self.user_field,) if can_search else ()

    # --- columns -----------------------------------------------------------------------------------------------------

    @admin.display(description="tier", ordering="tier")
    def tier_shown(self, row: Any) -> str:
        return tier_in_words(row.tier)

    @admin.display(description="limit")
    def limit(self, row: Any) -> str:
        return _cells(row).limit

    @admin.display(description="remaining")
    def remaining(self, row: Any) -> str:
        return _cells(row).remaining

    @admin.display(description="full again")
    def full_again(self, row: Any) -> str:
        return _cells(row).full_again

    # --- the reset ---------------------------------------------------------------------------------------------------

    @admin.action(description="Reset the bucket", permissions=["change"])
    def reset_bucket(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        limiter, filled, full, without = get_rate_limiter(), [], 0, 0
        trouble = ""
        for row in queryset:
            identity = self.identity_of(row)
            if identity is None or not words_of_tier(identity.tier).has_bucket:
                without += 1
                continue
            try:
                was_there = limiter.reset(identity)
            except StoreError as error:
                trouble = error.reason
                break
            filled += [row] if was_there else []
            full += not was_there
        if filled:
            self.record(request, filled, "Reset the bucket.")
        if trouble:
            self.message_user(request, _reset_in_vain(trouble, len(filled) + full), messages.ERROR)
            return
        here = " There is no Redis: other processes count on." if limiter.stats().wanted == "memory" else ""
        self.message_user(
            request,
            f"Reset: {len(filled):,}. Full already: {full:,}. Without a bucket: {without:,}.{here}",
        )

    # --- confirming --------------------------------------------------------------------------------------------------

    def confirm(
        self, request: HttpRequest, *, title: str, question: str, button: str, **context: Any
    ) -> TemplateResponse:
        """A page that asks before anything is done. ``context``: form, chosen, left_out, hidden, object, cancel_url."""
        form = context.get("form")
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            "admin/ratelimit/confirm.html",
            {
                **self.admin_site.each_context(request),
                "title": title,
                "question": question,
                "button": button,
                "opts": self.opts,
                "media": self.media,
                "adminform": AdminForm(form, [(None, {"fields": list(form.fields)})], {}, model_admin=self)
                if form
                else None,
                "cancel_url": request.get_full_path(),
                **context,
            },
        )

    def confirm_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *, action: str, **context: Any
    ) -> TemplateResponse:
        """``confirm`` for an action of the list; its page posts the same choice with ``confirmed``."""
        chosen, number = list(queryset[:_MOST_NAMED]), queryset.count()
        hidden = [("action", action), ("confirmed", "yes")]
        if request.POST.get("select_across") == "1":
            hidden.append(("select_across", "1"))
        marked = request.POST.getlist(ACTION_CHECKBOX_NAME)
        hidden += [(ACTION_CHECKBOX_NAME, pk) for pk in marked]
        return self.confirm(request, chosen=chosen, left_out=number - len(chosen), hidden=hidden, **context)

    def changelist_url(self) -> str:
        return reverse(
            f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist", current_app=self.admin_site.name
        )

    # --- the log -----------------------------------------------------------------------------------------------------

    def record(self, request: HttpRequest, rows: Sequence[Any], what: str) -> None:
        """An entry in the admin's log for each row, and one line in the process's."""
        entries: Any = LogEntry.objects
        entries.log_actions(request.user.pk, rows, CHANGE, what)
        self._tell(what, rows)

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        self._tell("Added.", [obj])
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        self._tell("Changed.", [obj])
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        self._tell("Deleted.", list(queryset))
        return super().log_deletions(request, queryset)

    def _tell(self, what: str, rows: Sequence[Any]) -> None:
        """Without names: a log keeps neither who a user is nor what a key is called."""
        told = ", ".join(str(row.pk) for row in rows[:_MOST_LOGGED]) + (", …" if len(rows) > _MOST_LOGGED else "")
        logger.info("admin of %s, %d rows (%s): %s", self.opts.verbose_name_plural, len(rows), told, what)


def tier_in_words(tier: str) -> str:
    """As it counts: a tier that the settings no longer name is told to be what it counts as."""
    counted = counted_as(tier)
    return counted if tier in {"", counted} else f"{tier} (unknown, counts as {counted})"


def in_short(moment: datetime | None) -> str | None:
    """For a narrow column, to the minute, the year where it is not this one; it breaks between day and hour alone."""
    if moment is None:
        return None
    at, now = local(moment), local(timezone.now())
    day = f"{at:%d %b}" if at.year == now.year else f"{at:%d %b %Y}"
    return f"{day.replace(' ', _UNBROKEN)} {at:%H:%M}"


def _cells(row: Any) -> Cells:
    live: LiveBuckets | None = getattr(row, "live_buckets", None)
    return live.cells(row.pk) if live is not None else Cells()


def _reset_in_vain(reason: str, done: int) -> str:
    if not done:
        return f"Redis is away ({reason}): nothing was reset."
    return f"Redis went away ({reason}) after {done:,}: these are full, the others were not reset."
