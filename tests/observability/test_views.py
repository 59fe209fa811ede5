"""The page's answers: to whom, to what, with which headers; and whatever goes wrong, no traceback."""

from __future__ import annotations

import asyncio
import gzip
import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path, reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parsed

from observability import metrics, views
from observability.views import answer
from tests.observability.processes import HOUSE

TOKEN = "a token of some length"
urlpatterns = [path("metrics", include("observability.urls")), path("other", include("observability.urls"))]
pytestmark = pytest.mark.django_db  # an answer's end closes old connections

Ask = Callable[..., HttpResponse]


@pytest.fixture(params=["middleware", "urls"])
def ask(request: pytest.FixtureRequest, settings: Any) -> Ask:
    """One request through the whole handler, from loopback."""
    settings.ROOT_URLCONF = __name__
    settings.OBSERVABILITY_TOKEN = TOKEN
    settings.MIDDLEWARE = [
        *(["observability.middleware.MetricsMiddleware"] if request.param == "middleware" else []),
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ]

    def send(method: str = "GET", path: str = "/metrics", **headers: str) -> Any:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return Client(enforce_csrf_checks=True).generic(method, path, headers=named)

    return send


def test_the_page_is_served_with_its_headers(ask: Ask) -> None:
    response = ask()
    assert response.status_code == 200
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response["Content-Length"] == str(len(response.content))
    assert response["Cache-Control"] == "no-store"
    assert response["Vary"] == "Accept, Accept-Encoding"
    assert "Content-Encoding" not in response
    assert list(parsed(response.content.decode()))


def test_it_is_gzipped_where_that_is_admitted(ask: Ask) -> None:
    response = ask(accept_encoding="gzip", accept="application/openmetrics-text;version=1.0.0")
    assert response["Content-Encoding"] == "gzip"
    assert response["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response["Content-Length"] == str(len(response.content))
    assert gzip.decompress(response.content).endswith(b"\n# EOF\n")


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_head_has_the_same_headers_and_no_content(ask: Ask, encoding: str) -> None:
    get, head = ask("GET", accept_encoding=encoding), ask("HEAD", accept_encoding=encoding)
    assert head.content == b""
    assert head.status_code == 200
    assert head.headers.keys() == get.headers.keys()
    assert int(head["Content-Length"]) == pytest.approx(len(get.content), rel=0.1)
    assert all(head[name] == get[name] for name in get.headers if name != "Content-Length")


@pytest.mark.parametrize("query", ["name[]=metrics_scrape_samples", "name%5B%5D=metrics_scrape_samples&x=1"])
def test_only_what_is_named_is_served(ask: Ask, query: str) -> None:
    ask()
    (family,) = parsed(ask(path=f"/metrics?{query}").content.decode())
    assert family.name == "metrics_scrape_samples"


def test_what_nobody_has_is_an_empty_page(ask: Ask) -> None:
    response = ask(path="/metrics?name[]=none&name[]=%FF")
    assert (response.status_code, response.content) == (200, b"")


def test_a_thousand_names_are_served_and_more_are_a_bad_request(ask: Ask) -> None:
    assert ask(path="/metrics?" + "&".join(["name[]=x"] * 1_000)).status_code == 200
    response = ask(path="/metrics?" + "&".join(["name[]=x"] * 1_001))
    assert response.status_code == 400
    assert response.content == b"Send at most 1,000 parameters.\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get\u00e9"])
def test_other_methods_are_refused_by_name(ask: Ask, method: str) -> None:
    response = ask(method)
    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD"
    assert "http_requests" not in response.content.decode()


# --- who may read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD"])
@pytest.mark.parametrize(
    "headers",
    [
        {"x_forwarded_for": "127.0.0.1"},
        {"x_forwarded_for": ""},
        {"forwarded": "for=127.0.0.1"},
        {"x_forwarded_for": "127.0.0.1", "authorization": "Bearer wrong"},
        {"x_forwarded_for": "127.0.0.1", "authorization": f"Basic {TOKEN}"},
    ],
)
def test_whoever_may_not_read_is_told_what_to_do_and_nothing_else(
    ask: Ask, moved: Callable[[], Any], method: str, headers: dict[str, str]
) -> None:
    with moved() as moves:
        response = ask(method, **headers)
    assert response.status_code == 403
    assert response["Cache-Control"] == "no-store"
    assert response["Content-Type"].startswith("text/plain")
    assert response["WWW-Authenticate"] == 'Bearer realm="metrics"'
    assert not response.cookies
    text = response.content.decode()
    assert TOKEN not in text
    if method == "HEAD":
        assert text == ""
    else:
        assert "OBSERVABILITY_TOKEN" in text
        assert "# TYPE" not in text
    assert not moves.of(metrics.scrape_duration)


def test_the_token_opens_through_a_proxy(ask: Ask) -> None:
    assert ask(x_forwarded_for="198.51.100.7", authorization=f"Bearer {TOKEN}").status_code == 200


@pytest.mark.parametrize("query", [f"token={TOKEN}", f"access_token={TOKEN}", f"OBSERVABILITY_TOKEN={TOKEN}"])
def test_a_token_in_the_address_gives_nothing(ask: Ask, query: str) -> None:
    assert ask(path=f"/metrics?{query.replace(' ', '+')}", x_forwarded_for="1.2.3.4").status_code == 403


LOGIN_REQUIRED = """
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="x",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "observability"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    ROOT_URLCONF="tests.observability.test_views",
    ALLOWED_HOSTS=["testserver"],
)
django.setup()
from django.test import Client
far = {"x-forwarded-for": "1.2.3.4"}
print([Client().get("/metrics").status_code, Client().get("/metrics", headers=far).status_code])
"""


def test_it_is_exempt_from_login_and_never_sends_anybody_there() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGIN_REQUIRED], cwd=HOUSE, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("[200, 403]", 0), done.stderr


def test_it_has_a_name(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.observability.test_views"
    assert reverse("observability:metrics") in ("/metrics", "/other")


def test_it_is_served_before_hosts_and_redirects(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["example.com"]
    settings.SECURE_SSL_REDIRECT = True
    settings.MIDDLEWARE = [
        "observability.middleware.MetricsMiddleware",
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
    ]
    assert Client().get("/metrics", headers={"host": "10.1.2.3:8000"}).status_code == 200
    assert Client().get("/hello/", headers={"host": "10.1.2.3:8000"}).status_code in (301, 400)


def test_it_is_served_on_an_event_loop() -> None:
    async def statuses() -> list[int]:
        headers = [{}, {"x-forwarded-for": "127.0.0.1"}, {"accept-encoding": "gzip"}]
        return [(await AsyncClient().get("/metrics", headers=one)).status_code for one in headers]

    assert asyncio.run(statuses()) == [200, 403, 200]


def test_a_request_for_the_page_is_not_counted_itself(moved: Callable[[], Any]) -> None:
    with moved() as moves:
        Client().get("/metrics")
    assert not moves.of(metrics.http_requests)


# --- what can go wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("the password is hunter2"), MemoryError(), RecursionError(), OSError()])
def test_a_page_that_cannot_be_made_is_a_503_without_a_traceback(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def failing(*_: object) -> Any:
        raise error

    monkeypatch.setattr(views, "render", failing)
    with caplog.at_level(logging.WARNING):
        response = ask()
    assert response.status_code == 503
    assert response["Content-Type"].startswith("text/plain")
    assert response["Cache-Control"] == "no-store"
    assert b"hunter2" not in response.content
    assert b"Traceback" not in response.content
    (record,) = [record for record in caplog.records if record.name in ("observability.views", "django.request")]
    assert (record.name, record.levelname) == ("observability.views", "ERROR")
    assert type(error).__name__ in record.getMessage()


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    headers=st.dictionaries(
        st.sampled_from(["HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING", "HTTP_AUTHORIZATION", "HTTP_HOST", "QUERY_STRING",
                         "CONTENT_TYPE", "HTTP_COOKIE", "HTTP_X", "CONTENT_LENGTH"]),
        st.one_of(st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")), st.text(max_size=60)),
    ),
    method=st.sampled_from(["GET", "HEAD", "POST", "", "\x00"]),
    peer=st.sampled_from(["127.0.0.1", "198.51.100.7", ""]),
)  # fmt: skip
def test_a_thousand_hostile_requests_get_an_answer(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], method: str, peer: str
) -> None:
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": peer, **headers}
    request.method = method
    response = answer(request)
    expected = 403 if peer != "127.0.0.1" else 200 if method in ("GET", "HEAD") else 405
    assert response.status_code == expected
    for name, text in response.items():
        assert not set(text) & set("\r\n"), name
