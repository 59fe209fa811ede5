"""What is a feed is read even if broken; what is none is called what it is; what is hostile is refused."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import FetchError, FetchFailure
from harvester.sources.feed.entry import FeedEntry
from harvester.sources.feed.parsing import parse

URL = "https://blog.example/feeds/all.xml"
RSS = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>Blog</title>
<item><title>One</title><link>https://blog.example/1</link><description>&lt;p&gt;First&lt;/p&gt;</description></item>
<item><title>Two</title><link>https://blog.example/2</link><dc:creator>Ann</dc:creator></item>
</channel></rss>"""


def entries(body: str | bytes, content_type: str = "text/xml", url: str = URL) -> tuple[FeedEntry, ...]:
    content = body.encode() if isinstance(body, str) else body
    return parse(content, content_type=content_type, url=url).entries


def failure(body: str | bytes, content_type: str = "text/html") -> FetchError:
    with pytest.raises(FetchError) as caught:
        entries(body, content_type)
    return caught.value


def titles(body: str | bytes) -> list[str]:
    return [entry.title for entry in entries(body)]


# --- no feed -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page",
    [
        "<!DOCTYPE html><html><head><title>x</title></head></html>",
        "\ufeff \n<!-- comment --> <!doctype HTML PUBLIC '-//W3C//DTD XHTML 1.0//EN' 'x'><html/>",
        "<html><body>&nbsp;<br></html>",
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body/></html>',
        '<?xml version="1.0"?><x:html xmlns:x="http://www.w3.org/1999/xhtml"/>',
    ],
)
def test_an_html_page_is_told_from_a_feed(page: str) -> None:
    error = failure(page)
    assert error.reason == FetchFailure.NOT_A_FEED
    assert error.permanent
    assert error.detail.startswith("This is an HTML page, not a feed. ")


@pytest.mark.parametrize(
    "link",
    [
        '<link rel="alternate" type="application/rss+xml" title="RSS" href="/feed?a=1&amp;b=2">',
        "<LINK HREF='https://blog.example/feed?a=1&amp;b=2' TYPE=application/atom+xml REL='alternate home'/>",
    ],
)
def test_the_feed_that_a_page_names_is_passed_on(link: str) -> None:
    other = '<link rel="stylesheet" href="/x.css"><link rel="alternate" hreflang="de" href="/de">'
    error = failure(f"<!DOCTYPE html><head>{other}{link}</head>")
    assert (
        error.detail == "This is an HTML page, not a feed. The page names its feed: https://blog.example/feed?a=1&b=2"
    )


def test_a_page_cannot_name_what_is_no_web_address() -> None:
    link = '<link rel="alternate" type="application/rss+xml" href="javascript:alert(1)">'
    assert "javascript" not in failure(f"<html>{link}</html>").detail


def test_other_xml_is_named_by_its_root() -> None:
    error = failure("<note><to>Ann</to></note>", "text/xml")
    assert (error.reason, error.permanent) == (FetchFailure.NOT_A_FEED, True)
    assert error.detail == "This is XML, but no feed: its root element is <note>, not <rss>, <feed> or <rdf:RDF>."


@pytest.mark.parametrize(
    "body", ["just text", "GIF89a", "{{template}} x", "[1]", '{"items": []}', '{"version": 1}', "nul"]
)
def test_anything_else_is_no_feed_either(body: str) -> None:
    assert failure(body).reason in (FetchFailure.NOT_A_FEED, FetchFailure.MALFORMED)


@pytest.mark.parametrize(
    "body", ["", " \n ", "\ufeff", "<rss", "<", "{", '{"version": "https://jsonfeed.org/version/1"']
)
def test_what_was_cut_off_is_malformed_and_may_come_whole_next_time(body: str) -> None:
    error = failure(body)
    assert error.reason == FetchFailure.MALFORMED
    assert not error.permanent


# --- hostile -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "<!DOCTYPE rss [<!ENTITY a 'b'>]><rss><channel><item><title>&a;</title></item></channel></rss>",
        "<!DOCTYPE rss SYSTEM 'x' [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><rss/>",
        "<!DOCTYPE rss [<!ENTITY a 'b'>]><rss><channel><item><title>&a; & ill-formed</channel></rss>",
        "<rss><!DOCTYPE rss [<!ENTITY a 'b'>]><channel><title>&a;</channel></rss>",
        "<rss><channel>" + "<b>" * 200 + "</channel></rss>",
        "<rss><channel>" + "<b>" * 200 + "&</channel></rss>",
    ],
)
def test_hostile_xml_is_refused_ill_formed_or_not(body: str) -> None:
    error = failure(body, "text/xml")
    assert error.reason == FetchFailure.MALFORMED
    assert "refused" in error.detail


@pytest.mark.parametrize(
    "body",
    [
        b"<rss><channel><item><title>x</title><author>" + b"a" * 500_000 + b"</author></item></channel></rss>",
        b"<?xml version='1.0'?>" + b"\n" * 500_000 + b"<rss><channel/></rss>",
        b"<!DOCTYPE rss " + b'"x" ' * 100_000 + b"><rss><channel/></rss>",
        b"<rss><channel>" + b'<a b="x' * 50_000 + b"</channel></rss>",
        b"<rss><channel>" + b"<" * 500_000 + b"</channel></rss>",
        b"<rss><channel>" + b"&a" * 200_000 + b"</channel></rss>",
        b"<html>" + b"<link " * 80_000,
        b"<rss><channel><item>" + b"<category>%d</category>" * 20_000 + b"</item></channel></rss>",
    ],
)
def test_hostile_feeds_take_time_in_proportion_to_their_length(body: bytes) -> None:
    started = time.perf_counter()
    with contextlib.suppress(FetchError):
        parse(body, content_type="", url=URL)
    assert time.perf_counter() - started < 5  # what is quadratic takes minutes


# --- tolerance -----------------------------------------------------------------------------------------------------


def test_a_doctype_that_only_names_a_dtd_is_dropped() -> None:
    doctype = '<!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN" "http://my.example/rss-0.91.dtd">'
    assert titles(RSS.replace("<rss", f"{doctype}\n<rss", 1)) == ["One", "Two"]


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (RSS.replace("One", "Q & A &mdash; 1 < 2"), ["Q & A — 1 < 2", "Two"]),
        (RSS.replace("</title><link>https://blog.example/1", "<link>https://blog.example/1"), ["One", "Two"]),
        (RSS.replace("</item>", ""), ["One", "Two"]),
        (RSS.replace("</channel></rss>", ""), ["One", "Two"]),
        (RSS.replace(' xmlns:dc="http://purl.org/dc/elements/1.1/"', ""), ["One", "Two"]),
        (RSS.replace("One", "O\x0bne\x00"), ["One", "Two"]),
        (RSS.replace("&lt;p&gt;First&lt;/p&gt;", "<p>First<br>line<img src=x>"), ["One", "Two"]),
        ("\n\nWarning: something in x.php on line 3\n" + RSS, ["One", "Two"]),
        (RSS.replace('encoding="utf-8"', 'encoding="nonsense"'), ["One", "Two"]),
        (RSS + "<!-- served from a cache -->\n<script>x</script>", ["One", "Two"]),
    ],
)
def test_an_ill_formed_feed_is_read_all_the_same(broken: str, expected: list[str]) -> None:
    assert titles(broken) == expected


def test_the_creator_survives_an_undeclared_prefix() -> None:
    broken = RSS.replace(' xmlns:dc="http://purl.org/dc/elements/1.1/"', "")
    assert [author.name for author in entries(broken)[1].authors] == ["Ann"]


def test_unescaped_markup_is_read_as_text() -> None:
    broken = RSS.replace("&lt;p&gt;First&lt;/p&gt;", "<p>First<br>line")
    assert entries(broken)[0].text == "First\nline"


@given(st.binary(max_size=300))
def test_random_bytes_give_a_feed_or_an_error_of_ours(body: bytes) -> None:
    with contextlib.suppress(FetchError):
        parse(body, content_type="text/xml", url=URL)


@given(st.lists(st.tuples(st.integers(0, len(RSS)), st.sampled_from(
    ("<", ">", "&", "</item>", "<item>", "<!--", "<![CDATA[", "]]>", '"', "\x00", "é", "<link/>", "<author>", "&#9;")
)), min_size=1, max_size=6), st.integers(0, 30))  # fmt: skip
def test_mutated_feeds_give_a_feed_or_an_error_of_ours(insertions: list[tuple[int, str]], dropped: int) -> None:
    body = RSS
    for position, piece in insertions:
        body = body[:position] + piece + body[position + dropped :]
    with contextlib.suppress(FetchError):
        parse(body.encode(), content_type="text/xml", url=URL)
