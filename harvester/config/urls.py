"""Where every path goes, and who answers when none fits or something breaks."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path

from harvester.api import v1

urlpatterns = [
    path("", include("harvester.pages.urls")),
    path("api/v1/", v1.urls),
    re_path(r"^api(/|$)", v1.nothing_here),
    path("admin/", admin.site.urls),
]

handler400 = "harvester.config.error_handlers.bad_request"
handler403 = "harvester.config.error_handlers.permission_denied"
handler404 = "harvester.config.error_handlers.not_found"
handler500 = "harvester.config.error_handlers.server_error"
