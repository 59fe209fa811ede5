"""The one place that decides how a test speaks to the API, and as whom."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.test import Client

from harvester.models import User
from tests.factories import make_staff

CSRF_TOKEN = "a" * 32
ROOT = "/api/v1"


@dataclass
class ApiClient:
    """A client that sends what it is told and nothing of its own; CSRF is enforced as in life."""

    client: Client = field(default_factory=lambda: Client(enforce_csrf_checks=True))
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> HttpResponse:
        """``body`` is sent as JSON; None sends none."""
        data = b"" if body is None else json.dumps(body).encode()
        return self.send("POST", path, data, "application/json", headers)

    def send(
        self,
        method: str,
        path: str,
        data: bytes = b"",
        content_type: str = "",
        headers: Mapping[str, str] | None = None,
        **environ: Any,
    ) -> HttpResponse:
        address = path if path.startswith("/api") else f"{ROOT}{path}"
        sent: HttpResponse = self.client.generic(
            method, address, data, content_type, headers={**self.headers, **(headers or {})}, **environ
        )
        return sent

    def results(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json(path)["results"]
        return found

    def json(self, path: str) -> dict[str, Any]:
        """The body of a GET that has to succeed."""
        response = self.get(path)
        assert response.status_code == 200, response.content
        body: dict[str, Any] = json.loads(response.content)
        return body


def signed_in(user: User) -> ApiClient:
    """With a session and the CSRF token that writing takes."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    client.cookies[settings.CSRF_COOKIE_NAME] = CSRF_TOKEN
    return ApiClient(client, {"X-CSRFToken": CSRF_TOKEN})


def staff() -> ApiClient:
    return signed_in(make_staff())


def session_cookies(user: User) -> dict[str, str]:
    """The same for whoever sends requests without Django's test client."""
    return {name: morsel.value for name, morsel in signed_in(user).client.cookies.items()}


def problem(response: HttpResponse, status: int, slug: str) -> dict[str, Any]:
    """The body of a problem, after making sure that it is one."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(response.content)
    assert set(body) == {"type", "title", "status", "detail", "instance", "errors"}
    assert body["type"] == f"/about/api#{slug}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == response["X-Request-ID"]
    return body


def fields(response: HttpResponse) -> set[tuple[str, str]]:
    """Which fields a 422 names, and where they were."""
    errors = problem(response, 422, "invalid")["errors"]
    assert all(error["message"] for error in errors)
    return {(error["in"], error["field"]) for error in errors}
