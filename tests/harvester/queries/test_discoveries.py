"""The list of discoveries: what passes which filter, in which order, and what it costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from harvester.errors import UnknownSourceError
from harvester.models import Artifact, ArtifactKind
from harvester.queries.discoveries import (
    SUMMARY_LENGTH,
    DiscoveryFilters,
    count_at_most,
    discoveries,
    order_of,
    summary_of,
)
from harvester.queries.ranks import decayed_score, full_hour
from tests.factories import make_artifact, make_artifacts, make_source

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def found(**filters: Any) -> list[Artifact]:
    return list(discoveries(DiscoveryFilters(**filters), now=NOW))


def test_the_best_comes_first_whatever_its_age() -> None:
    old_and_great = make_artifact(score=90, published_at=NOW - timedelta(days=7))
    new_and_fair = make_artifact(score=50, published_at=NOW)
    ancient = make_artifact(score=100, published_at=NOW - timedelta(days=700))
    assert found() == [old_and_great, new_and_fair, ancient]


def test_the_newest_comes_first_when_asked() -> None:
    older = make_artifact(score=90, published_at=NOW - timedelta(days=7))
    newer = make_artifact(score=5, published_at=NOW)
    assert found(sort="newest") == [newer, older]


def test_what_has_no_score_yet_is_left_out() -> None:
    make_artifact(score=None)
    assert found() == []


@pytest.mark.parametrize("sort", ["best", "newest"])
def test_one_source_whatever_the_case_of_its_name(sort: str) -> None:
    wanted = make_artifact(make_source("ArXiv"))
    make_artifact()
    assert found(source="aRxIV", sort=sort) == [wanted]
    assert found(source=wanted.source, sort=sort) == [wanted]


@pytest.mark.parametrize("name", ["nowhere", "", "a\0b", "'; --"])
def test_an_unknown_source_is_an_error_that_names_the_known(name: str) -> None:
    make_source("arXiv")
    with pytest.raises(UnknownSourceError, match="arXiv"):
        found(source=name)


@pytest.mark.parametrize("sort", ["best", "newest"])
def test_one_kind(sort: str) -> None:
    wanted = make_artifact(kind=ArtifactKind.RELEASE)
    make_artifact(kind=ArtifactKind.POST)
    assert found(kind="release", sort=sort) == [wanted]


def test_since_a_moment_that_belongs_to_it() -> None:
    wanted = make_artifact(published_at=NOW - timedelta(days=1))
    make_artifact(published_at=NOW - timedelta(days=1, microseconds=1))
    assert found(since=NOW - timedelta(days=1)) == [wanted]


@pytest.mark.parametrize("sort", ["best", "newest"])
def test_the_least_score_means_the_one_that_is_shown(sort: str) -> None:
    hour = full_hour(NOW)
    artifacts = [
        make_artifact(score=score, published_at=hour - timedelta(hours=hours))
        for score in (0, 12.5, 40, 59.99999999999999, 60, 80, 99.99)
        for hours in (-0.5, 0, 0.5, 1, 336, 672)
    ]
    shown = {a.pk: decayed_score(a.score.discovery_score, a.published_at, NOW) for a in artifacts}
    for least in (0, 0.01, *shown.values(), 39.995, 59.999, 60.001, 100):
        expected = {pk for pk, score in shown.items() if score >= least}
        assert {artifact.pk for artifact in found(min_score=least, sort=sort)} == expected, least


def test_a_list_takes_one_query_and_loads_no_text(django_assert_num_queries: Any) -> None:
    make_artifacts(make_source(), 5, text="long " * 1000)
    with django_assert_num_queries(1):
        for artifact in found():
            assert artifact.source.name
            assert artifact.score.explanation
            assert artifact.authors
            assert {"text", "raw", "metadata"} <= artifact.get_deferred_fields()


def test_counting_ends_at_the_ceiling() -> None:
    make_artifacts(make_source(), 12)
    assert count_at_most(DiscoveryFilters(), NOW) == 12
    assert count_at_most(DiscoveryFilters(), NOW, ceiling=10) == 10


def test_equal_filters_bind_equally_and_different_ones_do_not() -> None:
    source = make_source("ArXiv")
    assert DiscoveryFilters(source="ARXIV").binding == DiscoveryFilters(source=source).binding
    assert DiscoveryFilters(min_score=60).binding == DiscoveryFilters(min_score=60.0).binding
    assert DiscoveryFilters(min_score=60).binding != DiscoveryFilters(min_score=60.5).binding
    assert order_of(DiscoveryFilters()).name != order_of(DiscoveryFilters(sort="newest")).name


def test_a_short_text_is_its_own_summary() -> None:
    assert summary_of("one\n  two ") == "one two"


def test_a_long_text_is_cut_at_a_word() -> None:
    make_artifact(text="word " * 200)
    [artifact] = discoveries(DiscoveryFilters(), now=NOW)
    summary = summary_of(artifact.opening)
    assert summary.endswith("word…")
    assert len(summary) <= SUMMARY_LENGTH
