"""Sources with what was found there, and by name."""

from __future__ import annotations

from typing import Any

import pytest

from harvester.errors import UnknownSourceError
from harvester.queries.sources import source_named, sources
from tests.factories import make_artifacts, make_source

pytestmark = pytest.mark.django_db


def test_sources_come_by_name_with_their_counts_in_one_query(django_assert_num_queries: Any) -> None:
    make_source("zeta")
    make_artifacts(make_source("Alpha"), 3)
    make_artifacts(make_source("beta"), 1, score=10)
    with django_assert_num_queries(1):
        assert [(source.name, source.artifact_count) for source in sources()] == [
            ("Alpha", 3),
            ("beta", 1),
            ("zeta", 0),
        ]


def test_a_source_is_found_whatever_the_case() -> None:
    source = make_source("ArXiv new")
    assert source_named("arxiv NEW") == source


def test_an_unknown_name_lists_the_known_ones() -> None:
    make_source("b")
    make_source("A")
    with pytest.raises(UnknownSourceError) as raised:
        source_named("c")
    assert raised.value.name == "c"
    assert set(raised.value.known) == {"A", "b"}


def test_a_name_no_database_can_hold_is_unknown() -> None:
    with pytest.raises(UnknownSourceError):
        source_named("a\0b")
