"""A request is counted once, by what was declared and never by what a client has made up."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import connection
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.test import AsyncClient, Client, RequestFactory
from django.urls import ResolverMatch, include, path

from observability import metrics
from observability.middleware import _MOST_KNOWN, MetricsMiddleware, _known
from observability.tally import current
from tests.observability.processes import run

pytestmark = pytest.mark.django_db  # an answer's end closes old connections

HERE = Path(__file__)

metrics.http_requests.at("GET", metrics.UNROUTED, 499)  # one test here spends the whole budget of statuses


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


def item(request: HttpRequest, number: int) -> HttpResponse:
    return JsonResponse({"number": number}, status=201)


def missing(request: HttpRequest) -> HttpResponse:
    raise Http404


def forbidden(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def suspicious(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation


def broken(request: HttpRequest) -> HttpResponse:
    raise ValueError("a secret")


def streamed(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(b"x" * 1000 for _ in range(5))


def cut_off(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        yield b"x" * 100
        raise OSError("the disk has gone")

    return StreamingHttpResponse(parts())


async def trickled(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(5):
            await asyncio.sleep(0)
            yield b"x" * 1000

    return StreamingHttpResponse(parts())


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(HERE.open("rb"))


def three_queries(request: HttpRequest) -> HttpResponse:
    for _ in range(3):
        with connection.cursor() as cursor:
            cursor.execute("select 1")
    return HttpResponse()


def own_status(request: HttpRequest, status: int) -> HttpResponse:
    return HttpResponse(status=status)


urlpatterns = [
    path("", hello),
    path("hello/", hello),
    path("items/<int:number>/", item),
    path("missing/", missing),
    path("forbidden/", forbidden),
    path("suspicious/", suspicious),
    path("broken/", broken),
    path("streamed/", streamed),
    path("cut-off/", cut_off),
    path("trickled/", trickled),
    path("file/", file),
    path("three-queries/", three_queries),
    path("status/<int:status>/", own_status),
    path("inner/", include([path("<slug:name>/", hello, {"name": None})])),
]


@pytest.fixture(autouse=True)
def project(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = ["observability.middleware.MetricsMiddleware", "django.middleware.common.CommonMiddleware"]
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.APPEND_SLASH = True


@pytest.fixture(params=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """One request through the whole handler, its answer read to its end and closed."""

    def wsgi(address: str, method: str = "GET", **extra: Any) -> HttpResponseBase:
        return read(Client(raise_request_exception=False).generic(method, address, **extra))

    def asgi(address: str, method: str = "GET", **extra: Any) -> HttpResponseBase:
        async def asked() -> HttpResponseBase:
            answer = await AsyncClient(raise_request_exception=False).generic(method, address, **extra)
            if answer.streaming:
                parts = answer.streaming_content
                answer.body = b"".join([part async for part in parts] if answer.is_async else parts)
            answer.close()
            return answer

        return loop.run(asked())

    with asyncio.Runner() as loop:
        yield wsgi if request.param == "wsgi" else asgi


def read(answer: Any) -> HttpResponseBase:
    if answer.streaming:
        answer.body = b"".join(answer.streaming_content)
    answer.close()
    return cast("HttpResponseBase", answer)


def test_a_request_is_counted_by_its_route_and_status(ask: Any, moved: Any) -> None:
    with moved() as moves:
        assert ask("/items/7/").status_code == 201
        assert ask("/items/8/?page=2").status_code == 201
    assert moves.of(metrics.http_requests) == {("GET", "items/<int:number>/", "201"): 2}
    assert moves.of(metrics.http_request_duration) == {("GET", "items/<int:number>/"): 2}
    assert moves.of(metrics.http_response_size) == {("items/<int:number>/",): 2}
    assert moves.of(metrics.db_queries_per_request) == {("items/<int:number>/",): 2}
    assert moves.of(metrics.http_requests_in_progress) == {}


@pytest.mark.parametrize(
    ("address", "status"), [("/missing/", 404), ("/forbidden/", 403), ("/suspicious/", 400), ("/broken/", 500)]
)
def test_an_exception_is_counted_once_by_the_status_it_became(ask: Any, moved: Any, address: str, status: int) -> None:
    with moved() as moves:
        assert ask(address).status_code == status
    assert moves.of(metrics.http_requests) == {("GET", address[1:], str(status)): 1}
    assert moves.of(metrics.http_request_duration) == {("GET", address[1:]): 1}
    assert moves.of(metrics.http_requests_in_progress) == {}


def test_the_route_of_the_root_is_a_slash(ask: Any, moved: Any) -> None:
    with moved() as moves:
        ask("/")
    assert moves.of(metrics.http_requests) == {("GET", "/", "200"): 1}


def test_what_no_route_fits_is_unmatched(ask: Any, moved: Any) -> None:
    with moved() as moves:
        ask("/nowhere")
        ask("/nowhere-else/" + "x" * 2000)
    assert moves.of(metrics.http_requests) == {("GET", "unmatched", "404"): 2}


def test_what_is_answered_before_routing_is_unrouted(ask: Any, moved: Any) -> None:
    with moved() as moves:
        assert ask("/hello").status_code == 301  # CommonMiddleware appends the slash
        assert ask("/hello/", headers={"host": "elsewhere.example"}).status_code == 400
    assert moves.of(metrics.http_requests) == {("GET", "unrouted", "301"): 1, ("GET", "unrouted", "400"): 1}


def test_the_routes_of_included_urls_are_whole(ask: Any, moved: Any) -> None:
    with moved() as moves:
        ask("/inner/abc/")
    assert moves.of(metrics.http_requests) == {("GET", "inner/<slug:name>/", "500"): 1}


def test_ten_thousand_invented_requests_add_one_label_set_each_way(settings: Any, moved: Any) -> None:
    client = Client(raise_request_exception=False)
    known, spellings = len(_known), len(metrics.http_requests._by_raw)
    for kind in ("methods", "paths", "hosts", "queries"):
        with moved() as moves:
            for number in range(2_500):
                _invented(client, kind, number)
        for family in (metrics.http_requests, metrics.http_request_duration, metrics.http_response_size):
            assert len(moves.of(family)) == 1, (kind, moves)
            assert sum(moves.of(family).values()) == 2_500
    assert len(_known) <= known + 4
    assert len(metrics.http_requests._by_raw) <= spellings + 4


def _invented(client: Client, kind: str, number: int) -> None:
    if kind == "methods":
        client.generic(f"M{number}", "/hello/")
    elif kind == "paths":
        client.get(f"/p{number}/{number}/")
    elif kind == "hosts":
        client.get("/hello/", headers={"host": f"h{number}.example"})
    else:
        client.get(f"/hello/?key{number}={number}", headers={f"x-{number}": "1"})


def test_an_unknown_method_is_other(ask: Any, moved: Any) -> None:
    with moved() as moves:
        ask("/hello/", method="PROPFIND")
        ask("/hello/", method="BREW")
    assert moves.of(metrics.http_requests) == {("OTHER", "hello/", "200"): 2}


def test_statuses_that_views_make_up_have_a_budget(settings: Any, moved: Any) -> None:
    settings.OBSERVABILITY_STRICT = False
    client = Client()
    with moved() as moves:
        for status in range(200, 400):
            client.get(f"/status/{status}/")
    statuses = {status for _, _, status in moves.of(metrics.http_requests)}
    assert "other" in statuses
    assert len(statuses) <= 61
    assert sum(moves.of(metrics.http_requests).values()) == 200
    assert moves.of(metrics.dropped_series)[("http_requests_total",)] >= 100


def test_a_streamed_answer_is_timed_to_its_last_byte(ask: Any, moved: Any) -> None:
    sent = metrics.http_response_size.at("streamed/").sum()
    with moved() as moves:
        assert len(ask("/streamed/").body) == 5000
    assert moves.of(metrics.http_streaming_duration) == {("streamed/",): 1}
    assert moves.of(metrics.http_requests) == {("GET", "streamed/", "200"): 1}
    assert moves.of(metrics.http_requests_in_progress) == {}
    assert metrics.http_response_size.at("streamed/").sum() - sent == 5000


def test_an_asynchronous_stream_is_timed_to_its_last_byte(moved: Any) -> None:
    async def asked() -> int:
        answer = await AsyncClient().get("/trickled/")
        body = b"".join([part async for part in answer])
        answer.close()
        return len(body)

    sent = metrics.http_response_size.at("trickled/").sum()
    with moved() as moves:
        assert asyncio.run(asked()) == 5000
    assert moves.of(metrics.http_streaming_duration) == {("trickled/",): 1}
    assert metrics.http_response_size.at("trickled/").sum() - sent == 5000
    assert moves.of(metrics.http_requests_in_progress) == {}


def test_while_it_streams_a_request_is_in_progress(moved: Any) -> None:
    with moved() as moves:
        answer = Client().get("/streamed/")
        next(iter(answer.streaming_content))
    assert moves.of(metrics.http_requests_in_progress) == {("GET",): 1}
    assert moves.of(metrics.http_streaming_duration) == {}
    with moved() as moves:
        answer.close()
        answer.close()
    assert moves.of(metrics.http_requests_in_progress) == {("GET",): -1}
    assert moves.of(metrics.http_streaming_duration) == {("streamed/",): 1}


def test_a_stream_that_breaks_is_over(moved: Any) -> None:
    with moved() as moves:
        answer: Any = Client().get("/cut-off/")
        with pytest.raises(OSError, match="disk"):
            b"".join(answer.streaming_content)
        answer.close()
    assert moves.of(metrics.http_streaming_duration) == {("cut-off/",): 1}
    assert moves.of(metrics.http_requests_in_progress) == {}


def test_a_stream_that_a_layer_above_throws_away_is_over(moved: Any) -> None:
    middleware = MetricsMiddleware(streamed)
    with moved() as moves:
        middleware(RequestFactory().get("/streamed/"))
        gc.collect()
    assert moves.of(metrics.http_requests_in_progress) == {}


def test_a_file_stays_one_that_the_server_can_hand_to_the_kernel(moved: Any) -> None:
    sent = metrics.http_response_size.at("file/").sum()
    with moved() as moves:
        answer: Any = MetricsMiddleware(file)(routed(RequestFactory().get("/file/"), "file/"))
        assert answer.file_to_stream.fileno() > 0
        assert b"".join(answer.streaming_content) == HERE.read_bytes()
        answer.close()
    assert moves.of(metrics.http_streaming_duration) == {("file/",): 1}
    assert metrics.http_response_size.at("file/").sum() - sent == HERE.stat().st_size


def test_the_queries_of_a_request_are_counted(moved: Any) -> None:
    told = metrics.db_queries_per_request.at("three-queries/")
    before = told.sum()
    with moved() as moves:
        Client().get("/three-queries/")
    assert moves.of(metrics.db_queries_per_request) == {("three-queries/",): 1}
    assert told.sum() - before == 3


def test_what_passes_through_every_layer_is_not_kept_in_progress(moved: Any) -> None:
    def stopped(request: HttpRequest) -> HttpResponse:
        raise KeyboardInterrupt

    with moved() as moves, pytest.raises(KeyboardInterrupt):
        MetricsMiddleware(stopped)(RequestFactory().get("/"))
    assert moves == {}
    assert current.get() is None


@pytest.mark.parametrize("route", ["", "endless/"])
def test_a_client_that_leaves_is_counted_as_such_and_not_kept_in_progress(moved: Any, route: str) -> None:
    async def endless(request: HttpRequest) -> HttpResponse:
        if route:
            routed(request, route)
        await asyncio.sleep(60)
        return HttpResponse()

    async def asked() -> None:
        answer: Any = MetricsMiddleware(endless)(RequestFactory().get("/"))
        task = asyncio.ensure_future(answer)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    endpoint = route or metrics.UNROUTED
    with moved() as moves:
        asyncio.run(asked())
    assert moves.of(metrics.http_requests) == {("GET", endpoint, "499"): 1}
    assert moves.of(metrics.http_request_duration) == {("GET", endpoint): 1}
    assert moves.of(metrics.http_response_size) == {}
    assert moves.of(metrics.http_requests_in_progress) == {}


def test_what_leaves_without_a_way_to_be_counted_leaves_all_the_same(moved: Any, monkeypatch: Any, caplog: Any) -> None:
    async def given_up(request: HttpRequest) -> HttpResponse:
        raise asyncio.CancelledError

    async def asked() -> None:
        answer: Any = MetricsMiddleware(given_up)(RequestFactory().get("/"))
        with pytest.raises(asyncio.CancelledError):
            await answer

    monkeypatch.setattr("observability.middleware._learn", lambda *_: 1 / 0)
    with moved() as moves:
        asyncio.run(asked())
    assert moves == {}
    assert "was not counted" in caplog.text


LONG = "long/(?:" + "|".join(f"language{number}" for number in range(30)) + ")/"
WIDE = "verbose/(?x:\n    [0-9]+  # a number\n)/"


@pytest.mark.parametrize("route", [LONG, WIDE])
def test_a_route_that_makes_no_label_has_series_of_its_own(moved: Any, route: str) -> None:
    with moved() as moves:
        for one in (route, route, f"{route}x"):
            MetricsMiddleware(hello)(routed(RequestFactory().get("/"), one))
    counted = {endpoint: count for (_, endpoint, _), count in moves.of(metrics.http_requests).items()}
    assert sorted(counted.values()) == [1, 2]
    for endpoint in counted:
        beginning = " ".join(route.split())[:180]
        assert endpoint.startswith(beginning)
        assert re.fullmatch("…[0-9a-f]{8}", endpoint.removeprefix(beginning).removeprefix("x"))
    assert moves.of(metrics.dropped_series) == {}


@pytest.mark.parametrize("length", [None, 1000])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_that_breaks_is_an_unhandled_exception(moved: Any, is_async: bool, length: int | None) -> None:
    def parts() -> Iterator[bytes]:
        yield b"x"
        raise OSError("the disk has gone")

    async def aparts() -> AsyncIterator[bytes]:
        yield b"x"
        raise OSError("the disk has gone")

    def breaking(request: HttpRequest) -> StreamingHttpResponse:
        headers = {} if length is None else {"Content-Length": str(length)}
        return StreamingHttpResponse(aparts() if is_async else parts(), headers=headers)

    async def aread(answer: Any) -> None:
        async for _ in answer.streaming_content:
            pass

    with moved() as moves:
        answer: Any = MetricsMiddleware(breaking)(RequestFactory().get("/"))
        with pytest.raises(OSError, match="disk"):
            asyncio.run(aread(answer)) if is_async else list(answer.streaming_content)
        answer.close()
    assert moves.of(metrics.exceptions_unhandled) == {("OSError",): 1}
    assert moves.of(metrics.errors) == {("request", "error"): 1}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_that_nobody_takes_to_its_end_is_no_exception(moved: Any, is_async: bool) -> None:
    async def aparts() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x"

    def breaking(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(aparts() if is_async else (b"x" for _ in range(5)))

    async def aread(parts: Any) -> None:
        assert await anext(parts) == b"x"
        await parts.aclose()

    with moved() as moves:
        answer: Any = MetricsMiddleware(breaking)(RequestFactory().get("/"))
        if is_async:
            asyncio.run(aread(answer._iterator))
        else:
            assert next(answer._iterator) == b"x"
            answer._iterator.close()
        answer.close()
    assert moves.of(metrics.exceptions_unhandled) == {}


def test_an_answer_is_given_even_if_it_cannot_be_counted(settings: Any, monkeypatch: Any, caplog: Any) -> None:
    settings.OBSERVABILITY_STRICT = False
    monkeypatch.setattr("observability.middleware._learn", lambda *_: 1 / 0)
    _known.clear()
    before = metrics.http_requests_in_progress.at("GET").value()
    assert Client().get("/hello/").content == b"hello"
    assert metrics.http_requests_in_progress.at("GET").value() == before
    assert "a request was not counted" in caplog.text


def test_what_is_known_by_heart_is_bounded(tmp_path: Path) -> None:
    """In a process of its own, whose budget of endpoints it spends."""
    code = """
from django.test import RequestFactory
from django.http import HttpResponse
from django.urls import ResolverMatch
from observability.middleware import MetricsMiddleware, _known
def hello(request):
    return HttpResponse()
middleware = MetricsMiddleware(hello)
for number in range(10_000):
    request = RequestFactory().get("/")
    request.resolver_match = ResolverMatch(hello, (), {}, route=f"r{number}")
    middleware(request)
print(len(_known), len(metrics.http_requests.series()), sum(c.value() for _, c in metrics.http_requests.series()))
"""
    known, series, total = run(code, tmp_path, DJANGO_SETTINGS_MODULE="tests.observability.lenient_settings").split()
    assert int(known) <= _MOST_KNOWN
    assert int(series) <= 301
    assert float(total) == 10_000


def routed(request: HttpRequest, route: str) -> HttpRequest:
    """As if the layers below had found it."""
    request.resolver_match = ResolverMatch(hello, (), {}, route=route)
    return request
