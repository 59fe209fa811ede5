"""Text from outside is fit to store."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from harvester.sources.text import bounded_id, for_terminal, one_line, shortened, storable, storable_json


def test_nul_and_lone_surrogates_are_dropped() -> None:
    assert storable("a\0b\ud800c\udfffd") == "abcd"
    assert storable("\U0001f600 \ufffe") == "\U0001f600 \ufffe"


def test_no_ascii_control_is_stored_and_none_at_all_is_printed() -> None:
    assert storable("\x1b]0;PWNED\x07\x1b[31mred\x9b0m \x7f\x08") == "]0;PWNED[31mred\x9b0m "
    assert for_terminal("\x1b]0;PWNED\x07red\x9b0m\ttab\n\x7f") == "]0;PWNEDred0m\ttab\n"
    assert one_line("a\x1b[2Jb\x85c\x1cd") == "a[2Jb cd"
    assert storable_json({"\x1bk": ["\x07"]}) == {"k": [""]}


def test_tabs_and_line_breaks_stay_and_every_line_break_is_the_same() -> None:
    assert storable("a\tb\nc\r\nd\re\x0bf\x0cg\x85h") == "a\tb\nc\nd\ne\nf\ng\nh"


def test_a_line_is_one_line_and_shows_where_it_was_cut() -> None:
    assert one_line("  a\n\tb\u00a0 c ") == "a b c"
    assert one_line("abcdef", 4) == "abc…"
    assert shortened("abc", 3) == "abc"


def test_a_long_id_keeps_its_beginning_and_stays_its_own() -> None:
    assert bounded_id("a" * 500) == "a" * 500
    first, second = bounded_id("a" * 501), bounded_id("a" * 502)
    assert len(first) == len(second) == 500
    assert first != second
    assert first.startswith("a" * 400)
    assert bounded_id("a" * 501) == first


def test_what_json_cannot_say_becomes_null() -> None:
    value = {"a\0": [1, 2.5, float("nan"), float("inf"), "b\ud800", True, None, object()], "d": {"e": (1,)}}
    assert storable_json(value) == {"a": [1, 2.5, None, None, "b", True, None, None], "d": {"e": [1]}}


def test_deep_values_are_cut() -> None:
    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    assert len(json.dumps(storable_json(deep))) < 200


@given(st.text(st.characters(codec=None), max_size=50))
def test_everything_storable_can_be_encoded(text: str) -> None:
    assert not [
        character
        for character in storable(text)
        if (character < " " or character == "\x7f") and character not in "\t\n"
    ]
    storable(text).encode("utf-8")
