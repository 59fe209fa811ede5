"""The whole way: the sample world through the real client, parsers and stages into the database, and out again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date

import pytest

from harvester.actions import create_run
from harvester.clients.http import build_client
from harvester.models import Artifact, ArtifactKind, Identifier, Relationship, RelationshipType, Run, Score, Source
from harvester.pipeline.run import claim, harvest
from harvester.sample.loader import load_sample, remove_sample
from harvester.sample.outlets import SOURCES
from harvester.sample.planted import NEAR_MISSES
from harvester.sample.world import Sighting, World, build
from tests.factories import make_artifact, make_source

pytestmark = pytest.mark.django_db

ANCHOR = date(2025, 1, 20)  # the thirteen weeks before hold a New Year's Eve


@pytest.fixture
def world() -> World:
    return build(ANCHOR)


@pytest.fixture
def harvested() -> Run:
    load_sample(anchor=ANCHOR)
    return harvest_once()


def harvest_once() -> Run:
    run = create_run(trigger="command", only="sample")
    assert claim(run)
    return harvest(run, build_client())


def sighted(artifact: Artifact) -> Sighting:
    return Sighting(artifact.source.name, artifact.external_id)


def same_works() -> set[frozenset[Sighting]]:
    """The artifacts in groups that ``same_as`` holds together, directly or through others."""
    group = {artifact.pk: {sighted(artifact)} for artifact in Artifact.objects.select_related("source")}
    for left, right in Relationship.objects.filter(type=RelationshipType.SAME_AS).values_list("source", "target"):
        united = group[left] | group[right]
        for pk in [pk for pk, members in group.items() if members & united]:
            group[pk] = united
    return {frozenset(members) for members in group.values()}


def test_every_entry_becomes_one_artifact_of_its_source(harvested: Run, world: World) -> None:
    assert harvested.status == "succeeded"
    assert {report["outcome"] for report in harvested.source_reports} == {"fetched"}
    assert sum(report["errors"] for report in harvested.source_reports) == 0
    for source in SOURCES:
        found = Artifact.objects.filter(source__name=source.name)
        assert {artifact.external_id for artifact in found} == {entry.guid for entry in world.seen_by(source)}


def test_artifacts_have_what_the_world_says(harvested: Run, world: World) -> None:
    for source in SOURCES:
        entries = {entry.guid: entry for entry in world.seen_by(source)}
        for artifact in Artifact.objects.filter(source__name=source.name):
            entry = entries[artifact.external_id]
            assert artifact.title == entry.title
            assert artifact.is_dated
            assert artifact.published_at == entry.published
            assert len(artifact.authors) == len(entry.work.credits)
            assert artifact.engagement.get("comments") == entry.comments
            assert all(paragraph in artifact.text for paragraph in entry.work.paragraphs)


def test_papers_keep_version_categories_comment_journal_and_affiliations(harvested: Run, world: World) -> None:
    preprints = Artifact.objects.filter(kind=ArtifactKind.PREPRINT)
    assert len(preprints) > 80
    for artifact in preprints:
        (paper,) = [work for work in world.works.values() if work.arxiv_id == artifact.external_id]
        assert artifact.metadata["version"] == len(paper.versions)
        assert artifact.updated_at == paper.versions[-1]
        assert artifact.metadata["categories"] == list(paper.categories)
        assert artifact.metadata.get("comment", "") == paper.comment
        assert artifact.metadata.get("journal_ref", "") == paper.journal
        assert artifact.metadata.get("doi", "") == paper.doi
        assert artifact.authors == [
            {"name": credit.written, "affiliation": credit.affiliation} for credit in paper.credits
        ]


def test_every_kind_that_is_harvested_by_now_is_there(harvested: Run) -> None:
    kinds = set(Artifact.objects.values_list("kind", flat=True))
    assert kinds == {ArtifactKind.PREPRINT, ArtifactKind.ARTICLE, ArtifactKind.RELEASE}


def test_exactly_the_planted_duplicates_are_linked(harvested: Run, world: World) -> None:
    assert same_works() == set(world.sightings().values())


def test_no_near_miss_is_linked(harvested: Run, world: World) -> None:
    seen = world.sightings()
    for miss in NEAR_MISSES:
        left, right = (_ids(seen[key]) for key in miss.works)
        assert not Relationship.objects.filter(source__in=left, target__in=right).exists(), miss
        assert not Relationship.objects.filter(source__in=right, target__in=left).exists(), miss


def _ids(sightings: Iterable[Sighting]) -> list[int]:
    return [Artifact.objects.get(source__name=one.source, external_id=one.guid).pk for one in sightings]


def test_each_way_to_prove_a_duplicate_is_used(harvested: Run) -> None:
    counts: dict[str, int] = defaultdict(int)
    for method in Relationship.objects.values_list("method", flat=True):
        counts[method] += 1
    assert set(counts) == {"doi", "arxiv", "url", "title"}
    assert min(counts.values()) >= 5


def test_every_artifact_has_a_score(harvested: Run) -> None:
    assert Score.objects.count() == Artifact.objects.count()


def test_a_second_harvest_adds_nothing(harvested: Run) -> None:
    before = (Artifact.objects.count(), Identifier.objects.count(), Relationship.objects.count())
    again = harvest_once()

    assert (Artifact.objects.count(), Identifier.objects.count(), Relationship.objects.count()) == before
    assert sum(report["created"] + report["updated"] for report in again.source_reports) == 0
    outcomes = {report["name"]: report["outcome"] for report in again.source_reports}
    assert all(outcomes[source.name] == ("fetched" if source.kind == "arxiv" else "unchanged") for source in SOURCES)


def test_removing_leaves_nothing_of_it_and_everything_else() -> None:
    own = make_artifact(make_source(name="Own"))
    load_sample(anchor=ANCHOR)
    harvest_once()
    removed = remove_sample()

    assert removed.sources == len(SOURCES)
    assert removed.artifacts >= 140
    assert list(Artifact.objects.all()) == [own]
    assert Source.objects.get() == own.source
    assert not Relationship.objects.exists()
    assert not Identifier.objects.exclude(artifact=own).exists()
    assert not Score.objects.exclude(artifact=own).exists()
