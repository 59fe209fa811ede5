"""A project that goes without the middleware."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("health/", include("health.urls"))]
