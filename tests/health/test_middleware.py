"""The middleware in a whole request: what it answers in place of the project, and what it leaves to it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import ModuleType
from typing import Any, NoReturn

import pytest
from asgiref.sync import SyncToAsync, iscoroutinefunction
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory

from health import views
from health.engine import stop_engine
from health.lifecycle import Lifecycle
from health.middleware import HealthMiddleware
from tests.health.conftest import Ask, told
from tests.health.fakes import Hangs, Says, only, path_of

OURS = "health.middleware.HealthMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"  # asks for the host
POD = "10.42.0.17:8000"


class Forbidden:
    """A middleware that no probe may reach."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> NoReturn:
        raise AssertionError("a probe came by")


@pytest.fixture(autouse=True)
def project(settings: Any, life: Lifecycle) -> Any:
    settings.HEALTH_CHECKS = only(database="healthy", redis={"status": "healthy", "critical": False})
    settings.MIDDLEWARE = [OURS, COMMON]
    settings.ALLOWED_HOSTS = ["example.com"]
    settings.ROOT_URLCONF = "tests.health.urls"
    settings.DEBUG = False
    return settings


@pytest.mark.parametrize("path", ["live", "ready", "startup", "ready/redis", ""])
@pytest.mark.parametrize("end", ["", "/"])
def test_every_probe_has_its_address(ask: Ask, path: str, end: str) -> None:
    response = ask(f"/health/{path}".rstrip("/") + end)
    assert response.status_code == 200
    assert told(response)["status"] == "healthy"


def test_a_probe_names_a_host_that_nobody_allowed(ask: Ask) -> None:
    assert ask("/health/live", Host=POD).status_code == 200
    assert ask("/page", Host=POD).status_code == 400
    assert ask("/page", Host="example.com").status_code == 200


def test_a_probe_is_not_sent_to_https(ask: Ask, settings: Any) -> None:
    settings.MIDDLEWARE = [OURS, "django.middleware.security.SecurityMiddleware"]
    settings.SECURE_SSL_REDIRECT = True
    assert ask("/health/ready", Host=POD).status_code == 200
    elsewhere = ask("/page", Host="example.com")
    assert (elsewhere.status_code, elsewhere["Location"]) == (301, "https://example.com/page")


def test_no_other_middleware_sees_a_probe(ask: Ask, settings: Any) -> None:
    settings.MIDDLEWARE = [OURS, f"{__name__}.Forbidden"]
    for path in ("live", "ready", "startup", "", "ready/redis", "nowhere"):
        assert ask(f"/health/{path}").status_code in {200, 404}
    assert ask("/page", Host="example.com").status_code == 500


@pytest.mark.parametrize("path", ["/healthy", "/health-check", "/healthz", "/x/health/live", "/Health/live", "/"])
def test_what_only_looks_like_a_probe_is_the_projects(ask: Ask, path: str) -> None:
    assert ask(path, Host=POD).status_code == 400


def test_the_prefix_is_a_setting(ask: Ask, settings: Any) -> None:
    settings.HEALTH_PATH = "/internal/probes/"
    assert ask("/internal/probes/live").status_code == 200
    assert ask("/internal/probes").status_code == 200
    assert ask("/health/live", Host=POD).status_code == 400


def test_a_prefix_that_is_none_leaves_the_default(ask: Ask, settings: Any) -> None:
    settings.HEALTH_PATH = "health"
    assert ask("/health/live").status_code == 200


def test_only_get_and_head_are_answered(ask: Ask) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE"):
        response = ask("/health/ready", method)
        assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")
        assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["live", "ready", "startup", "", "ready/redis", "nowhere", "ready/nobody"])
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_head_says_what_get_would_without_a_body(ask: Ask, path: str, accept: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("health.body._rfc3339", lambda _: "at a time")
    monkeypatch.setattr("health.page._milliseconds", lambda _: "some time")
    for _ in range(2):  # from now on what is read is kept, and the process has started
        ask("/health/startup")
    got, headed = (ask(f"/health/{path}", method, Accept=accept) for method in ("GET", "HEAD"))
    assert headed.status_code == got.status_code
    assert dict(headed.items()) == dict(got.items())
    assert headed.content == b""
    assert int(got["Content-Length"]) == len(got.content) > 0


@pytest.mark.parametrize("path", ["nowhere", "live/more", "startup/redis", "LIVE", "/live", "livex", "a%00b/c"])
def test_an_unknown_path_is_told_what_there_is(ask: Ask, path: str) -> None:
    response = ask(f"/health/{path}", Accept="text/html")
    assert (response.status_code, response["Cache-Control"]) == (404, "no-store")
    assert response["Content-Type"] == "application/json"
    assert told(response) == {"error": "unknown path", "paths": ["live", "ready", "ready/<component>", "startup"]}


def test_an_unknown_component_is_told_which_there_are(ask: Ask) -> None:
    for name in ("elasticsearch", "redis/more", "a%00b", "Redis", " redis"):
        response = ask(f"/health/ready/{name}")
        assert (response.status_code, response["Cache-Control"]) == (404, "no-store")
        assert told(response) == {"error": "unknown component", "components": ["database", "redis"]}


class SecretError(Exception):
    pass


@pytest.mark.parametrize("path", ["ready", "startup", "", "ready/redis"])
def test_whatever_goes_wrong_inside_is_a_503(ask: Ask, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise SecretError("password")

    monkeypatch.setattr("health.probes.get_engine", fail)
    for accept in ("*/*", "text/html"):
        response = ask(f"/health/{path}", Accept=accept)
        assert response.status_code == 503
        assert told(response) == {"status": "unhealthy", "reason": "failed", "components": []}
    assert ask("/health/live").status_code == 200


def test_a_page_that_cannot_be_made_does_not_make_a_process_ill(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("health.page._template", lambda: 1 / 0)
    response = ask("/health/live", Accept="text/html")
    assert (response.status_code, told(response)["status"]) == (200, "healthy")


def test_a_failing_probe_is_not_logged_as_an_error_of_the_project(
    ask: Ask, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Every few seconds, and by mail to ADMINS."""
    settings.HEALTH_CHECKS = only(database="unhealthy")
    for _ in range(3):
        assert ask().status_code == 503
    assert [record for record in caplog.records if record.name.startswith("django")] == []


def test_liveness_asks_no_engine_and_no_database(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("health.probes.get_engine", lambda: 1 / 0)
    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", lambda *_: 1 / 0)
    assert ask("/health/live").status_code == 200


def test_nothing_reads_the_host_the_session_or_the_user(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("get_host", "build_absolute_uri", "get_port"):
        monkeypatch.setattr(HttpRequest, name, lambda *_: 1 / 0)
    settings.HEALTH_TOKEN = "0123456789abcdef"
    request = RequestFactory().get("/health/ready?verbose", headers={"Authorization": "Bearer 0123456789abcdef"})
    assert HealthMiddleware(lambda _: 1 / 0)(request).status_code == 200  # type: ignore[union-attr]  # it is sync


def test_a_probe_on_an_event_loop_goes_through_no_thread_of_the_loops(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HEALTH_CHECKS = only(database="healthy", redis={"check": path_of(Hangs), "critical": False})

    def fail(*_: object, **__: object) -> NoReturn:
        raise AssertionError("sync_to_async was called")

    async def ask_all() -> list[int]:
        handler = BaseHandler()
        handler.load_middleware(is_async=True)
        monkeypatch.setattr(SyncToAsync, "__call__", fail)
        paths = ["live", "ready", "startup", "", "ready/database"]
        requests = [AsyncRequestFactory().get(f"/health/{path}") for path in paths]
        return [(await handler.get_response_async(request)).status_code for request in requests]

    assert asyncio.run(ask_all()) == [200] * 5


def test_the_drivers_are_there_before_the_first_probe() -> None:
    """Loading them takes most of a second on a scarce processor; within the first run's time that is a false 503."""
    code = """
import sys, threading
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["health"],
    MIDDLEWARE=["health.middleware.HealthMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "none", "HOST": "127.0.0.1"}},
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:9"}},
)
from django.core.wsgi import get_wsgi_application
get_wsgi_application()
assert {"psycopg", "redis"} <= set(sys.modules)
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_project_is_served_although_its_checks_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> NoReturn:
        raise RuntimeError("a check's module does not load")

    monkeypatch.setattr("health.middleware.read_entries", fail)
    project = HttpResponse("project")
    assert HealthMiddleware(lambda _: project)(RequestFactory().get("/")) is project


def test_it_is_as_its_surroundings_are(monkeypatch: pytest.MonkeyPatch) -> None:
    async def get_response(_: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert iscoroutinefunction(HealthMiddleware(get_response))
    assert not iscoroutinefunction(HealthMiddleware(lambda _: HttpResponse()))


def test_many_wait_for_one_hung_component_on_one_loop(settings: Any) -> None:
    settings.HEALTH_CHECKS = only(database={"check": path_of(Hangs), "deadline_seconds": 0.2})

    async def ask_all() -> set[int]:
        requests = [AsyncRequestFactory().get("/health/ready") for _ in range(50)]
        responses = await asyncio.gather(*(views.aanswer(request, "ready") for request in requests))
        return {response.status_code for response in responses}

    async def in_time() -> set[int]:
        return await asyncio.wait_for(ask_all(), 5)

    assert asyncio.run(in_time()) == {503}


def test_a_check_that_is_defined_after_the_server_was_made_is_found_by_the_first_probe(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a project of one file, where the application is made in the middle of the file."""
    stop_engine()
    late = ModuleType("late_checks")
    monkeypatch.setitem(sys.modules, "late_checks", late)
    settings.HEALTH_CHECKS = only() | {"late": "late_checks.Late"}
    middleware = HealthMiddleware(lambda _: HttpResponse())
    vars(late)["Late"] = Says
    answer = middleware(RequestFactory().get("/health/ready"))
    assert isinstance(answer, HttpResponse)
    assert answer.status_code == 200
    stop_engine()
