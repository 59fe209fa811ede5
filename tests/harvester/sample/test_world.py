"""The sample world's data: dates for any anchor, nothing real in it, and the planted truths."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harvester.sample import people
from harvester.sample.outlets import ANNALS, ARXIV, SOURCES
from harvester.sample.planted import NEAR_MISSES, REPRINTS, Proof
from harvester.sample.topics import TOPIC_CHANGES, TOPICS, WEEKS
from harvester.sample.works import Work
from harvester.sample.world import FIRST_ANCHOR, LAST_ANCHOR, Entry, World, build
from harvester.sample.writing import LinkScheme

ANCHOR = date(2026, 11, 23)
ANCHORS = st.dates(FIRST_ANCHOR, LAST_ANCHOR)

MIDNIGHT = datetime.combine(ANCHOR, time(), UTC)


@pytest.fixture(scope="module")
def world() -> World:
    return build(ANCHOR)


def entries_of(world: World, key: str) -> list[Entry]:
    return [entry for entry in world.entries if entry.work.key == key]


def plain(title: str) -> list[str]:
    return re.findall(r"\w+", title.casefold())


def week_of(work: Work) -> int:
    return WEEKS - (MIDNIGHT - work.published - timedelta(seconds=1)).days // 7


# --- size and dates ------------------------------------------------------------------------------------------------


def test_there_are_about_150_artifacts(world: World) -> None:
    assert 140 <= sum(len(world.seen_by(source)) for source in SOURCES) <= 165
    assert 75 <= len(world.at(ARXIV)) <= 90


def test_every_source_finds_something_and_no_id_twice(world: World) -> None:
    for source in SOURCES:
        guids = [entry.guid for entry in world.seen_by(source)]
        assert len(guids) >= 8
        assert len(set(guids)) == len(guids)


@settings(max_examples=40, deadline=None)
@given(ANCHORS)
@example(date(2024, 2, 29))
@example(date(2025, 1, 1))
@example(date(2024, 12, 31))
@example(date(2028, 3, 1))
@example(FIRST_ANCHOR)
@example(LAST_ANCHOR)
def test_everything_happened_in_the_thirteen_weeks_before_the_anchor(anchor: date) -> None:
    end = datetime.combine(anchor, time(), UTC)
    moments = [entry.published for entry in build(anchor).entries]
    moments += [moment for work in build(anchor).works.values() for moment in work.versions]

    assert min(moments) >= end - timedelta(weeks=WEEKS)
    assert max(moments) < end
    assert end - max(moments) < timedelta(days=1)


@settings(max_examples=20, deadline=None)
@given(ANCHORS)
@example(date(2025, 1, 20))
def test_the_planted_truths_hold_for_any_anchor(anchor: date) -> None:
    world = build(anchor)
    assert {key: len(where) for key, where in world.sightings().items()} == {
        key: len(where) for key, where in build(ANCHOR).sightings().items()
    }
    for reprint in REPRINTS:
        first, *others = sorted(entries_of(world, reprint.work), key=lambda entry: entry.published)
        if reprint.proof is Proof.TITLE:
            assert {entry.published.year for entry in others} == {first.published.year}
        assert all(first.published <= entry.published for entry in others)
    for work in world.works.values():
        for link in work.links:
            cited = [one for one in world.works.values() if link.value in (one.arxiv_id, one.doi)]
            assert all(one.published < work.published for one in cited)


def test_a_world_depends_on_its_anchor_alone(world: World) -> None:
    build.cache_clear()
    assert build(ANCHOR) == world
    assert [work.title for work in build(date(2031, 5, 5)).works.values()] == [
        work.title for work in world.works.values()
    ]


def test_there_is_no_world_beyond_arxivs_way_to_number() -> None:
    with pytest.raises(ValueError, match="2016-01-01 to 2099-12-31"):
        build(date(1999, 12, 31))


# --- nothing real --------------------------------------------------------------------------------------------------


def test_arxiv_ids_are_unique_well_formed_and_were_never_given_out(world: World) -> None:
    papers = [entry.work for entry in world.at(ARXIV)]
    assert len({paper.arxiv_id for paper in papers}) == len(papers)
    for paper in papers:
        assert re.fullmatch(rf"{paper.published:%y%m}\.9{paper.published:%d}\d\d", paper.arxiv_id)


def test_dois_have_the_prefix_for_examples(world: World) -> None:
    stated = {entry.doi for entry in world.entries if entry.doi}
    assert len(stated) == len(world.at(ANNALS))
    assert all(doi.startswith("10.5555/") for doi in stated)


def test_every_address_is_of_a_host_that_cannot_exist_or_a_number_that_was_never_given_out(world: World) -> None:
    allowed = (
        r"https://[a-z-]+\.sample\.invalid/",
        r"https://arxiv\.org/(?:abs|pdf)/(?:\d{4}\.9\d{4}|[a-z-]+/\d{4}9[89]\d)",
        r"https://doi\.org/10\.5555/",
        r"https://github\.com/sample-invalid-",
    )
    texts = [entry.url for entry in world.entries]
    texts += [text for work in world.works.values() for text in work.paragraphs]
    for address in re.findall(r"https?://\S+", " ".join(texts)):
        assert re.match("|".join(allowed), address), address


# --- texts ---------------------------------------------------------------------------------------------------------


def test_papers_have_different_titles_and_abstracts_of_four_to_eight_sentences(world: World) -> None:
    papers = [entry.work for entry in world.at(ARXIV)]
    assert len({paper.title for paper in papers}) == len(papers)
    for paper in papers:
        assert 4 <= len(re.findall(r"\.(?:\s|$)", paper.paragraphs[0])) <= 8


def test_no_placeholder_is_left(world: World) -> None:
    for work in world.works.values():
        assert "{" not in work.title + " ".join(work.paragraphs)


def test_some_papers_have_versions_affiliations_comments_and_journals(world: World) -> None:
    papers = [entry.work for entry in world.at(ARXIV)]
    assert {len(paper.versions) for paper in papers} == {1, 2, 3}
    assert 20 < sum(bool(paper.credits[0].affiliation) for paper in papers) < 70
    assert 40 < sum(bool(paper.comment) for paper in papers) < len(papers)
    assert sum(bool(paper.journal) for paper in papers) == sum(bool(paper.doi) for paper in papers) == 5


# --- planted truths ------------------------------------------------------------------------------------------------


def test_duplicates_share_what_proves_them_and_only_look_different(world: World) -> None:
    for reprint in REPRINTS:
        first = next(entry for entry in entries_of(world, reprint.work) if entry.outlet is not reprint.outlet)
        second = next(entry for entry in entries_of(world, reprint.work) if entry.outlet is reprint.outlet)
        if reprint.proof is Proof.DOI:
            assert first.doi == second.doi != ""
        elif reprint.proof is Proof.URL:
            assert second.url.startswith(first.url)
            assert "utm_source=junction" in second.url
        else:
            assert first.doi == ""
            assert first.title != second.title
            assert plain(first.title) == plain(second.title)
    assert Counter(reprint.proof for reprint in REPRINTS) == {Proof.DOI: 5, Proof.TITLE: 6, Proof.URL: 5}


def test_some_papers_are_listed_by_two_arxiv_sources_and_one_work_is_seen_three_times(world: World) -> None:
    sizes = Counter(len({seen.source for seen in where}) for where in world.sightings().values())
    assert sizes[2] >= 20
    assert sizes[3] == 1


def test_near_misses_look_alike(world: World) -> None:
    for miss in NEAR_MISSES:
        left, right = (world.works[key] for key in miss.works)
        if miss.why == "same title, other author":
            assert left.title == right.title
            assert left.credits[0].person is not right.credits[0].person
            assert left.credits[0].person.family != right.credits[0].person.family
        if "same author" in miss.why:
            assert left.credits[0].person is right.credits[0].person
        if miss.why.startswith("a title that says nothing"):
            assert left.title == right.title


def test_a_homonym_signs_papers_of_two_laboratories(world: World) -> None:
    for homonym in people.HOMONYMS:
        signed: dict[people.Person, int] = Counter(
            credit.person
            for work in world.works.values()
            for credit in work.credits
            if credit.written == homonym.written
        )
        assert set(signed) == set(homonym.people)
        assert min(signed.values()) >= 3
        assert len({person.lab for person in homonym.people}) == len(homonym.people)


def test_texts_hold_explicit_links_of_every_kind(world: World) -> None:
    found: dict[LinkScheme, list[str]] = defaultdict(list)
    for work in world.works.values():
        for link in work.links:
            assert link.written in " ".join(work.paragraphs)
            assert link.value in link.written
            found[link.scheme].append(link.value)
    assert min(len(values) for values in found.values()) >= 5
    assert set(found) == set(LinkScheme)
    old, new = Counter("/" in value for value in found[LinkScheme.ARXIV]).most_common()[::-1]
    assert old[1] >= 3
    assert new[1] >= 30


def test_topics_live_as_planned(world: World) -> None:
    for topic in TOPICS:
        weeks = Counter(week_of(entry.work) for entry in world.at(ARXIV) if entry.work.topic == topic.key)
        assert tuple(weeks[week] for week in range(1, WEEKS + 1)) == topic.papers_per_week


def test_a_topic_emerges_two_merge_and_one_splits(world: World) -> None:
    assert [change.type for change in TOPIC_CHANGES] == ["emerge", "merge", "split"]
    for change in TOPIC_CHANGES:
        weeks = {
            key: [week_of(work) for work in world.works.values() if work.topic == key]
            for key in (*change.before, *change.after)
        }
        assert all(max(weeks[key]) < change.week for key in change.before)
        assert all(min(weeks[key]) >= change.week for key in change.after)
        assert all(len(found) >= 6 for found in weeks.values())
