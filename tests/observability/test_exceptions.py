"""An exception that nobody has caught is counted once, by its class; what Django answers with 4xx is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import got_request_exception
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client
from django.urls import path

from observability.exceptions import install
from observability.metrics import errors, exceptions_unhandled
from observability.tracking import track_http_request

pytestmark = pytest.mark.django_db  # an answer's end closes old connections

ONE_SINGLE_ERROR = LookupError("made once, raised often")


def broken(request: HttpRequest) -> HttpResponse:
    raise LookupError("a secret")


async def abroken(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    raise LookupError("a secret")


def the_same(request: HttpRequest) -> HttpResponse:
    raise ONE_SINGLE_ERROR


def caused(request: HttpRequest) -> HttpResponse:
    try:
        _ = {}["absent"]
    except KeyError as error:
        raise LookupError from error


@track_http_request("tracked")
def tracked(request: HttpRequest) -> HttpResponse:
    raise LookupError("a secret")


def tracked_inside(request: HttpRequest) -> HttpResponse:
    with track_http_request("outer"), track_http_request("inner"):
        raise LookupError("a secret")


def refusing(request: HttpRequest, number: int) -> HttpResponse:
    raise (Http404, PermissionDenied, SuspiciousOperation, BadRequest)[number]("a secret")


def streamed(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        yield b"x"
        raise LookupError("the client hears of it")

    return StreamingHttpResponse(parts())


def handler500(request: HttpRequest) -> HttpResponse:
    if request.path.endswith("twice/"):
        raise ArithmeticError("the page for errors fails too")
    return HttpResponse("sorry", status=500)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    if "fails" in request.GET:
        raise ArithmeticError("the page for refusals fails")
    return HttpResponse("no", status=403)


urlpatterns = [
    path("broken/", broken),
    path("abroken/", abroken),
    path("broken/twice/", broken),
    path("the-same/", the_same),
    path("caused/", caused),
    path("tracked/", tracked),
    path("tracked-inside/", tracked_inside),
    path("refusing/<int:number>/", refusing),
    path("streamed/", streamed),
]


class Layer:
    """A middleware in whose wrapping Django sends its signal again."""

    sync_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)


@pytest.fixture(autouse=True)
def project(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [f"{__name__}.Layer", f"{__name__}.Layer"]
    settings.ALLOWED_HOSTS = ["*"]
    install()
    install()


def wsgi(address: str) -> int:
    return Client(raise_request_exception=False).get(address).status_code


def asgi(address: str) -> int:
    async def ask() -> int:
        return (await AsyncClient(raise_request_exception=False).get(address)).status_code

    return asyncio.run(ask())


@pytest.fixture(params=[wsgi, asgi])
def ask(request: pytest.FixtureRequest) -> Callable[[str], int]:
    found: Callable[[str], int] = request.param
    return found


@pytest.mark.parametrize("where", ["broken", "abroken", "caused", "tracked", "tracked-inside"])
@pytest.mark.parametrize("debug", [False, True])
def test_a_views_exception_is_counted_once(
    ask: Callable[[str], int], where: str, debug: bool, settings: Any, moved: Callable[[], Any]
) -> None:
    settings.DEBUG = debug
    with moved() as moves:
        assert ask(f"/{where}/") == 500
    assert moves.of(exceptions_unhandled) == {("LookupError",): 1}
    assert moves.of(errors) == {("request", "error"): 1}


def test_one_that_the_page_for_errors_fails_at_is_counted_once(settings: Any, moved: Callable[[], Any]) -> None:
    with moved() as moves, pytest.raises(ArithmeticError):
        wsgi("/broken/twice/")
    assert moves.of(exceptions_unhandled) == {("LookupError",): 1}
    assert moves.of(errors) == {("request", "error"): 1}


def test_one_that_goes_on_to_the_client_of_tests_or_to_the_server_is_counted_once(
    settings: Any, moved: Callable[[], Any]
) -> None:
    with moved() as moves, pytest.raises(LookupError):
        Client().get("/broken/")
    assert moves.of(exceptions_unhandled) == {("LookupError",): 1}
    settings.DEBUG_PROPAGATE_EXCEPTIONS = True
    with moved() as moves, pytest.raises(LookupError):
        wsgi("/broken/")
    assert moves.of(exceptions_unhandled) == {("LookupError",): 1}


def test_the_bare_handler_counts_as_the_client_does(kept_connection: None, moved: Callable[[], Any]) -> None:
    environ: dict[str, Any] = {"PATH_INFO": "/broken/"}
    setup_testing_defaults(environ)
    with moved() as moves:
        response = WSGIHandler()(environ, lambda *_: None)
    assert response.status_code == 500
    assert moves.of(exceptions_unhandled) == {("LookupError",): 1}


@pytest.mark.parametrize("number", range(4))
def test_what_django_answers_with_a_refusal_is_no_error(
    ask: Callable[[str], int], number: int, moved: Callable[[], Any]
) -> None:
    with moved() as moves:
        assert 400 <= ask(f"/refusing/{number}/") < 500
        assert ask("/nowhere/") == 404
    assert not moves.of(exceptions_unhandled)
    assert not moves.of(errors)


def test_a_refusal_whose_page_fails_is_an_error_of_the_pages(
    ask: Callable[[str], int], moved: Callable[[], Any]
) -> None:
    with moved() as moves:
        assert ask("/refusing/1/?fails") == 500
    assert moves.of(exceptions_unhandled) == {("ArithmeticError",): 1}


def test_the_same_object_that_is_raised_for_each_request_is_counted_for_each(
    ask: Callable[[str], int], moved: Callable[[], Any]
) -> None:
    with moved() as moves:
        for _ in range(3):
            ask("/the-same/")
    assert moves.of(exceptions_unhandled) == {("LookupError",): 3}


def test_one_in_the_midst_of_a_stream_is_the_servers(moved: Callable[[], Any]) -> None:
    with moved() as moves:
        response: Any = Client(raise_request_exception=False).get("/streamed/")
        with pytest.raises(LookupError):
            b"".join(response.streaming_content)
    assert not moves.of(exceptions_unhandled)


def test_a_signal_without_a_request_or_an_exception_is_counted_all_the_same(moved: Callable[[], Any]) -> None:
    with moved() as moves:
        got_request_exception.send(sender=None, request=None)
        got_request_exception.send(sender=None)
        got_request_exception.send(sender=None, request=object())
    assert moves.of(exceptions_unhandled) == {("other",): 3}
