"""Who may do what, asked of every address the pages have; and the headers every answer carries."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern

from harvester.models import Run, Source
from harvester.pages.urls import urlpatterns
from tests.factories import make_artifact, make_run, make_source, make_staff, make_user
from tests.harvester.pages.reading import elements

pytestmark = pytest.mark.django_db

STAFF_POSTS = {"harvest", "source-pause", "source-resume"}
OTHER_POSTS = {"sign-out"}

POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "frame-ancestors 'none'",
}


def address_of(pattern: URLPattern) -> str:
    """The address with the only row of each table for its number."""
    return "/" + str(pattern.pattern).replace("<int:artifact_id>", "1").replace("<int:source_id>", "1").replace(
        "<int:run_id>", "1"
    )


PAGES = [address_of(pattern) for pattern in urlpatterns if pattern.name not in STAFF_POSTS | OTHER_POSTS]
POSTS = [address_of(pattern) for pattern in urlpatterns if pattern.name in STAFF_POSTS]


@pytest.fixture
def world() -> None:
    make_artifact(make_source(pk=1), pk=1)
    make_run(pk=1)


def test_no_address_ends_in_a_slash() -> None:
    assert [address for address in PAGES + POSTS if address != "/" and address.endswith("/")] == []


@pytest.mark.parametrize("address", PAGES)
def test_every_page_is_open_to_everybody(client: Client, world: None, address: str) -> None:
    expected = {302} if address == "/favicon.ico" else {200}
    assert {client.get(address).status_code} == expected
    for who in (make_user(), make_staff()):
        client.force_login(who)
        assert {client.get(address).status_code} == expected
        assert {client.head(address).status_code} == expected


@pytest.mark.parametrize("address", [page for page in PAGES if page != "/account/sign-in"])
def test_a_page_for_reading_takes_no_post(client: Client, world: None, address: str) -> None:
    client.force_login(make_staff())
    assert client.post(address).status_code == 405


@pytest.mark.parametrize("address", POSTS)
def test_a_change_needs_post_staff_and_csrf(client: Client, world: None, address: str) -> None:
    before = (Run.objects.count(), Source.objects.get().state)
    assert client.get(address).status_code == 405
    assert client.post(address).status_code == 403
    client.force_login(make_user())
    assert client.post(address).status_code == 403
    staff = make_staff()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(staff)
    assert strict.post(address).status_code == 403
    assert (Run.objects.count(), Source.objects.get().state) == before
    client.force_login(staff)
    assert client.post(address).status_code == 303


def test_an_account_that_is_no_longer_active_may_nothing(client: Client, world: None) -> None:
    staff = make_staff()
    client.force_login(staff)
    staff.is_active = False
    staff.save()
    assert client.post("/harvest").status_code == 403


@pytest.mark.parametrize(
    "address", [*PAGES, *POSTS, "/nowhere", "/admin/", "/admin/login/", "/static/harvester/style.css", "/static/none"]
)
def test_the_policy_stands_on_every_path(client: Client, world: None, address: str) -> None:
    response = client.get(address)
    assert set(response["Content-Security-Policy"].split("; ")) == POLICY
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"
    response.close()  # a static file stays open until then


@pytest.mark.parametrize("address", PAGES)
def test_no_page_carries_inline_styles_or_scripts(client: Client, world: None, address: str) -> None:
    client.force_login(make_staff())
    response = client.get(address)
    if response.status_code != 200 or not response["Content-Type"].startswith("text/html"):
        return
    found = elements(response.content)
    assert [element.tag for element in found if element.tag in {"script", "style", "iframe", "object"}] == []
    assert [element for element in found if "style" in element.attributes] == []
    assert [name for element in found for name in element.attributes if name.startswith("on")] == []


@pytest.mark.parametrize("address", PAGES)
def test_every_page_is_built_from_the_same_parts(client: Client, world: None, address: str) -> None:
    response = client.get(address)
    if response.status_code != 200 or not response["Content-Type"].startswith("text/html"):
        return
    html = response.content
    assert elements(html, "html", lang="en")
    assert len(elements(html, "h1")) == 1
    assert len(elements(html, "main", id="main")) == 1
    assert elements(html, "a", class_="skip", href="#main")
    (title,) = elements(html, "title")
    assert title.text.endswith(" · Signal Harvester")
    identifiers = [element.attributes["id"] for element in elements(html) if "id" in element.attributes]
    assert len(identifiers) == len(set(identifiers))
    assert len(html) < 100_000


def test_files_asked_for_unasked_are_there(client: Client) -> None:
    assert client.get("/favicon.ico")["Location"] == f"{settings.STATIC_URL}harvester/favicon.svg"
    icon = client.get("/static/harvester/favicon.svg")
    assert icon["Content-Type"] == "image/svg+xml"
    icon.close()
    assert b"Disallow: /admin/" in client.get("/robots.txt").content


def test_signed_in_pages_differ_by_cookie(client: Client, world: None) -> None:
    response: Any = client.get("/")
    assert "Cookie" in response["Vary"]
