"""RSS, RDF and Atom are read into the same entries."""

from __future__ import annotations

import json

import pytest

from harvester.sources.base import Author
from harvester.sources.feed.entry import FeedEntry
from harvester.sources.feed.parsing import parse

URL = "https://blog.example/feeds/all.xml"
NAMESPACES = (
    'xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:slash="http://purl.org/rss/1.0/modules/slash/" xmlns:thr="http://purl.org/syndication/thread/1.0" '
    'xmlns:prism="http://prismstandard.org/namespaces/basic/2.0/" xmlns:media="http://search.yahoo.com/mrss/" '
    'xmlns:feedburner="http://rssnamespace.org/feedburner/ext/1.0" '
    'xmlns:sy="http://purl.org/rss/1.0/modules/syndication/"'
)


def one(body: str) -> FeedEntry:
    (entry,) = parse(body.encode(), content_type="", url=URL).entries
    return entry


def rss(item: str, head: str = "") -> str:
    return f'<rss version="2.0" {NAMESPACES}><channel><title>Blog</title>{head}<item>{item}</item></channel></rss>'


def atom(entry: str, head: str = "") -> str:
    return f'<feed xmlns="http://www.w3.org/2005/Atom" {NAMESPACES}>{head}<entry>{entry}</entry></feed>'


# --- formats -------------------------------------------------------------------------------------------------------


def test_an_rss_entry_is_read() -> None:
    entry = one(
        rss(
            """<title>Hello &amp;amp; welcome</title><link>/posts/1</link><guid isPermaLink="false">tag:1</guid>
            <pubDate>Mon, 06 May 2024 07:08:09 GMT</pubDate><category>A</category><category>B</category>
            <category>A</category>
            <author>ann@blog.example (Ann Lee)</author><description>&lt;p&gt;Short&lt;/p&gt;</description>
            <content:encoded><![CDATA[<p>Long &amp; full</p>]]></content:encoded><slash:comments>7</slash:comments>"""
        )
    )
    assert entry.id == "tag:1"
    assert entry.link == "https://blog.example/posts/1"
    assert entry.title == "Hello & welcome"
    assert entry.text == "Long & full"
    assert entry.published == ("Mon, 06 May 2024 07:08:09 GMT",)
    assert entry.authors == (Author("Ann Lee"),)
    assert entry.categories == ("A", "B")
    assert entry.comments == 7
    assert entry.raw["title"] == "Hello &amp; welcome"
    assert json.loads(json.dumps(entry.raw)) == entry.raw


def test_an_atom_entry_is_read() -> None:
    entry = one(
        atom(
            """<id>urn:1</id><title type="html">&lt;b&gt;Bold&lt;/b&gt; claim</title>
            <link rel="edit" href="https://blog.example/edit"/>
            <link rel="alternate" type="application/pdf" href="/1.pdf"/>
            <link href="/posts/1"/><published>2024-05-06T07:08:09Z</published><updated>2024-05-07T07:08:09Z</updated>
            <author><name>Ann Lee</name><email>ann@blog.example</email></author><author><name>Bo Chen</name></author>
            <category term="a" label="Letter A"/><category term="b"/><summary>Short</summary>
            <content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>One &amp; <em>two</em></p><p>Three</p>
            </div></content>
            <thr:total>3</thr:total>"""
        )
    )
    assert (entry.id, entry.link, entry.title) == ("urn:1", "https://blog.example/posts/1", "Bold claim")
    assert entry.text == "One & two\n\nThree"
    assert entry.published == ("2024-05-06T07:08:09Z", "2024-05-07T07:08:09Z")
    assert entry.updated == "2024-05-07T07:08:09Z"
    assert entry.authors == (Author("Ann Lee"), Author("Bo Chen"))
    assert entry.categories == ("Letter A", "b")
    assert entry.comments == 3


@pytest.mark.parametrize(
    "body",
    [
        "<feed><entry><title>Café</title></entry></feed>",
        """<feed version="0.3" xmlns="http://purl.org/atom/ns#">
        <entry><title mode="escaped">Caf&amp;eacute;</title></entry></feed>""",
        "<rss version='0.91'><channel><item><title>Café</title></item></channel></rss>",
        "<RSS><Channel><Item><Title>Café</Title></Item></Channel></RSS>",
        '<rss xmlns="http://backend.userland.com/rss2"><channel><item><title>Café</title></item></channel></rss>',
        """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/">
        <channel><title>x</title></channel><item rdf:about="https://blog.example/1"><title>Café</title></item></rdf:RDF>""",
        """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://my.netscape.com/rdf/simple/0.9/">
        <channel><title>x</title></channel><item><title>Café</title></item></rdf:RDF>""",
    ],
)
def test_every_format_is_read(body: str) -> None:
    assert one(body).title == "Café"


def test_an_rdf_item_is_known_by_what_it_is_about() -> None:
    body = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
      xmlns:dc="http://purl.org/dc/elements/1.1/"><item rdf:about="https://blog.example/1"><title>x</title>
      <link>https://blog.example/1?x=1</link><dc:date>2024-05-06</dc:date><dc:creator>Ann</dc:creator>
      <dc:subject>A</dc:subject></item></rdf:RDF>"""
    entry = one(body)
    assert (entry.id, entry.link) == ("https://blog.example/1", "https://blog.example/1?x=1")
    assert (entry.published, entry.authors, entry.categories) == (("2024-05-06",), (Author("Ann"),), ("A",))


def test_elements_of_other_namespaces_are_not_mistaken() -> None:
    entry = one(
        rss(
            "<title>Right</title><media:title>Wrong</media:title><media:thumbnail url='x'/>"
            "<x:link xmlns:x='urn:x'>https://wrong.example/</x:link><link>https://blog.example/1</link>"
        )
    )
    assert (entry.title, entry.link) == ("Right", "https://blog.example/1")


def test_items_of_a_module_are_no_entries() -> None:
    image = '<image:item xmlns:image="http://purl.org/rss/1.0/modules/image/"><title>No</title></image:item>'
    assert one(rss("<title>Yes</title>", head=image)).title == "Yes"


# --- text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("<title>Vec&lt;T&gt; &amp;lt; x</title>", "Vec<T> &lt; x"),
        ('<title type="text">&lt;b&gt; is bold&lt;/b&gt;</title>', "<b> is bold</b>"),
        ('<title type="html">&amp;lt;b&amp;gt;</title>', "<b>"),
        ("<title>&lt;i&gt;forgot&lt;/i&gt; to say html</title>", "forgot to say html"),
        ("<title>two\n   lines</title>", "two lines"),
    ],
)
def test_atom_says_what_its_text_is(title: str, expected: str) -> None:
    assert one(atom(title)).title == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('<content type="text/plain">a &lt;b&gt;</content>', "a <b>"),
        ('<content type="image/png">aGk=</content><summary>s</summary>', "s"),
        ('<content type="html" src="https://x.example/"/><summary type="html">&lt;p&gt;s</summary>', "s"),
        ("<media:group><media:description>of a video</media:description></media:group>", "of a video"),
        ("", ""),
    ],
)
def test_the_fullest_text_is_taken(content: str, expected: str) -> None:
    assert one(atom(f"<title>x</title>{content}")).text == expected


# --- links ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("<link>https://x.example/1</link>", "https://x.example/1"),
        ("<link> ../1 </link>", "https://blog.example/1"),
        ("<guid>https://x.example/1</guid><link></link>", "https://x.example/1"),
        ('<guid isPermaLink="false">https://x.example/1</guid>', ""),
        ("<guid>12</guid>", ""),
        ("<link>javascript:alert(1)</link>", ""),
        ("<link>ftp://x.example/1</link>", ""),
        ("<link>http://[broken</link>", ""),
        (
            "<feedburner:origLink>https://x.example/o</feedburner:origLink><link>https://r.example/1</link>",
            "https://x.example/o",
        ),
        ('<link href="https://x.example/1"/>', "https://x.example/1"),
    ],
)
def test_a_link_is_absolute_and_of_the_web(item: str, expected: str) -> None:
    assert one(rss(f"<title>x</title>{item}")).link == expected


def test_xml_base_is_where_relative_links_start() -> None:
    body = atom('<title>x</title><link href="1"/>', head="").replace(
        "<feed ", '<feed xml:base="https://other.example/a/" '
    )
    assert one(body).link == "https://other.example/a/1"
    assert one(body.replace("<entry>", '<entry xml:base="b/">')).link == "https://other.example/a/b/1"


# --- people, numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        ("<author>ann@x.example (Ann Lee)</author>", ("Ann Lee",)),
        ("<author>Ann Lee &lt;ann@x.example&gt;</author>", ("Ann Lee",)),
        ("<author>ann@x.example</author>", ("ann@x.example",)),
        ("<dc:creator>Ann</dc:creator><dc:creator>Bo</dc:creator><dc:creator>Ann</dc:creator>", ("Ann", "Bo")),
        ("<author> </author>", ()),
    ],
)
def test_authors_are_names(author: str, expected: tuple[str, ...]) -> None:
    assert tuple(one.name for one in one(rss(f"<title>x</title>{author}")).authors) == expected


def test_an_atom_entry_without_author_has_its_sources_or_the_feeds() -> None:
    head = "<author><name>Editor</name></author>"
    assert one(atom("<title>x</title>", head)).authors == (Author("Editor"),)
    source = "<source><author><name>Elsewhere</name></author></source>"
    assert one(atom(f"<title>x</title>{source}", head)).authors == (Author("Elsewhere"),)
    assert one(rss("<title>x</title>", "<managingEditor>Editor</managingEditor>")).authors == ()


@pytest.mark.parametrize("comments", ["", "-1", "many", "1e3", "9" * 30, "٣"])
def test_what_is_no_count_is_none(comments: str) -> None:
    assert one(rss(f"<title>x</title><slash:comments>{comments}</slash:comments>")).comments is None


@pytest.mark.parametrize(
    ("head", "seconds"),
    [
        ("", 0),
        ("<ttl>60</ttl>", 3600),
        ("<ttl>soon</ttl>", 0),
        ("<ttl>999999</ttl>", 86_400),
        ("<sy:updatePeriod>hourly</sy:updatePeriod>", 3600),
        ("<sy:updatePeriod> daily </sy:updatePeriod><sy:updateFrequency>4</sy:updateFrequency>", 21_600),
        ("<sy:updatePeriod>hourly</sy:updatePeriod><sy:updateFrequency>0</sy:updateFrequency>", 3600),
        ("<sy:updatePeriod>yearly</sy:updatePeriod>", 86_400),
    ],
)
def test_a_feed_may_ask_to_be_left_alone_for_up_to_a_day(head: str, seconds: int) -> None:
    assert parse(rss("", head).encode(), content_type="", url=URL).min_interval_seconds == seconds


def test_texts_that_may_be_identifiers_are_collected() -> None:
    entry = one(
        rss(
            "<title>x</title><guid>g</guid><dc:identifier>doi:10.1000/a</dc:identifier><prism:doi>10.1000/b</prism:doi>"
        )
    )
    assert entry.stated_ids == ("10.1000/b", "doi:10.1000/a", "g")
