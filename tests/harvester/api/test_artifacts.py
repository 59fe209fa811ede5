"""GET /artifacts/{id} and its relationships."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from harvester.models import Artifact, Relationship, RelationshipMethod, RelationshipType
from tests.factories import make_artifact, make_artifacts, make_identifier, make_same_work, make_source
from tests.harvester.api.clients import ApiClient, fields, problem

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 23, 16, 25, 7, tzinfo=UTC)

anonymous = ApiClient()


@time_machine.travel(NOW, tick=False)
def test_an_artifact_says_all_we_know_of_it() -> None:
    artifact = make_artifact(
        make_source("arXiv"),
        score=86.0,
        external_id="2611.00001",
        title="Ünïcode <b>",
        text="All of it.\n" * 100,
        authors=[{"name": "Ada Lovelace", "affiliation": "Lab Nord"}, {"name": "Charles"}],
        published_at=NOW - timedelta(minutes=25, seconds=7),
        updated_at=NOW,
        engagement={"stars": 3, "note": "none", "share": 0.5},
        metadata={"doi": "10.5555/1", "categories": ["cs.AI"]},
        raw={"secret": "as read"},
    )
    make_identifier(artifact, "10.5555/1")
    elsewhere = make_artifact(make_source("GitHub"), published_at=NOW)
    make_same_work([artifact, elsewhere], "10.5555/1")
    assert anonymous.json(f"/artifacts/{artifact.pk}") == {
        "id": artifact.pk,
        "url": f"/api/v1/artifacts/{artifact.pk}",
        "title": "Ünïcode <b>",
        "kind": "article",
        "source": "arXiv",
        "external_id": "2611.00001",
        "canonical_url": artifact.canonical_url,
        "published_at": "2026-11-23T16:00:00Z",
        "is_dated": True,
        "updated_at": "2026-11-23T16:25:07Z",
        "first_seen_at": "2026-11-23T16:25:07Z",
        "text": "All of it.\n" * 100,
        "people": [
            {"name": "Ada Lovelace", "affiliation": "Lab Nord"},
            {"name": "Charles", "affiliation": ""},
        ],
        "identifiers": [{"scheme": "doi", "value": "10.5555/1"}],
        "engagement": {"stars": 3},
        "metadata": {"doi": "10.5555/1", "categories": ["cs.AI"]},
        "stage": "scored",
        "score": 86.0,
        "score_at_publication": 86.0,
        "band": "notify",
        "explanation": artifact.score.explanation,
        "components": [
            component | {"contribution": component["value"] * component["weight"]}
            for component in artifact.score.components
        ],
        "same_as": [
            {
                "id": elsewhere.pk,
                "url": f"/api/v1/artifacts/{elsewhere.pk}",
                "title": elsewhere.title,
                "kind": "article",
                "source": "GitHub",
                "canonical_url": elsewhere.canonical_url,
                "published_at": "2026-11-23T16:25:07Z",
                "method": "doi",
                "evidence": "10.5555/1",
                "confidence": 0.99,
            }
        ],
        "relationships_url": f"/api/v1/artifacts/{artifact.pk}/relationships",
        "as_of": "2026-11-23T16:00:00Z",
    }


def test_the_parts_sum_to_the_score_at_publication() -> None:
    body = anonymous.json(f"/artifacts/{make_artifact(score=73.21).pk}")
    assert sum(part["contribution"] for part in body["components"]) == pytest.approx(body["score_at_publication"])


def test_an_artifact_that_waits_for_its_score_is_shown_without() -> None:
    body = anonymous.json(f"/artifacts/{make_artifact(score=None).pk}")
    assert body["stage"] == "ingested"
    assert [body[name] for name in ("score", "score_at_publication", "band", "explanation")] == [None] * 4
    assert body["components"] == []


@pytest.mark.parametrize("path", ["", "/relationships"])
@pytest.mark.parametrize(
    "artifact_id", ["0", "999999", str(2**63), "9" * 30, "9" * 5000, "-1", "abc", "1.0", "%00", "١"]
)
def test_an_id_that_is_unknown_or_none_is_not_found(artifact_id: str, path: str) -> None:
    problem(anonymous.get(f"/artifacts/{artifact_id}{path}"), 404, "not-found")


def test_an_artifact_takes_no_parameters() -> None:
    assert fields(anonymous.get(f"/artifacts/{make_artifact().pk}?depth=1")) == {("query", "depth")}


@pytest.mark.parametrize("number", [1, 40])
def test_an_artifact_takes_four_queries_however_often_it_was_seen(number: int, django_assert_num_queries: Any) -> None:
    artifact = make_artifact()
    make_same_work([artifact, *make_artifacts(make_source(), number)])
    with django_assert_num_queries(4):
        assert len(anonymous.json(f"/artifacts/{artifact.pk}")["same_as"]) == number


def related(centre: Artifact, number: int) -> list[Relationship]:
    others = make_artifacts(make_source(), number)
    return Relationship.objects.bulk_create(
        Relationship(
            source=centre,
            target=other,
            type=RelationshipType.SAME_AS,
            method=RelationshipMethod.TITLE,
            confidence=confidence / 1000,
            evidence="ünïcode",
        )
        for confidence, other in enumerate(others)
    )


def test_a_relationship_says_both_ends_and_why() -> None:
    centre = make_artifact()
    [relationship] = related(centre, 1)
    expected = {
        "id": relationship.pk,
        "source": {
            "id": centre.pk,
            "url": f"/api/v1/artifacts/{centre.pk}",
            "title": centre.title,
            "kind": "article",
        },
        "target": {
            "id": relationship.target_id,
            "url": f"/api/v1/artifacts/{relationship.target_id}",
            "title": relationship.target.title,
            "kind": "article",
        },
        "type": "same_as",
        "confidence": 0.0,
        "method": "title",
        "evidence": "ünïcode",
    }
    assert anonymous.results(f"/artifacts/{centre.pk}/relationships") == [expected]
    assert anonymous.results(f"/artifacts/{relationship.target_id}/relationships") == [expected]


def test_relationships_are_filtered_by_type_and_confidence() -> None:
    centre = make_artifact()
    held = related(centre, 10)
    path = f"/artifacts/{centre.pk}/relationships"
    assert len(anonymous.results(f"{path}?type=same_as")) == 10
    assert [found["id"] for found in anonymous.results(f"{path}?min_confidence=0.008")] == [held[9].pk, held[8].pk]


def test_a_walk_meets_every_relationship_once() -> None:
    centre = make_artifact()
    held = related(centre, 25)
    Relationship.objects.update(confidence=0.1 + 0.2)
    met, following = [], f"/artifacts/{centre.pk}/relationships?limit=10"
    while following:
        page = anonymous.json(following)
        met += [result["id"] for result in page["results"]]
        following = page["next"]
    assert met == sorted((relationship.pk for relationship in held), reverse=True)


def test_a_cursor_belongs_to_its_artifact() -> None:
    one, other = make_artifact(), make_artifact()
    related(one, 2)
    following: str = anonymous.json(f"/artifacts/{one.pk}/relationships?limit=1")["next"]
    assert fields(anonymous.get(following.replace(f"/{one.pk}/", f"/{other.pk}/"))) == {("query", "cursor")}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("type=cites", "type"),
        ("min_confidence=1.1", "min_confidence"),
        ("min_confidence=nan", "min_confidence"),
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
        ("depth=2", "depth"),
    ],
)
def test_what_cannot_be_used_is_named(query: str, field: str) -> None:
    path = f"/artifacts/{make_artifact().pk}/relationships"
    assert fields(anonymous.get(f"{path}?{query}")) == {("query", field)}


@pytest.mark.parametrize("number", [10, 1000])
def test_relationships_take_two_queries_however_many(number: int, django_assert_num_queries: Any) -> None:
    centre = make_artifact(published_at=timezone.now())
    related(centre, number)
    with django_assert_num_queries(2):
        anonymous.json(f"/artifacts/{centre.pk}/relationships?limit=100")
