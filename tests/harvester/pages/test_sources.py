"""The list of sources and what staff may do on it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from harvester.models import Source, SourceState
from tests.factories import make_artifacts, make_source, make_staff
from tests.harvester.pages.reading import elements, text_of

pytestmark = pytest.mark.django_db


def rows(html: bytes) -> list[str]:
    return [" ".join(row.text.split()) for row in elements(html, "tr")[1:]]


def test_every_state_has_its_word_and_times(client: Client) -> None:
    now = timezone.now()
    make_source(
        "A fine",
        last_fetch_at=now - timedelta(hours=2),
        last_success_at=now,
        next_fetch_at=now + timedelta(hours=3, minutes=1),
    )
    make_source(
        "B failing", consecutive_failures=4, failure_reason="http_status", failure_detail="503 Service Unavailable"
    )
    make_source("C paused", state=SourceState.PAUSED)
    make_artifacts(make_source("D new", kind="arxiv", url="", query="cat:cs.LG"), 3)
    html = client.get("/sources").content
    fine, failing, paused, new = rows(html)
    assert fine.endswith("fine 0 2 hours ago in 3 hours")
    assert "failing 4 failures: it answered with an error 0 never due" in failing
    assert paused.endswith("paused 0 never –")
    assert new == "D new arXiv · cat:cs.LG new 3 never due"
    assert "4 places watched, 1 failing, 1 paused." in text_of(html)


def test_what_maps_our_network_or_holds_a_token_is_for_staff(client: Client) -> None:
    make_source(
        url="https://blog.example/feed?token=secret",
        consecutive_failures=1,
        failure_reason="address_refused",
        failure_detail="localhost is not on the public internet (127.0.0.1)",
    )
    text = text_of(client.get("/sources").content)
    assert "1 failure: its address is not public, so it is not called" in text
    assert "https://blog.example/feed" in text
    assert not any(word in text for word in ("127.0.0.1", "localhost", "secret"))
    client.force_login(make_staff())
    text = text_of(client.get("/sources").content)
    assert "(localhost is not on the public internet (127.0.0.1))" in text
    assert "https://blog.example/feed?token=secret" in text


def test_without_sources_the_page_says_how_to_begin(client: Client) -> None:
    assert "python manage.py sample load" in text_of(client.get("/sources").content)


def test_staff_pauses_and_resumes(client: Client) -> None:
    source = make_source("Lab Nord")
    client.force_login(make_staff())
    response = client.post(f"/sources/{source.pk}/pause")
    assert (response.status_code, response["Location"]) == (303, "/sources")
    source.refresh_from_db()
    assert source.state == SourceState.PAUSED
    html = client.get("/sources").content
    assert "Lab Nord is paused." in text_of(html)
    assert elements(html, "form", action=f"/sources/{source.pk}/resume")
    assert client.post(f"/sources/{source.pk}/resume").status_code == 303
    source.refresh_from_db()
    assert source.state == SourceState.ACTIVE


def test_after_a_change_the_same_page_of_the_list_shows(client: Client) -> None:
    Source.objects.bulk_create(Source(name=f"Source {number:03}", kind="feed") for number in range(60))
    client.force_login(make_staff())
    (link,) = elements(client.get("/sources").content, "a", rel="next")
    html = client.get(link.attributes["href"]).content
    field = elements(html, "input", name="cursor")[0]
    last = Source.objects.get(name="Source 059")
    response = client.post(f"/sources/{last.pk}/pause", {"cursor": field.attributes["value"]})
    assert "Source 059" in " ".join(rows(client.get(response["Location"]).content))


def test_an_unknown_source_is_404(client: Client) -> None:
    client.force_login(make_staff())
    assert client.post("/sources/77/pause").status_code == 404
    assert client.post(f"/sources/{10**30}/resume").status_code == 404


def test_buttons_are_for_staff_only(client: Client) -> None:
    make_source()
    assert not elements(client.get("/sources").content, "form")
    client.force_login(make_staff())
    assert {form.attributes["method"] for form in elements(client.get("/sources").content, "form")} == {"post"}


@pytest.mark.parametrize("cursor", ["x", "%00", "a" * 5000])
def test_a_crafted_cursor_gives_the_first_page_and_a_sentence(client: Client, cursor: str) -> None:
    make_source("Lab Nord")
    response = client.get(f"/sources?cursor={cursor}")
    assert response.status_code == 400
    assert "Lab Nord" in text_of(response.content)
    assert "does not fit this list" in text_of(response.content)


@pytest.mark.parametrize("number", [10, 1000])
def test_a_page_costs_at_most_four_queries(client: Client, django_assert_max_num_queries: Any, number: int) -> None:
    Source.objects.bulk_create(
        Source(name=f"Source {index}", kind="feed", url="https://example.org/" + "x" * 300) for index in range(number)
    )
    with django_assert_max_num_queries(4):
        html = client.get("/sources").content
    assert len(rows(html)) == min(number, 50)
    assert len(html) < 100_000
    client.force_login(make_staff())
    with django_assert_max_num_queries(7):
        html = client.get("/sources").content
    assert len(html) < 100_000
