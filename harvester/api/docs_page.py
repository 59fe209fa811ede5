"""The page to try the API out on: Swagger UI, served from here, without a line of script in the page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from ninja import NinjaAPI
from ninja.openapi.docs import Swagger


class DocsPage(Swagger):
    """Ninja's own page has no language and marks its settings safe; this template does better."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        settings = self.settings | {"url": self.get_openapi_url(api, kwargs)}
        return render(request, "api/docs.html", {"title": api.title, "swagger_settings": settings})
