"""The page of one artifact."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from harvester.models import MAX_ATTEMPTS, ArtifactStage, IdentifierScheme
from tests.factories import make_artifact, make_identifier, make_same_work, make_score, make_source, make_staff
from tests.harvester.pages.reading import elements, text_of

pytestmark = pytest.mark.django_db


def test_the_score_is_explained_by_parts_that_sum_to_it(client: Client, time_machine: Any) -> None:
    time_machine.move_to("2026-11-23T12:34:00Z", tick=False)
    artifact = make_artifact(score=None, published_at=timezone.now() - timedelta(days=14))
    parts = [
        {"name": "earliness", "value": 90.0, "weight": 0.6, "reason": "Seen at once"},
        {"name": "cross_source", "value": 20.0, "weight": 0.4, "reason": "In one place"},
    ]
    make_score(artifact, 62.0, components=parts, explanation="Seen at once; in one place.")
    html = client.get(f"/artifacts/{artifact.pk}").content
    text = text_of(html)
    assert "62.0 when published, 31.0 as of 23 Nov 2026, 12:00 UTC: a score halves every 14 days." in text
    assert "Seen at once; in one place." in text
    rows = [" ".join(row.text.split()) for row in elements(html, "tr")]
    assert rows[1:] == [
        "Earliness 90.0 0.60 54.0 Seen at once",
        "Cross source 20.0 0.40 8.0 In one place",
        "Sum when published 62.0",
    ]
    assert elements(html, "p", class_="score low")


def test_an_artifact_says_where_it_was_found_and_by_what_it_is_known(client: Client) -> None:
    artifact = make_artifact(
        make_source("arXiv learning", kind="arxiv", url="", query="cat:cs.LG"),
        canonical_url="https://arxiv.org/abs/2611.00001",
        kind="preprint",
        metadata={
            "version": "v3",
            "comment": "12 pages",
            "journal_ref": "J. Test 1 (2026)",
            "categories": ["cs.LG", "stat.ML"],
        },
        updated_at=timezone.now(),
    )
    make_identifier(artifact, "2611.00001", IdentifierScheme.ARXIV)
    make_identifier(artifact, "10.5555/a<b>(1)", IdentifierScheme.DOI)
    make_identifier(artifact, "arxiv.org/abs/2611.00001", IdentifierScheme.URL)
    html = client.get(f"/artifacts/{artifact.pk}").content
    names = [element.text for element in elements(html, "dt")]
    values = [" ".join(element.text.split()) for element in elements(html, "dd")]
    said = dict(zip(names, values, strict=True))
    assert said["Source"] == "arXiv learning (arXiv)"
    assert said["DOI"] == "10.5555/a<b>(1)"
    assert said["arXiv id"] == "2611.00001"
    assert said["Version"] == "v3"
    assert said["Comment"] == "12 pages"
    assert said["Journal"] == "J. Test 1 (2026)"
    assert said["Categories"] == "cs.LG stat.ML"
    assert "First seen here" in said
    outside = {link.attributes["href"] for link in elements(html, "a", rel="noopener nofollow ugc")}
    assert outside == {
        "https://arxiv.org/abs/2611.00001",
        "https://doi.org/10.5555/a%3Cb%3E(1)",
    }


def test_people_are_listed_with_their_places(client: Client) -> None:
    authors = [{"name": f"Person {number}", "affiliation": "Lab Nord"} for number in range(120)]
    artifact = make_artifact(authors=authors)
    html = client.get(f"/artifacts/{artifact.pk}").content
    (people,) = elements(html, "ul", class_="people")
    assert "Person 99 Lab Nord" in people.text
    assert "Person 100" not in people.text
    assert "and 20 more" in people.text


def test_the_same_work_elsewhere_comes_with_its_proof(client: Client) -> None:
    artifact = make_artifact(make_source("Here"))
    other = make_artifact(make_source("There"), title="The other one")
    make_same_work([artifact, other], evidence="10.5555/shared")
    for page, found in ((artifact, other), (other, artifact)):
        html = client.get(f"/artifacts/{page.pk}").content
        assert elements(html, "a", href=f"/artifacts/{found.pk}")
        assert "same DOI: 10.5555/shared" in text_of(html)


def test_an_unscored_artifact_says_which_stages_wait(client: Client) -> None:
    fresh = make_artifact(score=None)
    linked = make_artifact(score=None, stage=ArtifactStage.LINKED)
    changed = make_artifact(stage=ArtifactStage.LINKED)
    waits = [text_of(client.get(f"/artifacts/{artifact.pk}").content) for artifact in (fresh, linked, changed)]
    assert "It waits for comparison with the same work elsewhere, then its score." in waits[0]
    assert "It waits for its score." in waits[1]
    assert "It has changed since it was scored and waits again for its score." in waits[2]


def test_a_failed_stage_is_named_with_its_error(client: Client) -> None:
    artifact = make_artifact(score=None, failed_stage="score", error="ValueError: odd", attempts=MAX_ATTEMPTS - 1)
    text = text_of(client.get(f"/artifacts/{artifact.pk}").content)
    assert "The stage score failed (2 attempts): ValueError: odd" in text
    assert "It waits for" in text


def test_what_a_stage_has_given_up_waits_for_nothing(client: Client) -> None:
    artifact = make_artifact(score=None, failed_stage="score", error="ValueError: odd", attempts=MAX_ATTEMPTS)
    text = text_of(client.get(f"/artifacts/{artifact.pk}").content)
    assert "The stage score failed (3 attempts) and will not try again: ValueError: odd" in text
    assert "waits" not in text


def test_a_very_long_text_is_cut_and_the_page_stays_small(client: Client) -> None:
    artifact = make_artifact(text="word " * 200_000)
    html = client.get(f"/artifacts/{artifact.pk}").content
    assert len(html) < 20_000
    assert "word …" in text_of(html)


@pytest.mark.parametrize("artifact_id", ["0", "1", "9223372036854775808", "9" * 100])
def test_what_does_not_exist_is_404(client: Client, artifact_id: str) -> None:
    assert client.get(f"/artifacts/{artifact_id}").status_code == 404


@pytest.mark.parametrize("number", [2, 60])
def test_a_page_costs_at_most_nine_queries(client: Client, django_assert_max_num_queries: Any, number: int) -> None:
    source = make_source()
    seen = [make_artifact(source) for _ in range(number)]
    make_same_work(seen)
    make_identifier(seen[0], "10.5555/x")
    with django_assert_max_num_queries(9):
        client.get(f"/artifacts/{seen[0].pk}")
    client.force_login(make_staff())
    with django_assert_max_num_queries(12):
        client.get(f"/artifacts/{seen[0].pk}")
