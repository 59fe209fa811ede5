"""A process at the beginning of its life for every test, and requests through the whole handler."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from django.http import HttpResponseBase
from django.test import AsyncClient, Client

from health import lifecycle as module
from health.engine import stop_engine
from health.lifecycle import Lifecycle


class Ask(Protocol):
    def __call__(self, path: str = "/health/ready", method: str = "GET", **headers: str) -> Any: ...


class _AsyncClient(AsyncClient):
    """Django's own adds a Host header of its own to the one that is given."""

    async def request(self, **scope: Any) -> Any:
        hosts = [header for header in scope["headers"] if header[0] == b"host"]
        scope["headers"] = [header for header in scope["headers"] if header[0] != b"host"] + hosts[-1:]
        return await super().request(**scope)


@pytest.fixture
def life(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lifecycle]:
    """Of a process that has neither started nor is draining; nothing of the engine's is left behind."""
    settings.MIDDLEWARE = ["health.middleware.HealthMiddleware"]
    settings.ROOT_URLCONF = "tests.health.urls"
    fresh = Lifecycle()
    monkeypatch.setattr(module, "lifecycle", fresh)
    monkeypatch.setattr("health.probes.lifecycle", fresh)
    stop_engine()
    yield fresh
    stop_engine()


@pytest.fixture(params=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest) -> Iterator[Ask]:
    """One request through the whole handler."""

    def wsgi(path: str = "/health/ready", method: str = "GET", **headers: str) -> HttpResponseBase:
        return Client(raise_request_exception=False).generic(method, path, headers=_named(headers))

    def asgi(path: str = "/health/ready", method: str = "GET", **headers: str) -> HttpResponseBase:
        return loop.run(_ask(path, method, headers))

    async def _ask(path: str, method: str, headers: dict[str, str]) -> HttpResponseBase:
        return await _AsyncClient(raise_request_exception=False).generic(method, path, headers=_named(headers))

    with asyncio.Runner() as loop:
        yield wsgi if request.param == "wsgi" else asgi


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): text for name, text in headers.items()}


def told(response: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(response.content)
    return body
