"""How values are said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.template import Context, Template

from harvester.pages.words import age, clip, counted, host, seconds, web_address

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 minute ago"),
        (timedelta(minutes=119), "119 minutes ago"),
        (timedelta(hours=2), "2 hours ago"),
        (timedelta(hours=47), "47 hours ago"),
        (timedelta(days=2), "2 days ago"),
        (timedelta(days=13), "13 days ago"),
        (timedelta(days=14), "2 weeks ago"),
        (timedelta(days=70), "2 months ago"),
        (timedelta(days=729), "23 months ago"),
        (timedelta(days=800), "2 years ago"),
        (timedelta(days=365 * 2000), "1,998 years ago"),
        (-timedelta(seconds=30), "just now"),
        (-timedelta(minutes=5), "in 5 minutes"),
    ],
)
def test_an_age_is_said_in_one_unit(distance: timedelta, words: str) -> None:
    assert age(NOW - distance, NOW) == words


def test_a_time_is_written_in_utc_with_its_age_in_words() -> None:
    moment = datetime.fromisoformat("2026-11-23T12:30:00+05:00")
    html = Template("{% moment when %}").render(Context({"when": moment, "now": NOW}))
    assert html == '<time datetime="2026-11-23T07:30:00Z" title="2026-11-23 07:30 UTC">4 hours ago</time>'
    assert Template("{% moment when %}").render(Context({"when": None})) == ""
    assert ">23 Nov 2026, 07:30 UTC<" in Template("{% date when %}").render(Context({"when": moment}))


def test_years_before_the_year_1000_are_written_in_full() -> None:
    html = Template("{% date when %}").render(Context({"when": datetime(33, 4, 3, tzinfo=UTC)}))
    assert 'datetime="0033-04-03T00:00:00Z"' in html


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("two  words\nand more", "two words and…"),
        ("x" * 30, "x" * 14 + "…"),
        ("exactly fifteen", "exactly fifteen"),
        (" " * 500 + "after very much space", ""),
    ],
)
def test_a_text_is_cut_at_a_word(text: str, shown: str) -> None:
    assert clip(text, 15) == shown


def test_only_addresses_of_the_web_are_let_through() -> None:
    assert web_address("https://example.org/a?b#c") == "https://example.org/a?b#c"
    assert web_address("http://[::1]:80/") == "http://[::1]:80/"
    assert [web_address(bad) for bad in ("javascript:1", "https:", "//a.example", "http://[::1", "mailto:a@b.c")] == [
        ""
    ] * 5
    assert host("https://www.example.org:8000/a") == "example.org"
    assert host("http://[") == ""


def test_counts_and_durations() -> None:
    assert [counted(number, "star") for number in (0, 1, 2, 1234)] == ["0 stars", "1 star", "2 stars", "1,234 stars"]
    assert [seconds(length) for length in (None, 0.04, 9.94, 12.4, 59.9, 200)] == [
        "–",
        "0.0 s",
        "9.9 s",
        "12 s",
        "1 min 0 s",
        "3 min 20 s",
    ]
