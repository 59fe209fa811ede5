"""Broken feeds become well-formed, and what is refused stays refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import FetchError
from harvester.sources.xml_guard import IllFormedXmlError, parse_xml
from harvester.sources.xml_repair import repaired

NAMESPACES = {"dc": "http://purl.org/dc/elements/1.1/"}


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("<a>Q & A</a>", "<a>Q &amp; A</a>"),
        ("<a>&nbsp;&copy;&bogus;&#233;&#0;&#xFFFF;</a>", "<a>\u00a0©&amp;bogus;&#233;</a>"),
        ("<a>1 < 2 <3 <</a>", "<a>1 &lt; 2 &lt;3 &lt;</a>"),
        ("<a><b>x</a>", "<a><b>x</b></a>"),
        ("<a>x</b></a>", "<a>x</a>"),
        ("<a><B>x</b></a>", "<a><B>x</B></a>"),
        ("<a><b>x", "<a><b>x</b></a>"),
        ("<a>x<br>y<hr/>z</a>", "<a>x<br></br>y<hr></hr>z</a>"),
        ("<a><p>x<p>y</a>", "<a><p>x</p><p>y</p></a>"),
        ("<a><item><t>1<item><t>2</a>", "<a><item><t>1</t></item><item><t>2</t></item></a>"),
        ("<a x=1 x='2' y=\"&z\">t</a>", '<a x="1" y="&amp;z">t</a>'),
        ("<a>\x01\x0bx\ufffe</a>", "<a>x</a>"),
        ("<a><![CDATA[<b> & c]]></a>", "<a>&lt;b&gt; &amp; c</a>"),
        ("<a><![CDATA[open", "<a>open</a>"),
        ("<a>x<!-- y --><?z?></a>", "<a>x</a>"),
        ("<a>]]></a>", "<a>]]&gt;</a>"),
        ("<a/>junk<b/>", "<a></a>"),
        ("junk<a>x</a>", "<a>x</a>"),
        ("<a><dc:b>x</dc:b></a>", '<a xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:b>x</dc:b></a>'),
        ("<a><q:b/></a>", '<a xmlns:q="urn:undeclared:q"><q:b></q:b></a>'),
        ('<a xmlns:q="u"><q:b q:c="d"/></a>', '<a xmlns:q="u"><q:b q:c="d"></q:b></a>'),
        ("no element at all", ""),
    ],
)
def test_what_is_broken_is_mended(broken: str, expected: str) -> None:
    assert repaired(broken, NAMESPACES) == expected


@pytest.mark.parametrize("hostile", ["<a><!DOCTYPE b [<!ENTITY c 'd'>]></a>", "<a><!entity c 'd'></a>", "<a>" * 65])
def test_what_is_refused_stays_refused(hostile: str) -> None:
    with pytest.raises(FetchError, match="refused"):
        repaired(hostile, NAMESPACES)


_PIECES = st.sampled_from(
    (
        "<", ">", "</", "/>", "a", "b", "item", "p", "br", "dc:x", "q:y", "xmlns:q", "xmlns", "=", '"', "'", " ", "&",
        ";", "amp", "nbsp", "#", "65", "<![CDATA[", "]]>", "<!--", "-->", "<?", "?>", "text", "\x00", "\x0c", "é",
        "xml:base", ":",
    )
)  # fmt: skip


@given(st.lists(_PIECES, max_size=40).map("".join))
def test_whatever_is_repaired_is_well_formed(broken: str) -> None:
    mended = repaired(f"<a>{broken}", NAMESPACES)
    try:
        parse_xml(mended)
    except IllFormedXmlError as error:
        raise AssertionError(f"{mended!r}: {error}") from error
