"""The sample world's sources come and go as a whole and leave everybody else's alone."""

from __future__ import annotations

from datetime import date

import pytest

from harvester.actions import add_source
from harvester.errors import SourceConfigError
from harvester.models import Source
from harvester.sample.loader import load_sample, remove_sample
from harvester.sample.outlets import SOURCES

pytestmark = pytest.mark.django_db

ANCHOR, LATER = date(2025, 1, 20), date(2025, 3, 1)


def rows() -> list[tuple[int, str, str, str]]:
    return list(Source.objects.order_by("id").values_list("id", "name", "url", "query"))


def test_every_source_is_marked_as_sample() -> None:
    loaded = load_sample(anchor=ANCHOR)

    assert (loaded.created, loaded.anchor) == (len(SOURCES), ANCHOR)
    assert set(loaded.sources) == {source.name for source in SOURCES}
    assert all(name.startswith("Sample: ") for name in loaded.sources)
    assert set(Source.objects.values_list("is_sample", flat=True)) == {True}
    assert all("/2025-01-20/" in source.url for source in Source.objects.all())


def test_loading_twice_changes_nothing_and_keeps_the_first_anchor() -> None:
    load_sample(anchor=ANCHOR)
    before = rows()
    again = load_sample(anchor=LATER)

    assert rows() == before
    assert (again.created, again.anchor) == (0, ANCHOR)


def test_what_is_missing_is_added_to_the_world_that_is_there() -> None:
    load_sample(anchor=ANCHOR)
    Source.objects.get(name="Sample: Lab Nord").delete()
    again = load_sample(anchor=LATER)

    assert (again.created, again.anchor) == (1, ANCHOR)
    assert Source.objects.get(name="Sample: Lab Nord").url == "https://lab-nord.sample.invalid/2025-01-20/feed.xml"


def test_a_renamed_source_is_still_there() -> None:
    load_sample(anchor=ANCHOR)
    Source.objects.filter(name="Sample: Lab Nord").update(name="My favourite")

    assert load_sample(anchor=LATER).created == 0


def test_an_address_that_an_operator_changed_does_not_hide_the_anchor() -> None:
    load_sample(anchor=ANCHOR)
    first = Source.objects.order_by("id").first()
    assert first is not None
    Source.objects.filter(pk=first.pk).update(url="https://elsewhere.example/feed", name="Sample: moved")

    assert load_sample(anchor=LATER).anchor == ANCHOR


def test_somebody_elses_source_of_the_same_name_is_not_taken() -> None:
    own = add_source(kind="feed", name="SAMPLE: LAB NORD", url="https://own.example/feed")

    with pytest.raises(SourceConfigError, match="Choose another name"):
        load_sample(anchor=ANCHOR)
    assert list(Source.objects.all()) == [own]


def test_a_day_without_a_world_loads_nothing() -> None:
    with pytest.raises(ValueError, match="2016-01-01"):
        load_sample(anchor=date(1999, 1, 1))
    assert not Source.objects.exists()


def test_removing_takes_the_sample_only() -> None:
    own = add_source(kind="feed", name="Own", url="https://own.example/feed")
    load_sample(anchor=ANCHOR)

    assert remove_sample().sources == len(SOURCES)
    assert list(Source.objects.all()) == [own]
    assert remove_sample().sources == 0
