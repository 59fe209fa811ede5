"""Where every path goes, and who answers when none fits or something breaks."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("harvester.pages.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "harvester.pages.errors.bad_request"
handler403 = "harvester.pages.errors.permission_denied"
handler404 = "harvester.pages.errors.not_found"
handler500 = "harvester.pages.errors.server_error"
