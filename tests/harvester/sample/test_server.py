"""The sample world's server, read with parsers that are not ours: paging, validators, refusals."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, fromstring

import pytest

from harvester.clients.http import Reply
from harvester.sample.outlets import ANNALS, ARXIV, ENGRAM, HELIX, JUNCTION, LAB_NORD, QUBIT_NOTES, SOURCES, Outlet
from harvester.sample.server import answer
from harvester.sample.world import build
from tests.harvester.sample.test_world import ANCHOR

ATOM = "{http://www.w3.org/2005/Atom}"
ARXIV_NS = "{http://arxiv.org/schemas/atom}"
OPENSEARCH = "{http://a9.com/-/spec/opensearch/1.1/}"
RSS_1 = "{http://purl.org/rss/1.0/}"
DC = "{http://purl.org/dc/elements/1.1/}"
PRISM = "{http://prismstandard.org/namespaces/basic/2.0/}"
SLASH = "{http://purl.org/rss/1.0/modules/slash/}"
CONTENT = "{http://purl.org/rss/1.0/modules/content/}"
THREAD = "{http://purl.org/syndication/thread/1.0}"

FEEDS = tuple(source.outlet for source in SOURCES if source.outlet is not ARXIV)


def get(outlet: Outlet, **headers: str) -> Reply:
    return answer(outlet.address(ANCHOR), {name.replace("_", "-"): value for name, value in headers.items()})


def query(**parameters: object) -> Reply:
    return answer(f"{ARXIV.address(ANCHOR)}?{urlencode(parameters)}", {})


def xml(reply: Reply) -> Element:
    return fromstring(reply.body)  # noqa: S314 - our own document


def ids(reply: Reply) -> list[str]:
    return [entry.findtext(f"{ATOM}id", "").rpartition("/")[2] for entry in xml(reply).iter(f"{ATOM}entry")]


def number(reply: Reply, name: str) -> int:
    return int(xml(reply).findtext(f"{OPENSEARCH}{name}", ""))


# --- arXiv ---------------------------------------------------------------------------------------------------------


def test_pages_are_disjoint_and_complete() -> None:
    pages = [query(search_query="cat:quant-ph", start=start, max_results=7) for start in range(0, 35, 7)]
    found = [one for page in pages for one in ids(page)]

    assert [len(ids(page)) for page in pages] == [7, 7, 7, 2, 0]
    assert len(set(found)) == len(found) == number(pages[0], "totalResults") == 23
    assert [number(page, "startIndex") for page in pages] == [0, 7, 14, 21, 28]
    assert found == ids(query(search_query="cat:quant-ph", max_results=100))


@pytest.mark.parametrize("source", [source for source in SOURCES if source.outlet is ARXIV], ids=lambda one: one.query)
def test_a_source_of_papers_finds_what_the_world_says(source: object) -> None:
    assert source in SOURCES
    wanted = next(one for one in SOURCES if one is source)
    reply = query(search_query=wanted.query, max_results=100)

    assert [one.partition("v")[0] for one in ids(reply)] == [entry.guid for entry in build(ANCHOR).seen_by(wanted)]


def test_papers_come_newest_first_by_submission_and_by_change_if_asked() -> None:
    def moments(reply: Reply, name: str) -> list[str]:
        return [entry.findtext(f"{ATOM}{name}", "") for entry in xml(reply).iter(f"{ATOM}entry")]

    submitted = moments(query(search_query="all:the", max_results=100, sortBy="submittedDate"), "published")
    changed = moments(query(search_query="all:the", max_results=100, sortBy="lastUpdatedDate"), "updated")
    oldest = query(search_query="all:the", max_results=100, sortBy="submittedDate", sortOrder="ascending")
    assert submitted == sorted(submitted, reverse=True)
    assert changed == sorted(changed, reverse=True)
    assert moments(oldest, "published") == submitted[::-1]
    assert moments(query(search_query="all:the", max_results=100), "published") == submitted


def test_an_entry_has_what_arxiv_states() -> None:
    paper = build(ANCHOR).works["photonic-neuromorphic-02"]
    entry = xml(query(id_list=paper.arxiv_id)).find(f"{ATOM}entry")

    assert entry is not None
    assert entry.findtext(f"{ATOM}id") == f"http://arxiv.org/abs/{paper.arxiv_id}v{len(paper.versions)}"
    assert entry.findtext(f"{ATOM}title") == paper.title
    assert entry.findtext(f"{ATOM}summary") == paper.paragraphs[0]
    assert entry.findtext(f"{ARXIV_NS}doi") == paper.doi
    assert entry.findtext(f"{ARXIV_NS}journal_ref") == paper.journal
    assert [author.findtext(f"{ATOM}name") for author in entry.iter(f"{ATOM}author")] == [
        credit.written for credit in paper.credits
    ]
    assert {link.get("title"): link.get("href") for link in entry.iter(f"{ATOM}link")} == {
        None: f"https://arxiv.org/abs/{paper.arxiv_id}v1",
        "pdf": f"https://arxiv.org/pdf/{paper.arxiv_id}v1",
        "doi": f"https://doi.org/{paper.doi}",
    }


def test_ids_are_looked_up_with_and_without_version() -> None:
    papers = [entry.work for entry in build(ANCHOR).at(ARXIV)]
    revised = next(paper for paper in papers if len(paper.versions) == 3)

    assert ids(query(id_list=revised.arxiv_id)) == [f"{revised.arxiv_id}v3"]
    assert ids(query(id_list=f"{revised.arxiv_id}v1")) == [f"{revised.arxiv_id}v1"]
    assert ids(query(id_list=f"{revised.arxiv_id}v4")) == []
    assert ids(query(id_list="0000.0000,astro-ph/0601001")) == []
    assert ids(query(id_list=revised.arxiv_id, search_query="cat:no.such")) == []


def test_words_fields_and_operators_narrow_a_search() -> None:
    def total(text: str) -> int:
        return number(query(search_query=text), "totalResults")

    assert total("ti:engram") == 1
    assert total("au:aakvold AND cat:quant-ph") < total("au:aakvold")
    assert total("cat:cs.AI ANDNOT cat:cs.CL") == total("cat:cs.AI") - total("cat:cs.AI AND cat:cs.CL")
    assert total('all:"memory poisoning"') == total('abs:"memory poisoning"') > 0
    assert total("engram") >= total("ti:engram")
    assert total("nosuchfield:engram") == total("") == 0


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"id_list": "abc"}, "incorrect id format for abc"),
        ({"search_query": "cat:cs.AI", "start": "many"}, "start must be an integer"),
        ({"search_query": "cat:cs.AI", "start": "-1"}, "start must be non-negative"),
        ({"search_query": "cat:cs.AI", "max_results": "-5"}, "max_results must be non-negative"),
    ],
)
def test_what_arxiv_refuses_is_an_entry_called_error_with_status_400(parameters: dict[str, str], sentence: str) -> None:
    reply = query(**parameters)
    entry = xml(reply).find(f"{ATOM}entry")

    assert reply.status == 400
    assert entry is not None
    assert entry.findtext(f"{ATOM}title") == "Error"
    assert entry.findtext(f"{ATOM}summary") == sentence
    assert entry.findtext(f"{ATOM}id", "").startswith("https://arxiv.org/api/errors#")


# --- feeds ---------------------------------------------------------------------------------------------------------


def test_rss_has_full_text_comments_and_dates() -> None:
    items = list(xml(get(LAB_NORD)).iter("item"))
    entries = build(ANCHOR).at(LAB_NORD)

    assert [item.findtext("title") for item in items] == [entry.title for entry in entries]
    assert [parsedate_to_datetime(item.findtext("pubDate", "")) for item in items] == [
        entry.published for entry in entries
    ]
    assert [item.findtext(f"{SLASH}comments") for item in items] == [
        None if entry.comments is None else str(entry.comments) for entry in entries
    ]
    assert all(item.findtext(f"{CONTENT}encoded", "").startswith("<p>") for item in items)


def test_a_newsletter_links_with_tracking_and_has_ids_of_its_own() -> None:
    tracked = [item for item in xml(get(JUNCTION)).iter("item") if "utm_source" in item.findtext("link", "")]

    assert len(tracked) == 5
    for item in tracked:
        guid = item.find("guid")
        assert guid is not None
        assert guid.get("isPermaLink") == "false"
        assert (guid.text or "").startswith("https://junction.sample.invalid/")


def test_atom_of_a_blog_counts_comments_and_that_of_releases_knows_updates_only() -> None:
    posts = list(xml(get(QUBIT_NOTES)).iter(f"{ATOM}entry"))
    releases = list(xml(get(ENGRAM)).iter(f"{ATOM}entry"))

    assert [post.findtext(f"{THREAD}total") for post in posts].count(None) == 1
    assert all(post.findtext(f"{ATOM}published") for post in posts)
    assert not any(release.findtext(f"{ATOM}published") for release in releases)
    assert [release.findtext(f"{ATOM}title") for release in releases][-1] == "v0.1.0"


def test_rdf_of_a_journal_states_dois_and_authors_family_first() -> None:
    items = list(xml(get(ANNALS)).iter(f"{RSS_1}item"))

    assert len(items) == 14
    for item in items:
        assert item.findtext(f"{DC}identifier") == f"doi:{item.findtext(f'{PRISM}doi')}"
        assert ", " in item.findtext(f"{DC}creator", "")
    assert "Müller, J." in {item.findtext(f"{DC}creator") for item in items}


def test_json_feed_says_what_it_is() -> None:
    feed = json.loads(get(HELIX).body)

    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert [item["id"] for item in feed["items"]] == [entry.guid for entry in build(ANCHOR).at(HELIX)]
    assert all(item["authors"] and item["content_html"] and item["date_published"] for item in feed["items"])


@pytest.mark.parametrize("outlet", FEEDS, ids=lambda outlet: outlet.key)
def test_a_feed_is_the_same_each_time_and_answers_304_to_who_knows_it(outlet: Outlet) -> None:
    first = get(outlet)
    etag, modified = first.headers["etag"], first.headers["last-modified"]

    assert first.status == 200
    assert get(outlet) == first
    for known in (
        get(outlet, if_none_match=etag),
        get(outlet, if_none_match=f'"other", W/{etag}'),
        get(outlet, if_modified_since=modified),
    ):
        assert known.status == 304
        assert known.body == b""
        assert known.headers["etag"] == etag


def test_an_etag_decides_over_a_date_and_nonsense_is_ignored() -> None:
    modified = get(LAB_NORD).headers["last-modified"]

    assert get(LAB_NORD, if_none_match='"other"', if_modified_since=modified).status == 200
    assert get(LAB_NORD, if_modified_since="yesterday").status == 200
    assert parsedate_to_datetime(modified) < datetime.combine(ANCHOR, datetime.min.time(), UTC)
    assert get(LAB_NORD, if_modified_since="Sat, 01 Jan 2000 00:00:00 GMT").status == 200


@pytest.mark.parametrize(
    "url",
    [
        "https://lab-nord.sample.invalid/",
        "https://lab-nord.sample.invalid/feed.xml",
        "https://lab-nord.sample.invalid/2026-11-23/other.xml",
        "https://lab-nord.sample.invalid/2026-13-23/feed.xml",
        "https://lab-nord.sample.invalid/20261123/feed.xml",
        "https://lab-nord.sample.invalid/1970-01-01/feed.xml",
        "https://unknown.sample.invalid/2026-11-23/feed.xml",
        "https://arxiv.sample.invalid/2026-11-23/api",
    ],
)
def test_what_is_not_there_is_404(url: str) -> None:
    assert answer(url, {}).status == 404


def test_another_anchor_is_another_world() -> None:
    other = answer(LAB_NORD.address(ANCHOR + timedelta(days=1)), {})

    assert other.status == 200
    assert other.headers["etag"] != get(LAB_NORD).headers["etag"]
