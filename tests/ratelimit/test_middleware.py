"""The middleware in a whole request, under WSGI and under ASGI."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from typing import Any, NoReturn, Protocol

import pytest
from django.core.cache.backends.base import BaseCache
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path

from ratelimit import gate as module
from ratelimit.bucket import Decision
from ratelimit.limiter import RateLimiter, get_rate_limiter
from ratelimit.middleware import RateLimitMiddleware
from ratelimit.signals import request_checked

LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit")
PREFLIGHT = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}


def fine(request: HttpRequest) -> HttpResponse:
    return HttpResponse("fine", headers={"Vary": "Cookie"})


async def fine_async(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse("fine")


def streaming(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter([b"one ", b"two"]))


async def streaming_async(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    return StreamingHttpResponse(parts())


def broken(request: HttpRequest) -> NoReturn:
    raise RuntimeError("the view's own affair")


def forbidden(request: HttpRequest) -> NoReturn:
    raise PermissionDenied


def own_denied(request: HttpRequest, decision: Decision) -> HttpResponse:
    return JsonResponse(
        {"path": request.path, "tier": decision.tier}, status=429, headers={"Cache-Control": "no-store"}
    )


def broken_denied(request: HttpRequest, decision: Decision) -> NoReturn:
    raise RuntimeError("the project's own affair")


urlpatterns = [
    path("", fine),
    path("async", fine_async),
    path("streaming", streaming),
    path("streaming-async", streaming_async),
    path("broken", broken),
    path("forbidden", forbidden),
    path("health/live", fine),
    path("healthy", fine),
    path("metrics", fine),
    path("metrics/more", fine),
    path("static/app.css", fine),
]


class Ask(Protocol):
    def __call__(self, path: str = "/", method: str = "GET", **headers: str) -> HttpResponseBase: ...


@pytest.fixture(autouse=True)
def project(settings: Any) -> Any:
    """Three requests an hour for anybody."""
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = ["ratelimit.middleware.RateLimitMiddleware"]
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.RATELIMIT_TIERS = {"anonymous": {"limit": 3, "window_seconds": 3600}}
    settings.STATIC_URL = "/static/"
    settings.DEBUG = False
    return settings


@pytest.fixture(params=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """One request through the whole handler."""
    client = Client(raise_request_exception=False)
    async_client = AsyncClient(raise_request_exception=False)

    def wsgi(path: str = "/", method: str = "GET", **headers: str) -> HttpResponseBase:
        return client.generic(method, path, headers=headers)

    def asgi(path: str = "/", method: str = "GET", **headers: str) -> HttpResponseBase:
        return asyncio.run(_ask(path, method, headers))

    async def _ask(path: str, method: str, headers: dict[str, str]) -> HttpResponseBase:
        return await async_client.generic(method, path, headers=headers)

    return wsgi if request.param == "wsgi" else asgi


def is_limited(response: HttpResponseBase) -> bool:
    """All five headers or none."""
    there = [name for name in LIMIT_HEADERS if name in response.headers]
    assert there in ([], list(LIMIT_HEADERS))
    return bool(there)


# --- counting --------------------------------------------------------------------------------------------------------


def test_requests_beyond_the_limit_are_denied(ask: Ask) -> None:
    responses = [ask() for _ in range(5)]
    assert [response.status_code for response in responses] == [200, 200, 200, 429, 429]
    assert [response["X-RateLimit-Remaining"] for response in responses] == ["2", "1", "0", "0", "0"]
    assert {response["RateLimit-Policy"] for response in responses} == {'"default";q=3;w=3600'}


def test_a_denial_carries_all_that_a_client_needs(ask: Ask) -> None:
    for _ in range(3):
        ask()
    response = ask(Accept="application/json")
    body = json.loads(response.content)  # type: ignore[attr-defined]  # it is a plain response
    wait = int(response["Retry-After"])
    assert 1199 <= wait <= 1200
    assert body["retry_after"] == wait
    assert body["limit"] == 3
    assert response["RateLimit"] == f'"default";r=0;t={wait}'
    assert response["Content-Type"] == "application/problem+json"
    assert abs(int(response["X-RateLimit-Reset"]) - (time.time() + 3600)) < 5


def test_reset_does_not_grow_while_the_view_works(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr("ratelimit.middleware.time", lambda: now[0])

    def slow(request: HttpRequest) -> HttpResponse:
        now[0] += 500
        return HttpResponse()

    response = RateLimitMiddleware(slow)(RequestFactory().get("/"))
    assert isinstance(response, HttpResponse)
    assert response["X-RateLimit-Reset"] == "2200"


@pytest.mark.parametrize("path", ["/", "/async", "/streaming", "/broken", "/forbidden", "/nowhere", "/healthy"])
def test_every_answer_of_a_view_is_limited(ask: Ask, path: str) -> None:
    response = ask(path)
    assert is_limited(response)
    assert response["X-RateLimit-Remaining"] == "2"
    assert response.status_code == {"/broken": 500, "/forbidden": 403, "/nowhere": 404}.get(path, 200)


def test_a_streaming_answer_still_streams(ask: Ask) -> None:
    response = ask("/streaming")
    assert isinstance(response, StreamingHttpResponse)
    assert b"".join(response) == b"one two"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
def test_every_method_counts(ask: Ask, method: str) -> None:
    assert [ask(method=method).status_code for _ in range(4)] == [200, 200, 200, 429]
    if method == "HEAD":
        assert ask(method="HEAD").content == b""  # type: ignore[attr-defined]  # it is a plain response


def test_vary_is_left_alone(ask: Ask) -> None:
    assert ask()["Vary"] == "Cookie"


def test_an_unlimited_tier_gets_no_headers(project: Any, ask: Ask) -> None:
    project.RATELIMIT_TIERS = {"anonymous": {"limit": None}}
    assert not is_limited(ask())


def test_one_decision_for_one_request(ask: Ask) -> None:
    told: list[Decision] = []

    def listen(decision: Decision, **_: Any) -> None:
        told.append(decision)

    request_checked.connect(listen)
    try:
        ask()
    finally:
        request_checked.disconnect(listen)
    assert [decision.remaining for decision in told] == [2]


SECURITY = ["django.middleware.security.SecurityMiddleware", "django.middleware.clickjacking.XFrameOptionsMiddleware"]


@pytest.mark.parametrize("ours_comes", ["last", "first"])
def test_a_denial_has_the_headers_of_those_in_front_only(project: Any, ask: Ask, ours_comes: str) -> None:
    ours = ["ratelimit.middleware.RateLimitMiddleware"]
    project.MIDDLEWARE = [*SECURITY, *ours] if ours_comes == "last" else [*ours, *SECURITY]
    denial = [ask() for _ in range(4)][-1]
    assert denial.status_code == 429
    headers = {"X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options"}
    assert headers & set(denial.headers) == (headers if ours_comes == "last" else set())


# --- what is exempt --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health/live", "/health/anything", "/metrics", "/static/app.css", "/static/nothing"])
def test_probes_metrics_and_static_files_are_exempt(ask: Ask, path: str) -> None:
    assert not any(is_limited(ask(path)) for _ in range(5))
    assert ask()["X-RateLimit-Remaining"] == "2"


@pytest.mark.parametrize("path", ["/healthy", "/metrics/more", "/health", "/Metrics", "//metrics", "/x/../metrics"])
def test_what_only_looks_like_it_is_not(ask: Ask, path: str) -> None:
    assert is_limited(ask(path))


def test_a_preflight_is_exempt(ask: Ask) -> None:
    assert not any(is_limited(ask(method="OPTIONS", **PREFLIGHT)) for _ in range(5))
    assert is_limited(ask(method="GET", **PREFLIGHT))


@pytest.mark.parametrize("header", PREFLIGHT)
def test_half_a_preflight_is_not(ask: Ask, header: str) -> None:
    assert is_limited(ask(method="OPTIONS", **{header: PREFLIGHT[header]}))


def test_exempt_paths_are_a_setting(project: Any, ask: Ask) -> None:
    project.RATELIMIT_EXEMPT_PATHS = ["/", "/streaming*"]
    assert not is_limited(ask("/"))
    assert not is_limited(ask("/streaming-async"))
    assert is_limited(ask("/metrics"))


@pytest.mark.parametrize("url", ["/", None, "https://cdn.example/", "https://cdn.example/static/"])
def test_static_files_elsewhere_exempt_nothing_here(project: Any, ask: Ask, url: str | None) -> None:
    project.STATIC_URL = url
    assert is_limited(ask())
    assert is_limited(ask("/static/app.css"))


def test_exempt_paths_do_not_depend_on_where_the_project_is_mounted() -> None:
    limited = RateLimitMiddleware(fine)
    for script, place, expected in (("/shop", "/metrics", False), ("/metrics", "/", True), ("", "/shop/metrics", True)):
        response = limited(RequestFactory(SCRIPT_NAME=script).get(place))
        assert isinstance(response, HttpResponse)
        assert is_limited(response) is expected, (script, place)


# --- a project's own words -------------------------------------------------------------------------------------------


def test_a_project_words_its_own_denial(project: Any, ask: Ask) -> None:
    project.RATELIMIT_DENIED_VIEW = f"{__name__}.own_denied"
    response = [ask() for _ in range(4)][-1]
    assert json.loads(response.content) == {"path": "/", "tier": "anonymous"}  # type: ignore[attr-defined]  # as above
    assert is_limited(response)
    assert "Retry-After" in response


@pytest.mark.parametrize("view", [f"{__name__}.broken_denied", "nowhere.at_all"])
def test_a_denial_that_breaks_is_still_a_denial(
    project: Any, ask: Ask, view: str, caplog: pytest.LogCaptureFixture
) -> None:
    project.RATELIMIT_DENIED_VIEW = view
    response = [ask() for _ in range(4)][-1]
    assert response.status_code == 429
    assert response["Content-Type"] == "application/problem+json"
    assert "Retry-After" in response
    assert "RATELIMIT_DENIED_VIEW" in caplog.text


# --- nothing the limiter does may break a request --------------------------------------------------------------------


class BrokenStore:
    name = "redis"

    def take_one(self, *_: object) -> NoReturn:
        raise RuntimeError("a bug")

    async def atake(self, *_: object) -> NoReturn:
        raise RuntimeError("a bug")

    def close(self) -> None:
        """Nothing is open."""


def test_a_broken_store_neither_breaks_requests_nor_lets_them_pass(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_rate_limiter(), "_store", BrokenStore())
    responses = [ask() for _ in range(5)]
    assert [response.status_code for response in responses] == [200, 200, 200, 429, 429]
    assert all(map(is_limited, responses))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXPECTED_PROCESSES", "many"), ("ON_OUTAGE", "local"), ("EXEMPT_PATHS", True), ("EXEMPT_PATHS", [None]),
        ("EXEMPT_PATHS", "/"), ("MEMORY_KEYS", "lots"), ("MEMORY_KEYS", 0), ("DENY_CACHE_KEYS", None), ("CACHE", 5),
        ("SECRET", None), ("SECRET", "\udcff"), ("KEY_PREFIX", None), ("IPV6_PREFIX", "wide"), ("TRUSTED_PROXIES", [5]),
        ("DENIED_VIEW", 5), ("REFRESH_SECONDS", "often"), ("READ_TIMEOUT_SECONDS", []),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_meant_neither_breaks_requests_nor_lets_them_pass(
    project: Any, ask: Ask, name: str, value: object
) -> None:
    setattr(project, f"RATELIMIT_{name}", value)
    responses = [ask() for _ in range(5)]
    assert [response.status_code for response in responses] == [200, 200, 200, 429, 429]
    assert all(map(is_limited, responses))


class BrokenCache(BaseCache):
    """Raises what no cache should."""

    def __init__(self, *_: object) -> None:
        raise RuntimeError("a bug")


def test_a_cache_that_cannot_be_made_neither_breaks_requests_nor_lets_them_pass(project: Any, ask: Ask) -> None:
    project.CACHES = {"default": {"BACKEND": f"{__name__}.BrokenCache"}}
    assert [ask().status_code for _ in range(5)] == [200, 200, 200, 429, 429]


@pytest.mark.parametrize("url", ["http://[", 5])
def test_a_static_url_that_is_none_exempts_nothing(project: Any, ask: Ask, url: object) -> None:
    project.STATIC_URL = url
    assert [ask().status_code for _ in range(5)] == [200, 200, 200, 429, 429]


@pytest.mark.parametrize("tiers", [None, {"anonymous": {"limit": 0}}, {"anonymous": 5}])
def test_tiers_that_cannot_be_meant_leave_the_default_limit(project: Any, ask: Ask, tiers: object) -> None:
    project.RATELIMIT_TIERS = tiers
    response = ask()
    assert response.status_code == 200
    assert response["X-RateLimit-Limit"] == "100"


def test_an_identity_that_cannot_be_told_counts_by_address(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(request: HttpRequest) -> NoReturn:
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "resolve", fail)
    monkeypatch.setattr(module, "aresolve", fail)
    assert [ask().status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert "the address of the connection counts" in caplog.text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-API-Key", "Authorization", "Accept"])
@pytest.mark.parametrize("value", ["\x00", "a\x00b", "x" * 8192, ",;=" * 2000, '"' * 100, "é" * 50, "Bearer ", ""])
def test_no_header_breaks_anything_or_picks_a_bucket(ask: Ask, header: str, value: str) -> None:
    assert [ask(**{header: value}).status_code for _ in range(4)] == [200, 200, 200, 429]


# --- no thread hop ---------------------------------------------------------------------------------------------------


def test_under_asgi_nothing_leaves_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()
    acheck = RateLimiter.acheck

    async def watched(self: RateLimiter, *asked: Any) -> Decision:
        threads.add(threading.get_ident())
        return await acheck(self, *asked)

    async def answer(request: HttpRequest) -> HttpResponse:
        threads.add(threading.get_ident())
        return HttpResponse()

    monkeypatch.setattr(RateLimiter, "acheck", watched)
    limited = RateLimitMiddleware(answer)

    async def ask_often() -> None:
        before = threading.active_count()
        for _ in range(5):
            await limited(RequestFactory().get("/"))  # type: ignore[misc]  # under ASGI it is awaitable
        assert threading.active_count() == before

    asyncio.run(ask_often())
    assert threads == {threading.get_ident()}


def test_it_is_a_coroutine_function_under_asgi_only() -> None:
    from asgiref.sync import iscoroutinefunction

    assert iscoroutinefunction(RateLimitMiddleware(fine_async))
    assert not iscoroutinefunction(RateLimitMiddleware(fine))
    assert RateLimitMiddleware.sync_capable
    assert RateLimitMiddleware.async_capable
