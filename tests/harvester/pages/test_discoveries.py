"""The first page: rows, filters, cursors, empty states, and what it costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.signing import Signer
from django.test import Client
from django.utils import timezone

from harvester.models import Source
from tests.factories import (
    make_artifact,
    make_artifacts,
    make_same_work,
    make_source,
    make_staff,
    make_user,
)
from tests.harvester.pages.reading import elements, text_of

pytestmark = pytest.mark.django_db


def titles(html: bytes) -> list[str]:
    return [element.text for element in elements(html, "h2")]


# --- rows ----------------------------------------------------------------------------------------------------------


def test_a_row_says_what_where_when_who_and_why(client: Client, time_machine: Any) -> None:
    time_machine.move_to("2026-11-23T12:00:00Z", tick=False)
    source = make_source("Lab Nord notes")
    make_artifact(
        source,
        score=96,
        title="Persistent memory",
        kind="repository",
        published_at=timezone.now() - timedelta(hours=6),
        authors=[{"name": "Ines Aalto", "affiliation": "Lab Nord"}, {"name": "Jun Watanabe", "affiliation": ""}],
        engagement={"stars": 1, "comments": 1204},
    )
    html = client.get("/").content
    text = text_of(html)
    assert titles(html) == ["Persistent memory"]
    assert "1 in the last 7 days, best first." in text
    assert "Lab Nord notes" in text
    assert "repository" in text
    assert "6 hours ago" in text
    assert "Lab Nord, 2 authors" in text
    assert "1 star" in text
    assert "1,204 comments" in text
    assert "Seen 6 hours after it appeared" in text
    (score,) = elements(html, "p", class_="score notify")
    assert score.text.split() == ["94", "notify"]


@pytest.mark.parametrize(
    ("authors", "words"),
    [
        ([], ""),
        ([{"name": "Ada Lovelace"}], "Ada Lovelace"),
        ([{"name": "Ada Lovelace", "affiliation": "Lab Nord"}], "Ada Lovelace, Lab Nord"),
        ([{"name": "Ada Lovelace"}, {"name": "B"}, {"name": "C"}], "Ada Lovelace and 2 more"),
        ([{"name": ""}, {"name": "B"}], "B"),
    ],
)
def test_authors_are_said_in_short(client: Client, authors: list[dict[str, str]], words: str) -> None:
    make_artifact(make_source("Place"), authors=authors)
    (facts,) = elements(client.get("/").content.split(b"<footer")[0], "ul", class_="facts")
    said = [line.strip() for line in facts.text.splitlines() if line.strip()]
    assert said == ["Place", "article", "6 hours ago", *([words] if words else [])]


def test_a_work_without_a_date_says_when_it_was_first_seen(client: Client) -> None:
    make_artifact(is_dated=False)
    assert "first seen 6 hours ago" in text_of(client.get("/").content)


def test_the_same_work_elsewhere_is_named_and_linked(client: Client) -> None:
    seen = [make_artifact(make_source(f"Place {number}")) for number in range(6)]
    make_same_work(seen)
    html = client.get("/").content
    first = text_of(html, "ol").split("Place 0", 1)[1]
    assert "also in Place 1 · also in Place 2 · also in Place 3 · and 2 more".replace(" · ", " ") in first
    assert elements(html, "a", href=f"/artifacts/{seen[1].pk}")


def test_the_order_is_by_decayed_score_or_by_time(client: Client) -> None:
    now = timezone.now()
    make_artifact(score=90, title="Better but older", published_at=now - timedelta(days=6))
    make_artifact(score=88, title="New", published_at=now)
    make_artifact(score=40, title="Fair", published_at=now - timedelta(hours=1))
    assert titles(client.get("/").content) == ["New", "Better but older", "Fair"]
    assert titles(client.get("/?sort=newest").content) == ["New", "Fair", "Better but older"]


def test_what_waits_for_its_score_is_not_listed(client: Client) -> None:
    make_artifact(title="Scored")
    make_artifact(score=None, title="Waiting")
    assert titles(client.get("/").content) == ["Scored"]


def test_long_texts_are_cut_at_300_characters(client: Client) -> None:
    make_artifact(title="word " * 199)
    (title,) = titles(client.get("/").content)
    assert 290 < len(title) <= 300
    assert title.endswith("word…")


# --- filters -------------------------------------------------------------------------------------------------------


def test_each_filter_narrows_the_list(client: Client) -> None:
    one, two = make_source("One"), make_source("Two")
    make_artifact(one, title="A", kind="preprint", score=90)
    make_artifact(two, title="B", kind="post", score=50)
    make_artifact(two, title="C", kind="post", score=80, published_at=timezone.now() - timedelta(days=20))
    assert titles(client.get("/?source=two").content) == ["B"]
    assert titles(client.get("/?kind=preprint").content) == ["A"]
    assert titles(client.get("/?min_score=60&since=all").content) == ["A"]
    assert titles(client.get("/?source=Two&since=30d").content) == ["B", "C"]


def test_the_form_keeps_what_was_chosen(client: Client) -> None:
    make_artifact(make_source("Lab Nord"), kind="post")
    html = client.get("/?source=lab%20nord&kind=post&min_score=12.5&since=30d&sort=newest").content
    chosen = [element.attributes["value"] for element in elements(html, "option") if "selected" in element.attributes]
    assert chosen == ["Lab Nord", "post", "30d", "newest"]
    (field,) = elements(html, "input", name="min_score")
    assert field.attributes["value"] == "12.5"


@pytest.mark.parametrize(
    ("query", "field", "sentence"),
    [
        ("source=nobody", "source", "There is no source of this name."),
        ("source=a%00b", "source", "Null characters are not allowed."),
        ("kind=novel", "kind", "There is no such kind."),
        ("since=yesterday", "since", "Choose one of the listed times."),
        ("min_score=high", "min_score", "Write a number from 0 to 100."),
        ("min_score=101", "min_score", "Write a number from 0 to 100."),
        ("min_score=-1", "min_score", "Write a number from 0 to 100."),
        ("min_score=nan", "min_score", "Write a number from 0 to 100."),
        ("min_score=inf", "min_score", "Write a number from 0 to 100."),
        ("sort=worst", "sort", "Choose one of the listed orders."),
    ],
)
def test_an_impossible_filter_is_422_beside_its_field(client: Client, query: str, field: str, sentence: str) -> None:
    make_artifact()
    response = client.get(f"/?{query}")
    assert response.status_code == 422
    (beside,) = elements(response.content, "p", id=f"filter-{field}_error")
    assert beside.text == sentence
    (summary,) = elements(response.content, "div", role="alert")
    assert sentence in summary.text
    assert "autofocus" in summary.attributes
    (control,) = [element for element in elements(response.content) if element.attributes.get("name") == field]
    assert control.attributes["aria-invalid"] == "true"
    assert f"filter-{field}_error" in control.attributes["aria-describedby"]


def test_a_wrong_number_is_kept_for_mending(client: Client) -> None:
    make_artifact()
    (field,) = elements(client.get("/?min_score=high&kind=post").content, "input", name="min_score")
    assert field.attributes["value"] == "high"


def test_with_very_many_sources_the_name_is_written_and_not_chosen(client: Client) -> None:
    Source.objects.bulk_create(Source(name=f"Source {number:03}", kind="feed") for number in range(150))
    make_artifact(Source.objects.get(name="Source 149"), title="Found")
    response = client.get("/?source=source%20149")
    assert titles(response.content) == ["Found"]
    assert elements(response.content, "input", name="source")
    assert client.get("/?source=nobody").status_code == 422


def test_an_empty_parameter_and_a_foreign_one_restrict_nothing(client: Client) -> None:
    make_artifact(title="A")
    assert titles(client.get("/?source=&kind=&min_score=&utm_source=elsewhere").content) == ["A"]


# --- further pages -------------------------------------------------------------------------------------------------


def test_next_and_previous_walk_the_list_without_gap_or_double(client: Client) -> None:
    make_artifacts(make_source(), 120, kind="post")
    seen, address = [], "/?kind=post"
    while address:
        html = client.get(address).content
        seen.append(titles(html))
        address = next((link.attributes["href"] for link in elements(html, "a", rel="next")), "")
    assert [len(page) for page in seen] == [50, 50, 20]
    assert len({title for page in seen for title in page}) == 120
    (back,) = elements(html, "a", rel="prev")
    assert titles(client.get(back.attributes["href"]).content) == seen[1]


def test_a_cursor_outlives_the_hour_it_was_made_in(client: Client, time_machine: Any) -> None:
    time_machine.move_to("2026-11-23T10:59:00Z", tick=False)
    make_artifacts(make_source(), 60)
    (link,) = elements(client.get("/").content, "a", rel="next")
    time_machine.move_to("2026-11-23T11:02:00Z", tick=False)
    response = client.get(link.attributes["href"])
    assert response.status_code == 200
    assert len(titles(response.content)) == 10


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%00",
        "a" * 5000,
        "WyJ4Il0:abc",
        Signer(salt="harvester.queries.cursors").sign_object(["0" * 16, "next", 1.0, 1]),
        Signer(salt="harvester.queries.cursors").sign_object({"a": 1}),
        Signer(salt="elsewhere").sign_object(["0" * 16, "next", 1.0, 1]),
    ],
)
def test_a_crafted_cursor_gives_the_first_page_and_a_sentence(client: Client, cursor: str) -> None:
    make_artifact(title="A")
    response = client.get(f"/?cursor={cursor}")
    assert response.status_code == 400
    assert titles(response.content) == ["A"]
    assert "does not fit this list" in text_of(response.content)


def test_a_cursor_of_other_filters_is_refused(client: Client) -> None:
    make_artifacts(make_source(), 60)
    (link,) = elements(client.get("/").content, "a", rel="next")
    assert client.get(link.attributes["href"]).status_code == 200
    assert client.get(link.attributes["href"] + "&kind=article").status_code == 400


# --- nothing to show -----------------------------------------------------------------------------------------------


def test_without_a_match_the_filters_are_said_and_each_can_be_dropped(client: Client) -> None:
    make_artifact(make_source("Lab Nord"), kind="post", score=50)
    html = client.get("/?source=Lab+Nord&kind=preprint&since=24h&min_score=90").content
    sentence = "from Lab Nord, of kind preprint, published in the last 24 hours and with a score of 90 or more."
    assert f"Nothing matches: no discovery {sentence}" in text_of(html)
    drops = [link.attributes["href"] for link in elements(html, "a") if link.text.startswith("Drop")]
    assert drops == [
        "/?kind=preprint&since=24h&min_score=90",
        "/?source=Lab+Nord&since=24h&min_score=90",
        "/?source=Lab+Nord&kind=preprint&since=all&min_score=90",
        "/?source=Lab+Nord&kind=preprint&since=24h",
    ]


def test_a_quiet_week_shows_all_time_and_says_so(client: Client) -> None:
    make_artifact(title="Old", published_at=timezone.now() - timedelta(days=400))
    html = client.get("/").content
    assert titles(html) == ["Old"]
    assert "Nothing from the last 7 days; 1 in all, best first." in text_of(html)
    assert titles(client.get("/?since=7d").content) == []


def test_with_nothing_watched_the_one_command_is_shown(client: Client) -> None:
    text = text_of(client.get("/").content)
    assert "No source is watched yet" in text
    assert "python manage.py sample load" in text


def test_with_nothing_harvested_a_visitor_reads_the_command_and_staff_has_the_button(client: Client) -> None:
    make_source()
    html = client.get("/").content
    assert "python manage.py harvest" in text_of(html)
    assert not elements(html, "form", action="/harvest")
    client.force_login(make_staff())
    assert elements(client.get("/").content, "form", action="/harvest")


def test_artifacts_without_a_score_are_announced(client: Client) -> None:
    make_artifact(score=None)
    assert "1 artifact harvested, none scored yet" in text_of(client.get("/").content)


def test_the_count_stops_at_a_thousand(client: Client) -> None:
    make_artifacts(make_source(), 1001)
    assert "1,000 or more in the last 7 days" in text_of(client.get("/").content)


# --- cost ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [10, 1000])
@pytest.mark.parametrize("query", ["", "?source=Place&kind=article&min_score=1&sort=newest"])
def test_a_page_costs_five_queries_and_seven_signed_in(
    client: Client, settings: Any, django_assert_max_num_queries: Any, number: int, query: str
) -> None:
    settings.RATELIMIT_EXEMPT_PATHS = ["/*"]  # in tests the limiter asks for the user's tier each time
    source, other = make_source("Place", is_sample=True), make_source()
    artifacts = make_artifacts(source, number)
    for artifact in artifacts[:10]:
        make_same_work([artifact, make_artifact(other)])
    with django_assert_max_num_queries(5):
        response = client.get(f"/{query}")
    assert len(titles(response.content)) == min(50, number if query else number + 10)
    assert len(response.content) < 100_000
    client.force_login(make_user())
    with django_assert_max_num_queries(7):
        client.get(f"/{query}")
    client.force_login(make_staff())
    with django_assert_max_num_queries(8):
        client.get(f"/{query}")


def test_the_fullest_page_stays_below_100_kb(client: Client) -> None:
    source = make_source("S" * 200)
    artifacts = make_artifacts(
        source,
        50,
        title="Wide " * 180,
        authors=[{"name": "N" * 500, "affiliation": "P" * 500}] * 40,
        engagement={"stars": 10**6, "points": 10**6, "comments": 10**6},
    )
    for index in range(0, 50, 5):
        make_same_work(artifacts[index : index + 5])
    assert len(client.get("/").content) < 100_000
