"""A feed is fetched politely, in pages, and says what is wrong with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from harvester.clients.http import Reply
from harvester.errors import FetchError, FetchFailure, SourceConfigError
from harvester.models import ArtifactKind, Source
from harvester.sources import feed
from harvester.sources.base import Page
from tests.fakes import FakeWeb, web_of

URL = "https://blog.example/feed.xml"
VALIDATORS = {"etag": 'W/"abc"', "last-modified": "Mon, 06 May 2024 07:08:09 GMT"}


def rss(*numbers: int, head: str = "") -> str:
    entries = "".join(
        f"<item><title>Post {n}</title><guid>{n}</guid><pubDate>{n:02} May 2024 00:00:00 GMT</pubDate></item>"
        if n < 29
        else f"<item><title>Post {n}</title><guid>{n}</guid></item>"
        for n in numbers
    )
    return f'<rss version="2.0"><channel><title>Blog</title>{head}{entries}</channel></rss>'


def source_of(url: str = URL, **fields: str) -> Source:
    return Source(kind="feed", url=url, cursor={"kept": 1}, **fields)


def pages_of(
    web: FakeWeb, source: Source | None = None, *, since: datetime | None = None, limit: int | None = None
) -> list[Page]:
    return list(feed.fetch(source or source_of(), web, since=since, limit=limit))


def titles(pages: list[Page]) -> list[str]:
    return [item.title for page in pages for item in page.items]


def test_a_feed_is_one_page_with_its_validators() -> None:
    (page,) = pages_of(web_of(rss(1, 2, head="<ttl>30</ttl>"), headers=VALIDATORS))
    assert [item.title for item in page.items] == ["Post 1", "Post 2"]
    assert (page.etag, page.last_modified) == (VALIDATORS["etag"], VALIDATORS["last-modified"])
    assert page.cursor == {"kept": 1}
    assert page.min_interval_seconds == 1800
    assert not page.not_modified


DRIVERS = "\\u001b]0;PWNED\\u0007\\u001b[31mred\\u009b"  # as JSON writes them
HOSTILE_FEEDS = {
    "json": """{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "@", "title": "@", "content_text": "@",
    "url": "https://a@.example/@", "author": {"name": "@"}, "tags": ["@"], "date_published": "@", "@": {"@": "@"}}]}""",
    "text in json": """{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "10.1000/@", "title": "",
    "content_html": "<p>@</p>"}]}""",
    "xml": """<rss><channel><item><title>@</title><guid>10.1000/@</guid><author>@</author><category>@</category>
    <link>https://a.example/@</link><description>@ &amp;#x9b;</description><x y="@">@</x></item></channel></rss>""",
    "unclosed xml": "<rss><channel><item><title>@</title><guid>@</guid><x y='@'>@",
}


@pytest.mark.parametrize("document", HOSTILE_FEEDS.values(), ids=HOSTILE_FEEDS)
def test_no_ascii_control_comes_out_of_a_feed(document: str) -> None:
    drivers = DRIVERS if document.startswith("{") else json.loads(f'"{DRIVERS}"')
    (page,) = pages_of(web_of(document.replace("@", drivers)))
    assert len(page.items) == 1
    assert "\\x1b" not in repr(page.items[0])  # where Python shows what cannot be printed
    assert "\\x07" not in repr(page.items[0])


def test_an_empty_feed_is_no_failure() -> None:
    (page,) = pages_of(web_of(rss(), headers=VALIDATORS))
    assert page.items == ()
    assert page.etag == VALIDATORS["etag"]


def test_a_large_feed_comes_in_pages_and_the_validators_with_the_last() -> None:
    pages = pages_of(web_of(rss(*range(29, 29 + 450)), headers=VALIDATORS))
    assert [len(page.items) for page in pages] == [200, 200, 50]
    assert [page.etag for page in pages] == ["", "", VALIDATORS["etag"]]
    assert [len(page.items) for page in pages_of(web_of(rss(*range(29, 29 + 400))))] == [200, 200]


def test_what_was_read_before_is_asked_for_only_if_it_changed() -> None:
    web = web_of("", status=304)
    (page,) = pages_of(web, source_of(etag='W/"abc"', last_modified="Mon, 06 May 2024 07:08:09 GMT"))
    assert page.not_modified
    assert page.cursor == {"kept": 1}
    headers = web.asked[0][1]
    assert headers["If-None-Match"] == 'W/"abc"'
    assert headers["If-Modified-Since"] == "Mon, 06 May 2024 07:08:09 GMT"


def test_without_validators_no_condition_is_sent_and_a_304_is_a_failure() -> None:
    web = web_of("", status=304)
    with pytest.raises(FetchError) as caught:
        pages_of(web)
    assert caught.value.status == 304
    assert not {"If-None-Match", "If-Modified-Since"} & web.asked[0][1].keys()


@pytest.mark.parametrize("etag", ["x" * 600, "\x80", " "])
def test_validators_that_could_not_be_sent_back_are_not_kept(etag: str) -> None:
    (page,) = pages_of(web_of(rss(1), headers={"etag": etag}))
    assert page.etag == ""


@pytest.mark.parametrize(("status", "permanent"), [(410, True), (404, False), (403, False), (429, False), (500, False)])
def test_only_gone_is_gone_for_good(status: int, permanent: bool) -> None:
    with pytest.raises(FetchError) as caught:
        pages_of(web_of("<html/>", status=status, headers={"retry-after": "60"}))
    error = caught.value
    assert (error.reason, error.status, error.permanent) == (FetchFailure.HTTP_STATUS, status, permanent)
    assert error.retry_after_seconds == 60
    assert str(status) in error.detail


def test_limit_and_since_leave_out_entries_and_then_the_validators() -> None:
    web = web_of(rss(1, 2, 3, 40), headers=VALIDATORS)
    assert titles(pages_of(web, limit=2)) == ["Post 1", "Post 2"]
    assert titles(pages_of(web, limit=0)) == []
    since = datetime(2024, 5, 2, tzinfo=UTC)
    assert titles(pages_of(web, since=since)) == ["Post 2", "Post 3", "Post 40"]
    for cut in (pages_of(web, limit=2), pages_of(web, since=since)):
        assert (cut[-1].etag, cut[-1].last_modified) == ("", "")
    assert pages_of(web, limit=4)[-1].etag == VALIDATORS["etag"]


def test_the_charset_of_the_header_is_heeded() -> None:
    body = rss(1).replace("Post 1", "Привет").encode("koi8-r")
    assert titles(pages_of(web_of(body, headers={"content-type": "text/xml; charset=koi8-r"}))) == ["Привет"]


def test_relative_links_start_where_the_redirects_ended() -> None:
    body = rss(1).replace("<guid>1</guid>", "<link>post</link>")
    web = FakeWeb(lambda _: Reply("https://moved.example/a/feed.xml", 200, {}, body.encode()))
    assert pages_of(web)[0].items[0].url == "https://moved.example/a/post"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://github.com/a/b/releases.atom", ArtifactKind.RELEASE),
        ("https://github.com/a/b/tags.atom?token=1", ArtifactKind.RELEASE),
        ("https://github.com/a/b/commits/main.atom", ArtifactKind.ARTICLE),
        (URL, ArtifactKind.ARTICLE),
    ],
)
def test_lists_of_releases_give_releases(url: str, kind: ArtifactKind) -> None:
    assert pages_of(web_of(rss(1)), source_of(url))[0].items[0].kind == kind


def test_a_new_build_date_changes_no_entry() -> None:
    before = pages_of(web_of(rss(1, head="<lastBuildDate>Mon, 06 May 2024 00:00:00 GMT</lastBuildDate>")))
    after = pages_of(web_of(rss(1, head="<lastBuildDate>Tue, 07 May 2024 00:00:00 GMT</lastBuildDate>")))
    assert before == after


@pytest.mark.parametrize(
    ("url", "query", "field"),
    [
        ("", "", "url"),
        ("blog.example/feed", "", "url"),
        ("ftp://blog.example/feed", "", "url"),
        ("https://", "", "url"),
        ("http://[::1", "", "url"),
        (URL, "cat:cs.LG", "query"),
    ],
)
def test_what_can_never_work_is_named(url: str, query: str, field: str) -> None:
    with pytest.raises(SourceConfigError) as caught:
        feed.validate(url, query)
    assert caught.value.field == field


def test_a_web_address_is_enough() -> None:
    feed.validate(URL, "")
