"""A reply of the arXiv API becomes items with all their fields, or one clear error."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from harvester.errors import FetchError, FetchFailure
from harvester.models import ArtifactKind, IdentifierScheme, Source
from harvester.sources import arxiv
from harvester.sources.arxiv.reply import read_answer
from harvester.sources.base import MOST_AUTHORS, MOST_ENTRIES, Author, Page
from harvester.sources.xml_guard import parse_xml
from tests.fakes import web_of
from tests.harvester.sources.arxiv.replies import ERROR, PAPER, atom, paper


def read(body: str, *, status: int = 200, headers: dict[str, str] | None = None) -> Page:
    source = Source(kind="arxiv", url="https://mirror.example/api", query="cat:cs.LG")
    pages = list(arxiv.fetch(source, web_of(body, status=status, headers=headers), since=None, limit=None))
    return pages[0]


def failure(body: str, status: int, headers: dict[str, str] | None = None) -> FetchError:
    with pytest.raises(FetchError) as caught:
        read(body, status=status, headers=headers)
    return caught.value


def test_an_entry_becomes_an_item_with_all_its_fields() -> None:
    (item,) = read(atom(PAPER)).items
    assert item.external_id == "2401.00007"
    assert item.kind == ArtifactKind.PREPRINT
    assert item.url == "https://arxiv.org/abs/2401.00007"
    assert item.title == "Memory for tool-using agents"
    assert item.text == "We remember what was asked."
    assert item.published_at == datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert item.updated_at == datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert item.authors == (Author("Ann Lee", "Lab Nord"), Author("Bo Chen"))
    assert item.identifiers == ((IdentifierScheme.ARXIV, "2401.00007"), (IdentifierScheme.DOI, "10.1000/mem.7"))
    assert item.metadata == {
        "version": 3,
        "doi": "10.1000/MEM.7",
        "comment": "12 pages, 3 figures",
        "journal_ref": "J. Mem. 4 (2024) 1-12",
        "categories": ["cs.LG", "cs.AI"],
        "primary_category": "cs.LG",
        "pdf_url": "https://arxiv.org/pdf/2401.00007v3",
    }
    assert item.raw["author"][0] == {"name": "Ann Lee", "affiliation": "Lab Nord"}
    assert json.loads(json.dumps(item.raw)) == item.raw


def test_what_an_entry_does_not_say_is_left_out() -> None:
    (item,) = read(atom(paper(1))).items
    assert item.metadata == {"version": 1}
    assert item.text == ""


def test_of_thousands_of_authors_the_first_are_kept_and_all_are_counted() -> None:
    people = "".join(f"<author><name>Person {number}</name></author>" for number in range(3_000))
    (item,) = read(atom(paper(1).replace("</entry>", f"{people}</entry>"))).items
    assert len(item.authors) == MOST_AUTHORS
    assert item.metadata["authors_total"] == 3_001


def test_a_reply_without_end_is_read_in_parts() -> None:
    entries = "<entry><title>No id</title></entry>" * (MOST_ENTRIES + 1)
    answer = read_answer(parse_xml(atom(entries)), 0)
    assert answer.count == answer.next_start == MOST_ENTRIES


def test_of_several_versions_in_a_page_the_highest_counts() -> None:
    page = read(atom(paper(1, version=2, title="Two"), paper(1, version=10, title="Ten"), paper(1, title="One")))
    assert [(item.title, item.metadata["version"]) for item in page.items] == [("Ten", 10)]


def test_an_unusable_entry_costs_only_itself() -> None:
    body = atom(
        paper(1),
        "<entry><id>http://example.org/x</id><title>No paper</title></entry>",
        "<entry><title>No id</title></entry>",
        paper(2, title=" "),
        paper(3),
    )
    page = read(body)
    assert [item.external_id for item in page.items] == ["2401.00001", "2401.00003"]
    assert [(one.external_id, one.reason) for one in page.rejections] == [
        ("http://example.org/x", "it has no arXiv id"),
        ("", "it has no arXiv id"),
        ("2401.00002", "it has no title"),
    ]


@pytest.mark.parametrize("status", [200, 400])
def test_an_error_of_arxiv_is_told_in_its_words(status: int) -> None:
    error = failure(ERROR, status)
    assert (error.reason, error.detail) == (FetchFailure.QUERY_REJECTED, "arXiv: incorrect id format for nonsense")
    assert error.permanent
    assert error.status == status


def test_no_ascii_control_comes_out_of_a_reply_and_halves_of_letters_stay() -> None:
    driver = "\x9b31m\x7f"  # XML 1.0 allows for these, and not for those below a space
    (item,) = read(atom(paper(1, title=f"red{driver}").replace("Ann Lee", f"Ann{driver}"))).items
    assert (item.title, item.authors) == ("red\x9b31m", (Author("Ann\x9b31m"),))
    assert "\\x7f" not in repr(item)
    assert failure(ERROR.replace("nonsense", driver), 200).detail == "arXiv: incorrect id format for \x9b31m"


@pytest.mark.parametrize(("status", "permanent"), [(500, False), (503, False), (429, False), (408, False), (404, True)])
def test_another_status_is_an_error_with_its_number(status: int, permanent: bool) -> None:
    error = failure("<html>Sorry</html>", status, {"retry-after": "120"})
    assert (error.reason, error.status, error.permanent) == (FetchFailure.HTTP_STATUS, status, permanent)
    assert error.retry_after_seconds == 120


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<feed",
        "not xml",
        "<!DOCTYPE html><html><body>Maintenance</body></html>",
        "<rss version='2.0'/>",
        "<!DOCTYPE feed [<!ENTITY x 'y'>]><feed xmlns='http://www.w3.org/2005/Atom'>&x;</feed>",
        "<feed xmlns='http://www.w3.org/2005/Atom'>" + "<a>" * 100 + "</a>" * 100 + "</feed>",
    ],
)
def test_what_is_no_reply_of_the_api_is_malformed(body: str) -> None:
    error = failure(body, 200)
    assert error.reason == FetchFailure.MALFORMED
    assert not error.permanent


def test_texts_can_be_stored_whatever_they_hold() -> None:
    (item,) = read(atom(paper(1, title="t" * 5000))).items
    assert len(item.title) == 1000
