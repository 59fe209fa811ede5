"""What a view costs beyond its tier's one token, in whole requests, on memory and on a real Redis."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import suppress
from functools import wraps
from typing import Any, Protocol

import pytest
import redis
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from ninja import NinjaAPI, Schema

from ratelimit import Decision, Identity, InvalidLimitError, Limit, exempt, get_rate_limiter, rate_limit
from ratelimit.identity.identities import address_identity
from ratelimit.limiter import RateLimiter, Scope
from ratelimit.middleware import RateLimitMiddleware
from ratelimit.signals import request_checked
from tests.services import RedisProcess, redis_process

HERE = "127.0.0.1"
MIDDLEWARE = "ratelimit.middleware.RateLimitMiddleware"


def fine(request: HttpRequest) -> HttpResponse:
    return HttpResponse("fine")


async def fine_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse("fine")


@rate_limit(cost=3)
class Dear(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("fine")


@rate_limit(cost=3)
class DearAsync(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("fine")


@method_decorator(rate_limit(cost=3), name="dispatch")
class DearByDispatch(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("fine")


@method_decorator(rate_limit(cost=3), name="dispatch")
class DearByDispatchAsync(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("fine")


class DearHandler(View):
    @rate_limit(cost=3)
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("fine")


class Body(Schema):
    word: str


api = NinjaAPI(urls_namespace="limits")


@api.post("/dear")
@rate_limit(cost=3)
def operation(request: HttpRequest, body: Body, shout: bool = False) -> dict[str, str]:
    return {"word": body.word.upper() if shout else body.word}


@api.post("/dear-async")
@rate_limit(cost=3)
async def operation_async(request: HttpRequest, body: Body) -> dict[str, str]:
    return {"word": body.word}


@rate_limit(scope="test-rare", limit="1/h")
def rare(request: HttpRequest) -> HttpResponse:
    return HttpResponse("fine")


@rate_limit(scope="test-rare", limit="1/h")
async def rare_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse("fine")


def dashboard(request: HttpRequest) -> HttpResponse:
    """Calls a view with a limit of its own three times, and answers whatever became of them."""
    return HttpResponse(" ".join(str(rare(request).status_code) for _ in range(3)))


async def dashboard_async(request: HttpRequest) -> HttpResponse:
    answers = await asyncio.gather(*(rare_async(request) for _ in range(3)))
    return HttpResponse(" ".join(sorted(str(answer.status_code) for answer in answers)))


@rate_limit(scope="test-search", limit="2/h")
def calls_the_same(request: HttpRequest) -> HttpResponse:
    return rate_limit(scope="test-search", limit="2/h")(fine)(request)


def passing(view: Any) -> Any:
    """A decorator of somebody else's that knows nothing of coroutines."""

    @wraps(view)
    def passed(*arguments: Any, **named: Any) -> Any:
        return view(*arguments, **named)

    return passed


@method_decorator([rate_limit(cost=2), passing, rate_limit(cost=2)], name="dispatch")
class DearUnderOthers(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("fine")


@exempt
def free(request: Any) -> HttpResponse:
    assert (request.rate_limit, request.api_key) == (None, None)
    return HttpResponse("free")


@exempt
class Free(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("free")


@exempt
@rate_limit(cost=3)
def free_all_the_same(request: HttpRequest) -> HttpResponse:
    return HttpResponse("free")


DEAR = [
    "function",
    "async",
    "class",
    "class-async",
    "dispatch",
    "dispatch-async",
    "handler",
    "api/dear",
    "api/dear-async",
]

urlpatterns = [
    path("plain", fine),
    path("function", rate_limit(cost=3)(fine)),
    path("async", rate_limit(cost=3)(fine_async)),
    path("class", Dear.as_view()),
    path("class-async", DearAsync.as_view()),
    path("dispatch", DearByDispatch.as_view()),
    path("dispatch-async", DearByDispatchAsync.as_view()),
    path("handler", DearHandler.as_view()),
    path("search", rate_limit(scope="test-search", limit="2/h")(fine)),
    path("search-async", rate_limit(scope="test-search", limit="2/h")(fine_async)),
    path("dear-search", rate_limit(cost=3, scope="test-search", limit=Limit(2, 3600))(fine)),
    path("twice", rate_limit(cost=3)(rate_limit(cost=2)(fine))),
    path("dashboard", dashboard),
    path("dashboard-async", dashboard_async),
    path("calls-the-same", calls_the_same),
    path("under-others", DearUnderOthers.as_view()),
    path("small-in-big", rate_limit(cost=5)(rate_limit(scope="test-big", limit="1000/h")(fine))),
    path("small-around", rate_limit(scope="test-search", limit="2/h")(rate_limit(scope="test-mid", limit="5/h")(fine))),
    path("rare-inside", rate_limit(scope="test-mid", limit="5/h")(rare)),
    path("impossible", rate_limit(cost=50)(fine)),
    path("free", free),
    path("free-class", Free.as_view()),
    path("free-all-the-same", free_all_the_same),
    path("api/", api.urls),
]


class Ask(Protocol):
    def __call__(self, path: str, **headers: str) -> HttpResponseBase: ...


@pytest.fixture(scope="module")
def server() -> Iterator[RedisProcess]:
    with redis_process() as running:
        yield running


@pytest.fixture(autouse=True, params=["memory", "redis"])
def project(request: pytest.FixtureRequest, settings: Any, server: RedisProcess) -> Any:
    """Ten requests an hour for anybody."""
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [MIDDLEWARE]
    locmem = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    on_redis = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": server.url}
    settings.CACHES = {"default": locmem, "ratelimit": on_redis if request.param == "redis" else locmem}
    settings.RATELIMIT_READ_TIMEOUT_SECONDS = 5
    settings.RATELIMIT_TIERS = {"anonymous": {"limit": 10, "window_seconds": 3600}}
    with redis.Redis.from_url(server.url) as operator:
        operator.flushall()
    return settings


@pytest.fixture(params=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest) -> Ask:
    def wsgi(path: str, **headers: str) -> HttpResponseBase:
        return _send(Client(), path, headers)

    def asgi(path: str, **headers: str) -> HttpResponseBase:
        async def send() -> HttpResponseBase:
            return await _send(AsyncClient(), path, headers)

        return asyncio.run(send())

    return wsgi if request.param == "wsgi" else asgi


def _send(client: Any, path: str, headers: dict[str, str]) -> Any:
    if path.startswith("api/"):
        return client.post(f"/{path}", {"word": "fine"}, content_type="application/json", headers=headers)
    return client.get(f"/{path}", headers=headers)


@pytest.fixture
def told() -> Iterator[list[tuple[Decision, bool]]]:
    heard: list[tuple[Decision, bool]] = []

    def hear(sender: object, decision: Decision, shadow: bool, **_: Any) -> None:
        heard.append((decision, shadow))

    request_checked.connect(hear)
    yield heard
    request_checked.disconnect(hear)


def scope_left(name: str, limit: str) -> int:
    decision = get_rate_limiter().peek(address_identity(HERE), scopes=[Scope(name, Limit.parse(limit))])
    return decision.remaining


def left() -> int:
    return get_rate_limiter().peek(address_identity(HERE)).remaining


# --- cost -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DEAR)
def test_a_request_takes_what_its_view_costs(ask: Ask, path: str) -> None:
    remaining = []
    for _ in range(3):
        response = ask(path)
        assert response.status_code == 200
        remaining.append(response["X-RateLimit-Remaining"])
    assert remaining == ["7", "4", "1"]
    assert left() == 1


@pytest.mark.parametrize("path", DEAR)
def test_a_request_that_costs_too_much_is_refused_and_takes_nothing(ask: Ask, path: str) -> None:
    for _ in range(3):
        ask(path)
    refused = ask(path)
    assert refused.status_code == 429
    assert refused["X-RateLimit-Remaining"] == "1"
    assert 700 <= int(refused["Retry-After"]) <= 720  # two of the three tokens are missing, at one in six minutes
    assert left() == 1
    assert ask("plain").status_code == 200
    assert ask("plain").status_code == 429


def test_a_cost_beyond_the_burst_is_never_admitted_and_never_charged(ask: Ask) -> None:
    assert ask("impossible").status_code == 429
    assert left() == 10


def test_decorators_add_up_and_a_refusal_gives_all_of_it_back(ask: Ask) -> None:
    assert ask("twice")["X-RateLimit-Remaining"] == "6"
    assert ask("twice")["X-RateLimit-Remaining"] == "2"
    assert ask("twice").status_code == 429
    assert left() == 2


@pytest.mark.parametrize("path", ["dashboard", "dashboard-async"])
def test_a_view_that_asks_again_after_a_refusal_gets_nothing_back_that_it_has_not_paid(ask: Ask, path: str) -> None:
    for _ in range(6):
        ask("plain")
    before = left()
    for _ in range(4):
        response = ask(path)
        assert response.status_code in {200, 429}
        assert left() <= before
        before = left()


@pytest.mark.parametrize("path", ["dispatch-async", "under-others", "class-async"])
def test_nothing_is_asked_on_the_loop_itself(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def watched(original: Any) -> Any:
        def spy(*arguments: Any, **named: Any) -> Any:
            with suppress(RuntimeError):
                asyncio.get_running_loop()
                seen.append("on the loop")
            return original(*arguments, **named)

        return spy

    for name in ("check", "check_further"):
        monkeypatch.setattr(RateLimiter, name, watched(getattr(RateLimiter, name)))

    async def send() -> Any:
        return await AsyncClient().get(f"/{path}")

    assert asyncio.run(send()).status_code == 200
    assert seen == []


def test_the_limit_that_runs_out_first_is_told_however_decorators_stand(ask: Ask) -> None:
    assert ask("small-in-big")["X-RateLimit-Remaining"] == "5"
    assert ask("small-around")["RateLimit"].startswith('"test-search";r=1;')


def test_a_refusal_inside_gives_the_scopes_around_it_back_too(ask: Ask) -> None:
    assert ask("rare-inside").status_code == 200
    assert {ask("rare-inside").status_code for _ in range(6)} == {429}
    assert (left(), scope_left("test-mid", "5/h")) == (9, 4)


def test_a_scope_takes_one_token_of_a_request_however_often_it_is_met(ask: Ask) -> None:
    assert [ask("calls-the-same").status_code for _ in range(3)] == [200, 200, 429]


def test_a_preflight_that_reaches_a_view_with_a_limit_is_a_request_as_any() -> None:
    client = Client(headers={"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"})
    assert [client.options("/search").status_code for _ in range(3)] == [200, 200, 429]
    assert {client.options("/plain").status_code for _ in range(12)} == {200}


def test_what_a_cache_keeps_bears_nobodys_headers(settings: Any) -> None:
    kept = rate_limit(cost=2)(fine)
    request = RequestFactory().get("/")
    seen: list[dict[str, str]] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(dict(kept(request).headers))
        return HttpResponse()

    RateLimitMiddleware(view)(request)
    assert not any("RateLimit" in name for name in seen[0])


# --- scopes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["search", "search-async"])
def test_a_scope_is_a_limit_of_its_own_beside_the_tiers(ask: Ask, path: str) -> None:
    first = ask(path)
    assert first["RateLimit"].startswith('"test-search";r=1;')
    assert first["X-RateLimit-Limit"] == "2"
    assert ask(path).status_code == 200
    refused = ask(path)
    assert refused.status_code == 429
    assert refused["RateLimit-Policy"] == '"test-search";q=2;w=3600'
    assert 1_790 <= int(refused["Retry-After"]) <= 1_800
    assert left() == 8  # the refused one has its token back
    assert ask("plain")["X-RateLimit-Remaining"] == "7"


def test_views_of_one_scope_share_its_bucket(ask: Ask) -> None:
    assert [ask(path).status_code for path in ("search", "search-async", "search")] == [200, 200, 429]


def test_a_cost_is_the_tiers_and_a_scope_counts_calls(ask: Ask) -> None:
    assert [ask("dear-search").status_code for _ in range(3)] == [200, 200, 429]
    assert left() == 4


def test_what_the_tier_refuses_takes_nothing_of_the_scope(ask: Ask) -> None:
    for _ in range(8):
        ask("plain")
    assert ask("dear-search").status_code == 429
    assert left() == 2
    assert [ask("search").status_code for _ in range(2)] == [200, 200]


def test_an_exhausted_scope_costs_no_tokens_however_often_it_is_tried(ask: Ask) -> None:
    for _ in range(2):
        ask("search")
    assert {ask("search").status_code for _ in range(20)} == {429}
    assert left() == 8


# --- who does not pay -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["free", "free-class", "free-all-the-same"])
def test_an_exempt_view_is_answered_without_a_limit_whoever_asks(
    ask: Ask, path: str, told: list[tuple[Decision, bool]]
) -> None:
    responses = [ask(path) for _ in range(12)]
    assert {response.status_code for response in responses} == {200}
    assert not any(name.lower().startswith(("x-ratelimit", "ratelimit")) for name in responses[0].headers)
    assert told == []
    while ask("plain").status_code == 200:
        pass
    assert ask(path).status_code == 200


def test_paths_that_lead_nowhere_are_limited_beside_exempt_views(ask: Ask) -> None:
    assert [ask(f"nowhere-{number}").status_code for number in range(12)] == [404] * 10 + [429] * 2


def test_an_exempt_path_exempts_from_decorators_too(ask: Ask, settings: Any) -> None:
    settings.RATELIMIT_EXEMPT_PATHS = ["/search"]
    assert {ask("search").status_code for _ in range(5)} == {200}


@pytest.mark.django_db
def test_an_unlimited_tier_is_refused_by_no_scope(settings: Any) -> None:
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        MIDDLEWARE,
    ]
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    assert {client.get("/search").status_code for _ in range(5)} == {200}
    assert {client.get("/impossible").status_code for _ in range(5)} == {200}


# --- without the middleware -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DEAR)
def test_without_the_middleware_a_decorator_asks_for_everything(ask: Ask, settings: Any, path: str) -> None:
    settings.MIDDLEWARE = []
    assert [ask(path).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert left() == 1


@pytest.mark.parametrize("path", ["free", "free-all-the-same"])
def test_without_the_middleware_an_exempt_view_is_free_too(ask: Ask, settings: Any, path: str) -> None:
    settings.MIDDLEWARE = [] if path == "free-all-the-same" else [MIDDLEWARE]
    assert {ask(path).status_code for _ in range(12)} == {200}


def test_without_the_middleware_headers_are_told_all_the_same(ask: Ask, settings: Any) -> None:
    settings.MIDDLEWARE = []
    assert ask("function")["X-RateLimit-Remaining"] == "7"
    assert [ask("search").status_code for _ in range(3)] == [200, 200, 429]


# --- shadow mode ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enforce", [False, {"anonymous": False}])
def test_in_shadow_everything_is_counted_and_nothing_refused(
    ask: Ask, settings: Any, told: list[tuple[Decision, bool]], enforce: Any
) -> None:
    settings.RATELIMIT_ENFORCE = enforce
    responses = [ask("plain") for _ in range(13)]
    assert {response.status_code for response in responses} == {200}
    assert responses[-1]["X-RateLimit-Remaining"] == "0"
    assert [shadow for _, shadow in told] == [False] * 10 + [True] * 3
    assert all(decision.allowed for decision, _ in told)


def test_in_shadow_costs_and_scopes_refuse_nothing_and_give_nothing_back(
    ask: Ask, settings: Any, told: list[tuple[Decision, bool]]
) -> None:
    settings.RATELIMIT_ENFORCE = False
    assert {ask("search").status_code for _ in range(4)} == {200}
    assert left() == 6
    assert {ask("function").status_code for _ in range(4)} == {200}
    assert left() in {0, 1, 2}
    assert any(shadow for _, shadow in told)


def test_a_tier_that_is_enforced_is_refused_beside_one_in_shadow(ask: Ask, settings: Any) -> None:
    settings.RATELIMIT_ENFORCE = {"premium": False}
    assert [ask("plain").status_code for _ in range(11)][-1] == 429
    premium = Identity.of("somebody", "premium")
    assert all(get_rate_limiter().check(premium).allowed for _ in range(5_005))


# --- as it is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        {"cost": 0}, {"cost": -1}, {"cost": 1.5}, {"cost": True}, {"scope": "a"}, {"limit": "5/m"},
        {"scope": "a", "limit": 20},
        {"scope": "Nice Name", "limit": "5/m"}, {"scope": "default", "limit": "5/m"},
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_where_it_is_written(written: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        rate_limit(**written)


def test_a_limit_that_is_none_is_refused_where_it_is_written() -> None:
    with pytest.raises(InvalidLimitError, match="20/m"):
        rate_limit(scope="whatever", limit="twenty")


def test_one_scope_has_one_limit() -> None:
    with pytest.raises(ValueError, match="elsewhere"):
        rate_limit(scope="test-search", limit="3/h")


def test_something_that_is_no_view_is_told_so() -> None:
    with pytest.raises(TypeError, match="first argument is the request"):
        rate_limit(cost=2)(lambda number: number)(5)


def test_a_view_keeps_its_name_and_signature() -> None:
    assert operation.__name__ == "operation"
    assert inspect.signature(operation).parameters["body"].annotation is Body
    assert api.get_openapi_schema()["paths"]["/api/dear"]["post"]["requestBody"]["required"]


def test_a_view_may_ask_how_its_request_passed() -> None:
    request = RequestFactory().get("/")

    @rate_limit(cost=4)
    def view(request: Any) -> HttpResponse:
        return HttpResponse(f"{request.rate_limit.decision.remaining} {request.rate_limit.charged.tier}")

    assert view(request).content == b"6 anonymous"
