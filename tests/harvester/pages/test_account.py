"""Signing in and out."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.factories import PASSWORD, make_staff, make_user
from tests.harvester.pages.reading import elements, text_of

pytestmark = pytest.mark.django_db

RIGHT = {"username": "anna", "password": PASSWORD}


def test_the_right_password_leads_back_to_where_one_was(client: Client) -> None:
    make_user("anna")
    (link,) = elements(client.get("/sources?cursor=").content, "a", class_="you")
    assert link.attributes["href"] == "/account/sign-in?next=%2Fsources%3Fcursor%3D"
    (field,) = elements(client.get(link.attributes["href"]).content, "input", name="next")
    response = client.post("/account/sign-in", RIGHT | {"next": field.attributes["value"]})
    assert (response.status_code, response["Location"]) == (303, "/sources?cursor=")
    assert "anna" in text_of(client.get("/").content, "summary")


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"]
)
def test_nobody_is_sent_elsewhere_after_signing_in(client: Client, target: str) -> None:
    make_user("anna")
    response = client.post(f"/account/sign-in?next={target}", RIGHT | {"next": target})
    assert (response.status_code, response["Location"]) == (303, "/")


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"username": "nobody"}, {"username": "idle"}])
def test_a_wrong_name_or_password_is_one_sentence(client: Client, wrong: dict[str, str]) -> None:
    make_user("anna")
    make_user("idle", is_active=False)
    response = client.post("/account/sign-in", RIGHT | wrong)
    assert response.status_code == 422
    (summary,) = elements(response.content, "div", role="alert")
    assert summary.text.strip() == "This user name and password do not belong together. Mind capitals."
    (name,) = elements(response.content, "input", name="username")
    assert name.attributes["value"] == (RIGHT | wrong)["username"]
    (password,) = elements(response.content, "input", name="password")
    assert "value" not in password.attributes


def test_fields_say_what_they_are_for(client: Client) -> None:
    html = client.get("/account/sign-in").content
    assert elements(html, "input", name="username", autocomplete="username")
    assert elements(html, "input", name="password", autocomplete="current-password", type="password")
    assert {label.attributes["for"] for label in elements(html, "label")} == {"id_username", "id_password"}


def test_signing_out_is_a_post(client: Client) -> None:
    client.force_login(make_user("anna"))
    assert client.get("/account/sign-out").status_code == 405
    response = client.post("/account/sign-out")
    assert (response.status_code, response["Location"]) == (303, "/")
    assert "Sign in" in text_of(client.get("/").content, "header")


def test_the_admin_is_offered_to_staff_only(client: Client) -> None:
    client.force_login(make_user())
    assert not elements(client.get("/").content, "a", href="/admin/")
    client.force_login(make_staff())
    assert elements(client.get("/").content, "a", href="/admin/")


def test_a_page_with_a_password_is_not_stored(client: Client) -> None:
    assert "no-store" in client.get("/account/sign-in")["Cache-Control"]
