"""Relationships: looked at."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from harvester.admin.lists import LookedAtAdmin
from harvester.models import Relationship


@admin.register(Relationship)
class RelationshipAdmin(LookedAtAdmin):
    list_display = ("source", "type", "target", "confidence", "method")
    list_select_related = ("source", "target")
    list_filter = ("type", "method")
    search_fields = ("source__title", "target__title")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Relationship]:
        long = [f"{end}__{column}" for end in ("source", "target") for column in ("text", "raw", "metadata")]
        return super().get_queryset(request).defer(*long)
