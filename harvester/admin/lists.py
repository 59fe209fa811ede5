"""What every list of the admin shares: fifty rows, nothing that counts a whole table; and models nobody edits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

# Only the type stubs know these classes as generic.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[Any, Any]
else:
    _ModelAdmin, _TabularInline = admin.ModelAdmin, admin.TabularInline

ROWS = 50


class ListAdmin(_ModelAdmin):
    """A list of any size; its price is that of one page."""

    list_per_page = ROWS
    show_full_result_count = False


class LookedAtAdmin(ListAdmin):
    """A model that the pipeline writes and nobody edits."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class LookedAtInline(_TabularInline):
    """Rows beside what they belong to, written by the pipeline too."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def as_text(value: Any) -> str:
    """A JSON value for reading; the admin escapes it."""
    return json.dumps(value, indent=2, ensure_ascii=False)
