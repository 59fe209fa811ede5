"""One artifact with all that belongs to it, and the same work elsewhere."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone

from harvester.models import Artifact, Relationship, RelationshipMethod, RelationshipType
from harvester.queries import artifacts as module
from harvester.queries.artifacts import artifact_with_everything, relationships_of, same_work, same_works
from tests.factories import make_artifact, make_artifacts, make_identifier, make_same_work, make_source

pytestmark = pytest.mark.django_db


def link(one: Artifact, other: Artifact, evidence: str, confidence: float = 0.9) -> Relationship:
    source, target = sorted((one, other), key=lambda artifact: artifact.pk)
    return Relationship.objects.create(
        source=source,
        target=target,
        type=RelationshipType.SAME_AS,
        method=RelationshipMethod.DOI,
        confidence=confidence,
        evidence=evidence,
    )


def test_everything_takes_two_queries(django_assert_num_queries: Any) -> None:
    artifact = make_artifact()
    make_identifier(artifact, "10.5555/1")
    with django_assert_num_queries(2):
        whole = artifact_with_everything(artifact.pk)
        assert whole.source.name
        assert whole.score.components
        assert [identifier.value for identifier in whole.identifiers.all()] == ["10.5555/1"]


def test_an_artifact_without_a_score_is_there_too() -> None:
    artifact = make_artifact(score=None)
    assert not hasattr(artifact_with_everything(artifact.pk), "score")


@pytest.mark.parametrize("artifact_id", [0, -1, 2**63, 10**50])
def test_an_id_that_cannot_be_does_not_exist(artifact_id: int) -> None:
    with pytest.raises(Artifact.DoesNotExist):
        artifact_with_everything(artifact_id)


def test_the_same_work_is_found_through_third_ones() -> None:
    one, two, three, four = (make_artifact() for _ in range(4))
    link(one, two, "10.5555/a")
    link(two, three, "10.5555/b")
    assert [(same.artifact, same.evidence) for same in same_work(three.pk)] == [
        (one, "10.5555/a"),
        (two, "10.5555/b"),
    ]
    assert same_work(four.pk) == []


def test_the_same_work_comes_oldest_first() -> None:
    now = timezone.now()
    later, middle, early = (make_artifact(published_at=now - timedelta(days=days)) for days in (1, 2, 3))
    make_same_work([later, middle, early])
    assert [same.artifact for same in same_work(middle.pk)] == [early, later]


def test_the_link_nearest_to_the_artifact_is_the_proof() -> None:
    one, two, three = (make_artifact() for _ in range(3))
    link(one, two, "far", confidence=0.99)
    link(two, three, "between", confidence=0.99)
    link(one, three, "near", confidence=0.9)
    assert {same.artifact.pk: same.evidence for same in same_work(three.pk)} == {one.pk: "near", two.pk: "between"}


def test_a_circle_ends() -> None:
    circle = [make_artifact() for _ in range(5)]
    for one, other in zip(circle, [*circle[1:], circle[0]], strict=True):
        link(one, other, "x")
    assert {same.artifact.pk for same in same_work(circle[2].pk)} == {a.pk for a in circle} - {circle[2].pk}


def test_an_absurdly_large_work_is_cut() -> None:
    source = make_source()
    chain = make_artifacts(source, 300)
    for one, other in pairwise(chain):
        link(one, other, "x")
    assert [same.artifact for same in same_work(chain[0].pk)][::-1] == chain[1 : module.LARGEST_WORK]


def test_an_absurdly_popular_artifact_is_cut() -> None:
    hub, *others = make_artifacts(make_source(), 300)
    for other in others:
        link(hub, other, "x")
    assert len(same_work(hub.pk)) < module.LARGEST_WORK
    assert all(len(works) < module.LARGEST_WORK for works in same_works(a.pk for a in others[:50]).values())


def test_many_at_once_take_two_queries(django_assert_num_queries: Any) -> None:
    groups = [[make_artifact(), make_artifact()] for _ in range(10)]
    for group in groups:
        make_same_work(group)
    with django_assert_num_queries(2):
        found = same_works(artifact.pk for group in groups for artifact in group)
        assert all(same.artifact.source.name for works in found.values() for same in works)
    assert {asked: [same.artifact.pk for same in works] for asked, works in found.items()} == {
        one.pk: [other.pk] for group in groups for one, other in (group, group[::-1])
    }


def test_asking_for_nothing_asks_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert same_works([]) == {}


def test_relationships_are_found_from_both_ends() -> None:
    one, two = make_artifact(), make_artifact()
    held = link(one, two, "x")
    assert list(relationships_of(one.pk)) == list(relationships_of(two.pk)) == [held]


def test_relationships_are_filtered_and_sorted_by_confidence() -> None:
    centre = make_artifact()
    sure, unsure = (link(centre, make_artifact(), "x", confidence) for confidence in (0.99, 0.5))
    assert list(relationships_of(centre.pk)) == [sure, unsure]
    assert list(relationships_of(centre.pk, min_confidence=0.5)) == [sure, unsure]
    assert list(relationships_of(centre.pk, min_confidence=0.51)) == [sure]
    assert list(relationships_of(centre.pk, relationship_type="same_as")) == [sure, unsure]
    assert list(relationships_of(centre.pk, relationship_type="cite")) == []
