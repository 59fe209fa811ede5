"""HTML becomes readable text, hostile HTML too."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.sources.html_text import plain_text


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("plain", "plain"),
        ("<p>One\n two</p><p>Three</p>", "One two\n\nThree"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<ul><li>a</li><li>b</li></ul>", "a\n\nb"),
        ("<b>bo</b>ld and <i>slanted</i>", "bold and slanted"),
        ("AT&amp;T &lt;3 &eacute;&#233;&#xe9; &nbsp; x", "AT&T <3 ééé x"),
        ("a<script>alert('<b>')</script>b<style>p{}</style>c", "abc"),
        ("a<SCRIPT src=x>1 < 2</SCRIPT >b", "ab"),
        ("a<!-- <b>hidden</b> -->b", "ab"),
        ('<a href="x>y">link</a>', "link"),
        ("<a href='it\"s'>link</a>", "link"),
        ("<td>a</td><td>b</td>", "a b"),
        ("<pre>if x:\n    y</pre>", "if x:\ny"),
        ("<o:p>Word</o:p> <g-emoji>!</g-emoji>", "Word !"),
        ("<svg><path/><text>no</text></svg>yes", "yes"),
        ("<svg/>yes", "yes"),
        ("<![CDATA[<p>wrapped twice</p>]]>", "wrapped twice"),
        ("Vec<T> and 1 < 2 and a<b", "Vec<T> and 1 < 2 and a"),
        ("unclosed <script>all of it", "unclosed"),
        ("unclosed <!-- all of it", "unclosed"),
        ('unclosed <a href="x>rest', "unclosed rest"),
        ("&#" + "9" * 5000 + ";x", "x"),
        ("&#0;&#xD800;&bogus;", "\ufffd\ufffd&bogus;"),
        ("a\0b", "ab"),
        ("", ""),
    ],
)
def test_markup_becomes_what_a_reader_sees(markup: str, expected: str) -> None:
    assert plain_text(markup) == expected


def test_a_long_text_is_cut() -> None:
    text = plain_text("<p>word</p>" * 50_000)
    assert len(text) <= 50_000
    assert text.endswith("…")


_PIECES = st.sampled_from(("<", ">", "b", "p", "script", "!--", "-->", '"', "/", "&#", ";", "x", " "))


@given(st.one_of(st.text(), st.lists(_PIECES).map("".join)))
def test_no_markup_makes_it_fail(markup: str) -> None:
    assert "\0" not in plain_text(markup)


@pytest.mark.parametrize(
    "piece", ["<b ", "<!--", "<zz ", '<b "', "&#1", "<script", "<script>", '<b x="', "<a-", "< ", "<![CDATA[", "\n "]
)
def test_hostile_markup_takes_time_in_proportion_to_its_length(piece: str) -> None:
    started = time.perf_counter()
    plain_text(piece * 100_000)
    assert time.perf_counter() - started < 5  # what is quadratic takes minutes
