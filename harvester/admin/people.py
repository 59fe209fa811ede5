"""Users and groups: Django's own, in the manner of the other lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as StockGroupAdmin
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.models import Group

from harvester.admin.lists import ROWS
from harvester.models import User

# Only the type stubs know this class as generic.
if TYPE_CHECKING:
    _StockUserAdmin = StockUserAdmin[User]
else:
    _StockUserAdmin = StockUserAdmin

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
