"""Titles identify a work only together with who and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.sources.identifiers import title_key


def test_case_accents_and_signs_do_not_matter() -> None:
    assert (
        title_key("Étude of  Agent-Memory: A Survey", "Jörg Müller", 2024)
        == title_key("etude of agent memory – a survey!", "Müller, J.", 2024)
        == "etude of agent memory a survey|muller|2024"
    )


def test_author_and_year_tell_equal_titles_apart() -> None:
    keys = {
        title_key("A study of things", "Ann Lee", 2024),
        title_key("A study of things", "Ann Li", 2024),
        title_key("A study of things", "Ann Lee", 2023),
    }
    assert len(keys) == 3


def test_a_generation_is_no_surname() -> None:
    assert title_key("A study of things", "Martin King Jr.", 2024) == title_key("A study of things", "King, M.", 2024)


@pytest.mark.parametrize(
    ("title", "author", "year"),
    [
        ("Error", "Ann Lee", 2024),
        ("Weekly links", "Ann Lee", 2024),
        ("A study of things", "", 2024),
        ("A study of things", "–", 2024),
        ("A study of things", "Ann Lee", None),
        ("A study of things", "Ann Lee", 0),
        ("", "", None),
    ],
)
def test_what_says_too_little_has_no_key(title: str, author: str, year: int | None) -> None:
    assert title_key(title, author, year) == ""


@given(st.text(max_size=2000), st.text(max_size=600), st.one_of(st.none(), st.integers()))
def test_a_key_always_fits_its_column(title: str, author: str, year: int | None) -> None:
    assert len(title_key(title, author, year if year is None else year % 10_000)) <= 500


def test_long_titles_keep_apart() -> None:
    long = "word " * 200
    assert title_key(long + "one", "Ann Lee", 2024) != title_key(long + "two", "Ann Lee", 2024)
