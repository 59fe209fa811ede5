"""Walks over arXiv follow each other so that nothing is lost, whatever interrupts them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from harvester.errors import SourceConfigError
from harvester.models import Source
from harvester.sources import arxiv
from harvester.sources.arxiv.walk import FIRST_HARVEST_DEPTH, MAX_REQUESTS
from harvester.sources.base import Page
from harvester.sources.courtesy import Courtesy
from tests.fakes import FakeWeb, web_of
from tests.harvester.sources.arxiv.replies import NEWEST, Service, atom, entries_of, paper, reply

MIRROR = "https://mirror.example/api/query"


def source_of(query: str = "cat:cs.LG", cursor: Any = None, url: str = MIRROR) -> Source:
    return Source(kind="arxiv", url=url, query=query, cursor={} if cursor is None else cursor)


def walk(
    service: Any, source: Source | None = None, *, since: datetime | None = None, limit: int | None = None
) -> list[Page]:
    """Fetch to the end and keep the cursor on the source, as ingest does."""
    source = source or source_of()
    pages = []
    for page in arxiv.fetch(source, FakeWeb(service), since=since, limit=limit):
        pages.append(page)
        source.cursor = dict(page.cursor)
    return pages


def numbers(pages: Iterable[Page]) -> list[int]:
    return [int(item.external_id.partition(".")[2]) for page in pages for item in page.items]


# --- asking --------------------------------------------------------------------------------------------------------


def test_a_search_is_asked_for_in_the_order_of_changes() -> None:
    service = Service.with_papers(3)
    walk(service, source_of('all:"agent memory" AND  cat:cs.LG'))
    assert service.parameters == {
        "search_query": ['all:"agent memory" AND cat:cs.LG'],
        "sortBy": ["lastUpdatedDate"],
        "sortOrder": ["descending"],
        "start": ["0"],
        "max_results": ["100"],
    }


def test_a_look_up_asks_for_its_ids_and_keeps_no_place() -> None:
    service = Service.with_papers(2)
    pages = walk(service, source_of("id_list:2401.00000v1, quant-ph/0201082,"))
    assert service.parameters["id_list"] == ["2401.00000v1,quant-ph/0201082"]
    assert "search_query" not in service.parameters
    assert numbers(pages) == [0, 1]
    assert [page.cursor for page in pages] == [{}]


def test_the_address_of_a_mirror_may_have_a_query_of_its_own() -> None:
    web = web_of(atom(total=0))
    list(arxiv.fetch(source_of(url=f"{MIRROR}?key=1"), web, since=None, limit=None))
    assert web.asked[0][0].startswith(f"{MIRROR}?key=1&search_query=cat%3Acs.LG&")


def test_arxiv_itself_is_asked_with_pauses_and_mirrors_without() -> None:
    naps: list[float] = []
    for url, expected in (("", 1), ("https://arxiv.org/api/query", 1), (MIRROR, 0), ("https://notarxiv.org/x", 0)):
        naps.clear()
        courtesy = Courtesy(3.0, sleep=naps.append, monotonic=lambda: 0.0)
        service = Service.with_papers(150)
        list(arxiv.fetch(source_of(url=url), FakeWeb(service), since=None, limit=None, courtesy=courtesy))
        assert service.starts == [0, 100]
        assert naps == [3.0] * expected


@pytest.mark.parametrize(
    ("url", "query", "field"),
    [("", "", "query"), ("", "  ", "query"), ("", "id_list: ,", "query"), ("ftp://x", "cat:cs.LG", "url")],
)
def test_what_can_never_work_is_named(url: str, query: str, field: str) -> None:
    with pytest.raises(SourceConfigError) as caught:
        arxiv.validate(url, query)
    assert caught.value.field == field
    with pytest.raises(SourceConfigError):
        walk(Service.with_papers(1), source_of(query, url=url))


def test_an_id_that_arxiv_would_not_take_is_for_arxiv_to_refuse() -> None:
    arxiv.validate("", "id_list:nonsense")
    arxiv.validate("https://mirror.example/api", "cat:cs.LG")


# --- from page to page ---------------------------------------------------------------------------------------------


def test_a_walk_reads_all_pages_and_remembers_the_newest_change() -> None:
    service, source = Service.with_papers(250), source_of()
    assert numbers(walk(service, source)) == list(range(250))
    assert service.starts == [0, 100, 200]
    assert source.cursor == {"newest": NEWEST.isoformat()}


def test_the_next_walk_ends_a_day_below_what_is_known() -> None:
    service, source = Service.with_papers(500), source_of()
    walk(service, source)
    service.publish(901, 902, at=NEWEST + timedelta(hours=2))
    service.starts.clear()
    assert numbers(walk(service, source))[:3] == [901, 902, 0]
    assert service.starts == [0]
    assert source.cursor == {"newest": (NEWEST + timedelta(hours=2)).isoformat()}


def test_a_late_announcement_within_a_day_is_still_found() -> None:
    service, source = Service.with_papers(500, every=timedelta(minutes=10)), source_of()
    walk(service, source)
    late = NEWEST - timedelta(hours=23)
    service.papers = sorted([*service.papers, (950, late)], key=lambda one: one[1], reverse=True)
    assert 950 in numbers(walk(service, source))


def test_a_new_version_of_an_old_paper_comes_again() -> None:
    service, source = Service.with_papers(500), source_of()
    walk(service, source)
    service.publish(444, at=NEWEST + timedelta(hours=1))
    assert 444 in numbers(walk(service, source))


def test_papers_that_come_during_a_walk_shift_pages_but_hide_nothing() -> None:
    service, source = Service.with_papers(300), source_of()
    pages = []
    for number, page in enumerate(arxiv.fetch(source, FakeWeb(service), since=None, limit=None)):
        pages.append(page)
        source.cursor = dict(page.cursor)
        service.publish(*range(800 + 10 * number, 810 + 10 * number), at=NEWEST + timedelta(minutes=number))
    assert set(range(300)) <= set(numbers(pages))
    assert len(numbers(pages)) == len(set(numbers(pages)))
    assert set(range(800, 830)) <= set(numbers(walk(service, source)))


def test_a_first_walk_ends_at_its_depth() -> None:
    service, source = Service.with_papers(FIRST_HARVEST_DEPTH + 500), source_of()
    assert len(numbers(walk(service, source))) == FIRST_HARVEST_DEPTH
    assert source.cursor == {"newest": NEWEST.isoformat()}


def test_a_server_that_always_sends_the_same_ends_the_walk() -> None:
    service = Service.with_papers(10)
    starts: list[str] = []

    def same(url: str) -> Any:
        starts.append(url)
        return reply(atom(*entries_of(service.papers), total=5000), url)

    source = source_of()
    assert numbers(walk(same, source)) == list(range(10))
    assert len(starts) == 2
    assert source.cursor == {"newest": NEWEST.isoformat()}


def test_a_server_that_begins_elsewhere_than_asked_is_followed() -> None:
    recorded = {0: (0, 15), 15: (9, 15), 24: (50, 10), 60: (0, 0)}
    service, asked = Service.with_papers(100), []

    def replay(url: str) -> Any:
        start = int(url.partition("&start=")[2].partition("&")[0])
        asked.append(start)
        begin, count = recorded[start]
        return reply(atom(*entries_of(service.papers[begin : begin + count]), start=begin, total=count and 100), url)

    assert numbers(walk(replay)) == [*range(24), *range(50, 60)]
    assert asked == [0, 15, 24, 60]


def test_an_empty_page_in_the_middle_is_asked_for_again() -> None:
    service, attempts = Service.with_papers(250), []

    def moody(url: str) -> Any:
        attempts.append(url)
        return reply(atom(start=100, total=250), url) if len(attempts) in (2, 3) else service(url)

    assert numbers(walk(moody)) == list(range(250))


def test_a_page_that_stays_empty_leaves_the_walk_open() -> None:
    service = Service.with_papers(250)

    def stuck(url: str) -> Any:
        return service(url) if "&start=0&" in url else reply(atom(start=100, total=250), url)

    source = source_of()
    assert numbers(walk(stuck, source)) == list(range(100))
    assert source.cursor == {"walk": {"start": 100, "newest": NEWEST.isoformat(), "until": None}}
    assert set(range(100, 250)) <= set(numbers(walk(service, source)))


def test_no_results_are_no_failure_and_no_place() -> None:
    source = source_of()
    (page,) = walk(Service([]), source)
    assert (page.items, source.cursor) == ((), {})


def test_a_lower_version_met_later_in_a_walk_is_left_out() -> None:
    pages = iter(
        (
            atom(paper(1, version=2), paper(2), total=4),
            atom(paper(1, version=1), paper(3), start=2, total=4),
        )
    )
    assert numbers(walk(lambda url: reply(next(pages), url))) == [1, 2, 3]


# --- interrupted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pages_before_death", [1, 2, 3, 4])
def test_a_walk_that_died_goes_on_below_what_it_knows(pages_before_death: int) -> None:
    service, source = Service.with_papers(450), source_of()
    stored: list[int] = []
    for page in islice(arxiv.fetch(source, FakeWeb(service), since=None, limit=None), pages_before_death):
        stored += numbers([page])
        source.cursor = dict(page.cursor)
    service.publish(901, at=NEWEST + timedelta(hours=1))
    service.starts.clear()
    stored += numbers(walk(service, source))
    assert set(stored) == {*range(450), 901}
    assert service.starts[:2] == [0, max(100, 100 * pages_before_death)]
    assert source.cursor == {"newest": (NEWEST + timedelta(hours=1)).isoformat()}


def test_a_later_walk_that_died_still_reaches_what_was_known_before() -> None:
    service, source = Service.with_papers(100), source_of()
    walk(service, source)
    for number in range(1000, 1450):
        service.publish(number, at=NEWEST + timedelta(hours=number - 999))
    stored: set[int] = set()
    for _ in range(3):  # dies after every second page
        for page in islice(arxiv.fetch(source, FakeWeb(service), since=None, limit=None), 2):
            stored |= set(numbers([page]))
            source.cursor = dict(page.cursor)
    assert source.cursor["walk"]["until"] == NEWEST.isoformat()
    stored |= set(numbers(walk(service, source)))
    assert stored >= set(range(1000, 1450))
    assert source.cursor == {"newest": (NEWEST + timedelta(hours=450)).isoformat()}


def test_more_than_one_fetch_may_take_goes_on_in_the_next() -> None:
    service, source = Service.with_papers(10), source_of()
    walk(service, source)
    many = MAX_REQUESTS * 100 + 500
    service.papers = [(10_000 + n, NEWEST + timedelta(minutes=many - n)) for n in range(many)] + service.papers
    first = walk(service, source)
    assert len(first) == MAX_REQUESTS
    assert "walk" in source.cursor
    second = walk(service, source)
    assert {*numbers(first), *numbers(second)} >= set(range(10_000, 10_000 + many))
    assert "newest" in source.cursor


@pytest.mark.parametrize(
    "cursor",
    [
        {"newest": 5},
        {"newest": "yesterday"},
        {"walk": []},
        {"walk": {}},
        {"walk": {"start": -3, "newest": None, "until": "x"}},
        {"walk": {"start": "100", "newest": {}, "until": []}},
        {"page": 3},
        [],
        "x",
    ],
)
def test_a_cursor_that_says_nothing_usable_is_the_beginning(cursor: Any) -> None:
    assert numbers(walk(Service.with_papers(150), source_of(cursor=cursor))) == list(range(150))


# --- cut by the caller ---------------------------------------------------------------------------------------------


def test_a_limit_takes_the_newest_and_the_rest_comes_later() -> None:
    service, source = Service.with_papers(250), source_of()
    assert numbers(walk(service, source, limit=120)) == list(range(120))
    assert "walk" in source.cursor
    assert set(numbers(walk(service, source))) >= set(range(120, 250))
    assert source.cursor == {"newest": NEWEST.isoformat()}


def test_a_limit_in_a_later_walk_leaves_the_gap_open() -> None:
    service, source = Service.with_papers(50), source_of()
    walk(service, source)
    service.papers = [(1000 + n, NEWEST + timedelta(hours=60 - n)) for n in range(60)] + service.papers
    assert numbers(walk(service, source, limit=10)) == list(range(1000, 1010))
    assert numbers(walk(service, source, limit=10)) == list(range(1000, 1010))
    assert set(numbers(walk(service, source))) >= set(range(1000, 1060))
    assert source.cursor == {"newest": (NEWEST + timedelta(hours=60)).isoformat()}


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    service, source = Service.with_papers(30), source_of()
    assert len(numbers(walk(service, source, limit=30))) == 30
    assert source.cursor == {"newest": NEWEST.isoformat()}
    assert numbers(walk(service, source_of("id_list:2401.00001,2401.00002"), limit=1)) == [0]


def test_since_leaves_out_what_is_older_and_that_comes_later() -> None:
    service, source = Service.with_papers(250), source_of()
    pages = walk(service, source, since=NEWEST - timedelta(hours=9))
    assert numbers(pages) == list(range(10))
    assert service.starts == [0]
    assert set(numbers(walk(service, source))) >= set(range(250))
    assert source.cursor == {"newest": NEWEST.isoformat()}


def test_since_below_what_is_known_leaves_no_gap() -> None:
    service, source = Service.with_papers(250), source_of()
    walk(service, source)
    walk(service, source, since=NEWEST - timedelta(hours=30))
    assert source.cursor == {"newest": NEWEST.isoformat()}


def test_since_in_the_future_takes_nothing() -> None:
    service, source = Service.with_papers(5), source_of()
    assert numbers(walk(service, source, since=datetime(2100, 1, 1, tzinfo=UTC))) == []
    assert numbers(walk(service, source)) == list(range(5))
