"""GET /sources."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from harvester.errors import FetchFailure
from harvester.models import Source, SourceKind, SourceState
from tests.factories import make_artifacts, make_source
from tests.harvester.api.clients import ApiClient, fields, staff

pytestmark = pytest.mark.django_db

MOMENT = datetime(2026, 11, 23, 16, tzinfo=UTC)

anonymous = ApiClient()


def test_a_source_says_how_it_is_doing() -> None:
    source = make_source(
        "Blög & co",
        url="https://feed.example/atom",
        query="",
        next_fetch_at=MOMENT,
        last_fetch_at=MOMENT,
        consecutive_failures=3,
        failure_reason=FetchFailure.TIMED_OUT,
        failure_detail="It took longer than 30 s.",
    )
    make_artifacts(source, 2)
    assert anonymous.results("/sources") == [
        {
            "id": source.pk,
            "name": "Blög & co",
            "kind": "feed",
            "url": "https://feed.example/atom",
            "query": "",
            "state": "failing",
            "is_sample": False,
            "artifacts": 2,
            "discoveries_url": "/api/v1/discoveries?source=Bl%C3%B6g+%26+co",
            "next_fetch_at": "2026-11-23T16:00:00Z",
            "last_fetch_at": "2026-11-23T16:00:00Z",
            "last_success_at": None,
            "failures": 3,
            "failure_reason": "timed_out",
            "failure_detail": "it took too long to answer",
        }
    ]
    assert len(anonymous.results(anonymous.results("/sources")[0]["discoveries_url"])) == 2


def test_what_maps_our_network_or_holds_a_token_is_for_staff() -> None:
    inside = "localhost is not on the public internet (127.0.0.1)"
    address = "https://blog.example/feed?token=secret"
    make_source(url=address, consecutive_failures=1, failure_reason="address_refused", failure_detail=inside)
    open_answer, staff_answer = anonymous.get("/sources"), staff().get("/sources")
    (shown,), (told,) = (json.loads(answer.content)["results"] for answer in (open_answer, staff_answer))
    assert (shown["url"], shown["failure_reason"]) == ("https://blog.example/feed", "address_refused")
    assert shown["failure_detail"] == "its address is not public, so it is not called"
    assert (told["url"], told["failure_detail"]) == (address, inside)
    assert open_answer["ETag"] != staff_answer["ETag"]
    assert "Cookie" in open_answer["Vary"]


def test_every_state_has_its_word() -> None:
    make_source("a")
    make_source("b", last_success_at=MOMENT)
    make_source("c", state=SourceState.PAUSED)
    assert [source["state"] for source in anonymous.results("/sources")] == ["new", "fine", "paused"]


def test_sources_come_by_name_page_by_page() -> None:
    names = ["zeta", "Alpha", "beta", "日本", "🚀" * 200]
    for name in names:
        make_source(name)
    met, following = [], "/sources?limit=1"
    while following:
        page = anonymous.json(following)
        met += [source["name"] for source in page["results"]]
        following = page["next"]
    assert met[:3] == ["Alpha", "beta", "zeta"]
    assert sorted(met) == sorted(names)


@pytest.mark.parametrize(("query", "field"), [("limit=0", "limit"), ("cursor=x", "cursor"), ("state=new", "state")])
def test_what_cannot_be_used_is_named(query: str, field: str) -> None:
    assert fields(anonymous.get(f"/sources?{query}")) == {("query", field)}


@pytest.mark.parametrize("number", [10, 1000])
def test_sources_take_one_query_however_many(number: int, django_assert_num_queries: Any) -> None:
    Source.objects.bulk_create(Source(name=f"Source {n}", kind=SourceKind.FEED) for n in range(number))
    with django_assert_num_queries(1):
        anonymous.json("/sources?limit=100")
