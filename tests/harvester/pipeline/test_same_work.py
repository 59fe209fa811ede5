"""The same work in two sources is linked by an identifier that both state, and by nothing less."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from django.db import connection

from harvester.actions import remove_source
from harvester.models import Artifact, ArtifactKind, ArtifactStage, IdentifierScheme, Relationship, Source
from harvester.pipeline import same_work
from harvester.pipeline.ingest import storing
from harvester.pipeline.stage import StageReport
from harvester.sources.base import Author, Item, Page

pytestmark = pytest.mark.django_db

PATIENCE_SECONDS = 60
Links = list[tuple[str, str, str, str]]


def put(source_name: str, external_id: str, **fields: object) -> None:
    source, _ = Source.objects.get_or_create(name=source_name, kind="feed")
    defaults = {
        "external_id": external_id,
        "kind": ArtifactKind.ARTICLE,
        "url": "",
        "title": f"Unlike any other: {external_id}",
        "text": "",
        "published_at": datetime(2026, 3, 1, tzinfo=UTC),
    }
    item = Item(**defaults | fields)
    storing.store(source, [item], Page(items=(item,), cursor={}))


def links() -> Links:
    while same_work.run().processed:
        pass
    found = Relationship.objects.order_by("source_id", "target_id")
    return [(link.source.external_id, link.target.external_id, link.method, link.evidence) for link in found]


def doi(value: str) -> dict[str, object]:
    return {"identifiers": ((IdentifierScheme.DOI, value),)}


def test_one_doi_in_two_sources_is_one_work() -> None:
    put("A", "a1", **doi("10.5555/x"))
    put("B", "b1", **doi("10.5555/x"))
    assert links() == [("a1", "b1", "doi", "10.5555/x")]


def test_one_address_in_two_sources_is_one_work() -> None:
    put("A", "a1", url="https://lab.example/post?utm_source=rss")
    put("B", "b1", url="https://lab.example/post")
    assert links() == [("a1", "b1", "url", "https://lab.example/post")]


def test_title_first_author_and_year_make_a_work() -> None:
    about = {"authors": (Author("Ada Example"),)}
    put("A", "a1", title="Persistent memory for tool-using agents", **about)
    put("B", "b1", title="Persistent Memory for Tool Using Agents.", **about)
    assert [(one, two, method) for one, two, method, _ in links()] == [("a1", "b1", "title")]


@pytest.mark.parametrize(
    "difference",
    [
        {"authors": (Author("Bob Other"),)},
        {"published_at": datetime(2024, 3, 1, tzinfo=UTC)},
        {"title": "Persistent memory for tool-using people"},
        {"authors": ()},
    ],
    ids=["author", "year", "title", "no author"],
)
def test_title_alone_is_not_enough(difference: dict[str, object]) -> None:
    about = {"title": "Persistent memory for tool-using agents", "authors": (Author("Ada Example"),)}
    put("A", "a1", **about)
    put("B", "b1", **about | difference)
    assert links() == []


def test_within_one_source_nothing_is_linked() -> None:
    put("A", "a1", **doi("10.5555/x"))
    put("A", "a2", **doi("10.5555/x"))
    assert links() == []


def test_an_address_that_a_feed_gives_to_every_entry_is_no_identity() -> None:
    put("A", "a1", url="https://lab.example/blog")
    put("A", "a2", url="https://lab.example/blog")
    put("B", "b1", url="https://lab.example/blog")
    assert links() == []


def test_a_group_hangs_together_by_its_oldest_member() -> None:
    for number in range(5):
        put(f"S{number}", f"x{number}", **doi("10.5555/x"))
    assert [(one, two) for one, two, _, _ in links()] == [("x0", f"x{n}") for n in range(1, 5)]


def test_two_identifiers_make_one_link_by_the_stronger() -> None:
    about = {"url": "https://lab.example/post"} | doi("10.5555/x")
    put("A", "a1", **about)
    put("B", "b1", **about)
    assert [method for _, _, method, _ in links()] == ["doi"]


def test_a_thousand_claims_to_one_work_are_not_believed() -> None:
    for number in range(60):
        put(f"S{number}", f"x{number}", **doi("10.5555/x"))
    assert links() == []


def test_links_do_not_depend_on_who_comes_first() -> None:
    put("A", "a1", **doi("10.5555/x"))
    assert links() == []
    put("B", "b1", **doi("10.5555/x"))
    assert len(links()) == 1


def test_running_again_changes_nothing() -> None:
    put("A", "a1", **doi("10.5555/x"))
    put("B", "b1", **doi("10.5555/x"))
    before = links()
    Artifact.objects.update(stage=ArtifactStage.INGESTED)
    assert links() == before


@pytest.mark.parametrize("is_late", [True, False])
def test_an_address_used_twice_identifies_nothing_whenever_it_comes(is_late: bool) -> None:
    put("A", "a1", url="https://lab.example/post")
    put("B", "b1", url="https://lab.example/post")
    if is_late:
        assert len(links()) == 1
    put("B", "b2", url="https://lab.example/post")
    assert links() == []


def test_links_that_are_taken_back_make_room_for_a_weaker_proof() -> None:
    about = {"title": "Persistent memory for tool-using agents", "authors": (Author("Ada Example"),)}
    put("A", "a1", url="https://lab.example/post", **about)
    put("B", "b1", url="https://lab.example/post", **about)
    assert [method for _, _, method, _ in links()] == ["url"]
    put("B", "b2", url="https://lab.example/post")
    assert [(one, two, method) for one, two, method, _ in links()] == [("a1", "b1", "title")]


def test_removing_a_source_leaves_the_others_linked() -> None:
    for name in "ABC":
        put(name, f"{name.lower()}1", **doi("10.5555/x"))
    assert [(one, two) for one, two, _, _ in links()] == [("a1", "b1"), ("a1", "c1")]
    remove_source(Source.objects.get(name="A"))
    assert [(one, two) for one, two, _, _ in links()] == [("b1", "c1")]


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_link_each_others_artifacts_do_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has claimed half of every work before either links anything; SQLite has one writer at a time."""
    pairs = 6
    for source in ("A", "B"):
        for number in range(pairs):
            put(source, f"{source}{number}", **doi(f"10.5555/{number}"))
    at_once = 2 if connection.features.has_select_for_update_skip_locked else 1
    have_claimed = threading.Barrier(at_once)
    real = same_work.process

    def link(artifacts: Sequence[Artifact]) -> None:
        have_claimed.wait(PATIENCE_SECONDS)
        real(artifacts)

    def work() -> StageReport:
        try:
            return same_work.run(limit=pairs)
        finally:
            connection.close()

    monkeypatch.setattr(same_work, "process", link)
    with ThreadPoolExecutor(at_once) as workers:
        reports = [future.result(PATIENCE_SECONDS) for future in [workers.submit(work) for _ in range(2)]]
    assert [(report.processed, report.failed) for report in reports] == [(pairs, 0)] * 2
    assert Relationship.objects.count() == pairs
