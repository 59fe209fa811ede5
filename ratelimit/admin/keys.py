"""API keys: made and shown once, rotated, revoked; kept for the record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import router, transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from ratelimit.admin.lists import USERNAME, LimitedAdmin, TierFilter, TierForm, in_short
from ratelimit.identity import Identity, VerifiedKey
from ratelimit.identity.identities import key_identity
from ratelimit.keys import hash_of, new_key, prefix_of
from ratelimit.models import ApiKey
from ratelimit.tiers import counted_as

STATES = ("active", "expired", "revoked", "owner inactive")
OVERLAPS = ((0, "none: the old key ends at once"), (3600, "1 hour"), (86400, "24 hours"), (604800, "7 days"))
"""Seconds for which the old key goes on after a rotation."""


def state_of(key: ApiKey, now: datetime) -> str:
    """One of STATES; a reason that cannot be undone goes first."""
    if key.revoked_at is not None:
        return "revoked"
    if key.owner is not None and not getattr(key.owner, "is_active", True):
        return "owner inactive"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"


def _in_state(state: str, now: datetime) -> Q:
    is_revoked, is_expired = Q(revoked_at__isnull=False), Q(expires_at__isnull=False, expires_at__lte=now)
    has_column = any(field.name == "is_active" for field in get_user_model()._meta.get_fields())  # noqa: SLF001 - Django's public model _meta API
    is_orphaned = Q(owner__isnull=False, owner__is_active=False) if has_column else Q(pk__in=[])
    match state:
        case "revoked":
            return is_revoked
        case "owner inactive":
            return ~is_revoked & is_orphaned
        case "expired":
            return ~is_revoked & ~is_orphaned & is_expired
        case _:
            return ~is_revoked & ~is_orphaned & ~is_expired


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(state, state) for state in STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        state = self.value()
        return queryset.filter(_in_state(state, timezone.now())) if state in STATES else queryset


class KeyForm(TierForm):
    asker: Any
    """Who fills it in."""

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"].strip()
        return name

    def clean_expires_at(self) -> datetime | None:
        """The form's own, as the constraint compares with a column that is not in it."""
        expires_at: datetime | None = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= self.instance.created_at:
            raise ValidationError("A key must expire after it was made.", code="expires_at")
        return expires_at

    def clean_owner(self) -> Any:
        """Whoever makes a key holds it: it must not be a way to become somebody else."""
        owner = self.cleaned_data["owner"]
        if not may_hold_key_of(self.asker, owner):
            raise ValidationError("This user may more than you, so you cannot make a key for them.", code="owner")
        return owner


def may_hold_key_of(asker: Any, owner: Any | None) -> bool:
    """Whether the owner may nothing that the asker may not; a key carries its owner's rights."""
    if owner is None or owner.pk == asker.pk or getattr(asker, "is_superuser", False):
        return True
    return not getattr(owner, "is_superuser", False) and _permissions(owner) <= _permissions(asker)


def _permissions(user: Any) -> set[str]:
    """Not every user model keeps permissions."""
    return set(user.get_all_permissions()) if hasattr(user, "get_all_permissions") else set()


class OverlapForm(forms.Form):
    overlap = forms.TypedChoiceField(
        choices=OVERLAPS,
        coerce=int,
        initial=86400,
        help_text="For how long both keys are good. It lengthens no life: a key that expires sooner does so.",
    )


@admin.register(ApiKey)
class ApiKeyAdmin(LimitedAdmin):
    form = KeyForm
    user_field = "owner"
    raw_id_fields = ("owner",)
    list_display = (
        "name",
        "prefix_shown",
        "owner_shown",
        "scope",
        "tier_shown",
        "state",
        "limit",
        "remaining",
        "full_again",
        "last_used",
        "expires",
    )
    list_select_related = ("owner",)
    list_filter = (StateFilter, TierFilter, "scope")
    search_fields = ("name", "prefix", f"owner__{USERNAME}", "note")
    ordering = ("-created_at", "-pk")
    actions = ("revoke", "reset_bucket")
    fieldsets = (
        (None, {"fields": ("name", "scope", "owner", "tier", "expires_at", "note")}),
        ("How it has been doing", {"fields": ("state", "prefix_shown", "created_at", "last_used_at", "revoked_at")}),
    )
    readonly_fields = ("state", "prefix_shown", "created_at", "last_used_at", "revoked_at")

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return self.fieldsets if obj is not None else self.fieldsets[:1]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """A key keeps its owner: whoever holds it was given it for that one."""
        return self.readonly_fields if obj is None else ("owner", *self.readonly_fields)

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"asker": request.user})

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """A key is revoked and stays for the record; only a superuser may take it out of that."""
        return bool(getattr(request.user, "is_superuser", False)) and super().has_delete_permission(request, obj)

    def identity_of(self, row: ApiKey) -> Identity | None:
        """A key that is not good has no bucket of its own: its requests are counted by address."""
        if state_of(row, timezone.now()) != "active":
            return None
        verified = VerifiedKey(row.pk, row.name, row.prefix, row.scopes, row.owner_id)
        return key_identity(verified, counted_as(row.tier))

    # --- columns -----------------------------------------------------------------------------------------------------

    @admin.display(description="prefix", ordering="prefix")
    def prefix_shown(self, key: ApiKey) -> str:
        return f"{key.prefix}…"

    @admin.display(description="owner", ordering=f"owner__{USERNAME}")
    def owner_shown(self, key: ApiKey) -> str | None:
        return key.owner.get_username() if key.owner is not None else None

    @admin.display(description="state")
    def state(self, key: ApiKey) -> str:
        return state_of(key, timezone.now())

    @admin.display(description="last used", ordering="last_used_at")
    def last_used(self, key: ApiKey) -> str | None:
        return in_short(key.last_used_at)

    @admin.display(description="expires", ordering="expires_at")
    def expires(self, key: ApiKey) -> str | None:
        return in_short(key.expires_at)

    # --- making one --------------------------------------------------------------------------------------------------

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        key: ApiKey | None = kwargs.get("obj")
        state = state_of(key, timezone.now()) if key is not None else ""
        may_change = key is not None and self.has_change_permission(request, key)
        context |= {
            "may_revoke": may_change and state != "revoked",
            "may_rotate": may_change and state in {"active", "owner inactive"},
        }
        if key is None:  # the answer is the new key's page, from which one goes on
            context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    @sensitive_variables("text")
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=form.changed_data)  # nothing else: it may be used or revoked at this moment
            return
        text = new_key()
        obj.prefix, obj.key_hash = prefix_of(text), hash_of(text)
        obj.save(force_insert=True)
        obj.text_to_show = text  # for response_add, which is called with the same object

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return self._show_once(request, obj, vars(obj).pop("text_to_show"))

    @sensitive_variables("text")
    def _show_once(self, request: HttpRequest, key: ApiKey, text: str, *, old: ApiKey | None = None) -> HttpResponse:
        """The answer to the very request that made the key: it stands in no session, message, address or log."""
        request.current_app = self.admin_site.name
        response = TemplateResponse(
            request,
            "admin/ratelimit/apikey/shown_once.html",
            {
                **self.admin_site.each_context(request),
                "title": "The new API key",
                "opts": self.opts,
                "key": key,
                "text": text,
                "old": old,
            },
        )
        response["Cache-Control"] = "no-store"
        response["Referrer-Policy"] = "no-referrer"
        return response

    # --- rotating and revoking ---------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(view),
                name=f"{self.opts.app_label}_{self.opts.model_name}_{name}",
            )
            for name, view in (("revoke", self.revoke_view), ("rotate", self.rotate_view))
        ]
        return own + super().get_urls()

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self._changeable(request, object_id)
        if request.method != "POST":
            return self.confirm(
                request,
                title="Revoke the API key",
                question=_REVOKE,
                button="Revoke it",
                object=key,
                chosen=[key],
                cancel_url=self._url_of(key),
            )
        count = self._revoke(request, [key])
        self.message_user(request, f"{key} is revoked." if count else f"{key} had been revoked before.")
        return HttpResponseRedirect(self._url_of(key))

    @sensitive_variables("text")
    def rotate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self._changeable(request, object_id)
        if not may_hold_key_of(request.user, key.owner):
            raise PermissionDenied
        form = OverlapForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                with transaction.atomic(using=router.db_for_write(ApiKey)):
                    issued, text = key.rotate(timedelta(seconds=form.cleaned_data["overlap"]))
                    self.record(request, [key], f"Rotated: {issued} follows it.")
                    self.log_addition(request, issued, f"Made to follow {key}.")
            except ValidationError as error:
                form.add_error(None, error.messages)
            else:
                return self._show_once(request, issued, text, old=key)
        return self.confirm(
            request,
            title="Rotate the API key",
            question=_ROTATE,
            button="Rotate it",
            object=key,
            chosen=[key],
            form=form,
            cancel_url=self._url_of(key),
        )

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> TemplateResponse | None:
        if request.POST.get("confirmed") != "yes":
            return self.confirm_action(
                request, queryset, action="revoke", title="Revoke API keys", question=_REVOKE, button="Revoke them"
            )
        total = queryset.count()
        count = self._revoke(request, list(queryset.filter(revoked_at__isnull=True)))
        before = f" {total - count:,} had been revoked before." if total > count else ""
        self.message_user(request, f"{count:,} API keys are revoked.{before}", messages.SUCCESS)
        return None

    def _revoke(self, request: HttpRequest, keys: Sequence[ApiKey]) -> int:
        """How many were not revoked yet."""
        with transaction.atomic(using=router.db_for_write(ApiKey)):
            unended = ApiKey.objects.filter(pk__in=[key.pk for key in keys], revoked_at__isnull=True)
            count = unended.update(revoked_at=timezone.now())
            if count:
                self.record(request, keys, "Revoked.")
        return count

    def _changeable(self, request: HttpRequest, object_id: str) -> ApiKey:
        key: ApiKey | None = self.get_object(request, unquote(object_id))
        if key is None:
            raise Http404
        if not self.has_change_permission(request, key):
            raise PermissionDenied
        return key

    def _url_of(self, key: ApiKey) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(name, args=(key.pk,), current_app=self.admin_site.name)


_REVOKE = "A revoked key is refused everywhere within 5 seconds, for good: it cannot be made valid again."
_ROTATE = "A new key that may the same is made and shown once. The old one ends after the overlap."
