"""Error pages: in dress, with the id of the request, and a way on."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from harvester.config import urls as product_urls
from harvester.pages.errors import server_error
from tests.factories import make_staff
from tests.harvester.pages.reading import elements, text_of


def explode(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("secret detail")


class UrlsWithABrokenPage:
    """The product's addresses, and one that breaks."""

    urlpatterns = [*product_urls.urlpatterns, path("explode", explode)]
    handler400 = product_urls.handler400
    handler403 = product_urls.handler403
    handler404 = product_urls.handler404
    handler500 = product_urls.handler500


@pytest.fixture
def tolerant() -> Client:
    """A client that answers with the error page, as a server does, and checks CSRF."""
    return Client(raise_request_exception=False, enforce_csrf_checks=True)


def assert_in_dress(response: Any, status: int, title: str) -> None:
    assert response.status_code == status
    assert title in text_of(response.content)
    assert elements(response.content, "a", href="/", class_="button")
    assert elements(response.content, "link", rel="stylesheet")
    (shown,) = re.findall(r"Request id ([0-9a-f]{32})", text_of(response.content))
    assert shown == response["X-Request-ID"]
    assert "default-src 'none'" in response["Content-Security-Policy"]


@pytest.mark.django_db
def test_404(tolerant: Client) -> None:
    assert_in_dress(tolerant.get("/nowhere"), 404, "There is nothing here")


@pytest.mark.django_db
def test_403_offers_to_sign_in(tolerant: Client) -> None:
    client = Client()
    response = client.post("/harvest")
    assert_in_dress(response, 403, "This is not open to you")
    assert "Sign in" in [link.text for link in elements(response.content, "a", class_="button")]


@pytest.mark.django_db
def test_403_for_a_form_without_its_token(tolerant: Client) -> None:
    tolerant.force_login(make_staff())
    for address in ("/harvest", "/sources/1/pause", "/sources/1/resume", "/account/sign-out", "/account/sign-in"):
        assert_in_dress(tolerant.post(address), 403, "This form has expired")


def test_400_for_a_foreign_host(tolerant: Client) -> None:
    assert_in_dress(tolerant.get("/", headers={"host": "evil.example"}), 400, "This request cannot be read")


@pytest.mark.django_db
@override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=100)
@pytest.mark.parametrize("address", ["/harvest", "/account/sign-in"])
def test_413_for_a_body_beyond_the_limit(address: str) -> None:
    client = Client()
    client.force_login(make_staff())
    form = {"source": "x" * 200, "username": "x", "password": "x"}
    answer = client.post(address, urlencode(form), content_type="application/x-www-form-urlencoded")
    assert_in_dress(answer, 413, "That was too much at once")


@pytest.mark.django_db
@override_settings(ROOT_URLCONF=UrlsWithABrokenPage)
def test_500_tells_nothing_and_asks_the_database_nothing(
    tolerant: Client, django_assert_num_queries: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with django_assert_num_queries(0):
        response = tolerant.get("/explode")
    assert_in_dress(response, 500, "Something broke on our side")
    assert b"secret detail" not in response.content


@pytest.fixture
def broken_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise OSError("no templates")

    monkeypatch.setattr("harvester.pages.errors.render_to_string", fail)


def test_500_is_said_in_plain_text_where_even_the_page_breaks(broken_templates: None) -> None:
    response = server_error(HttpRequest())
    assert response.status_code == 500
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content.startswith(b"Something broke on our side. Request id:")


def test_an_error_page_needs_no_database(tolerant: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the mark ``django_db`` any query is an error here."""
    monkeypatch.setattr(connection, "ensure_connection", lambda: pytest.fail("a query"))
    assert tolerant.get("/", headers={"host": "evil.example"}).status_code == 400
