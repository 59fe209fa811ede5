"""How many parsed entries a second ingest stores, from an empty database to 100,000 rows, and the stages after it.

Goals: at least 1,000 entries a second; the last tenth of the rows at no less than half the rate of the first thousand;
memory bounded by the page. The reference beside it is the same rows (without raw, identifiers, hashes or cursor)
through one plain ``bulk_create`` per page into the same database, in the same run.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harvester.config.settings")
django.setup()

from django.db import connection  # noqa: E402 - Django must be set up first
from django.utils import timezone  # noqa: E402 - Django must be set up first

from harvester.models import Artifact, ArtifactKind, IdentifierScheme, Relationship, Score, Source  # noqa: E402 - as above
from harvester.pipeline import same_work, score  # noqa: E402 - Django must be set up first
from harvester.pipeline.ingest import storing  # noqa: E402 - Django must be set up first
from harvester.pipeline.stage import StageReport  # noqa: E402 - Django must be set up first
from harvester.queries.statistics import Growth  # noqa: E402 - Django must be set up first
from harvester.sources.base import Author, Item, Page  # noqa: E402 - Django must be set up first

ROWS = int(os.environ.get("ROWS", "100000"))
PAGE = 200
ABSTRACT = "We study how agents keep what they have learned, and report on a year of it. " * 15  # 1,170 characters
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def items(first: int, count: int) -> list[Item]:
    """Papers as arXiv gives them: two authors, a DOI for every third, a kilobyte of abstract."""
    return [
        Item(
            external_id=f"2601.{n:06}",
            kind=ArtifactKind.PREPRINT,
            url=f"https://arxiv.org/abs/2601.{n:06}",
            title=f"On the persistence of memory number {n} in agents that use tools",
            text=ABSTRACT,
            published_at=FIRST_DAY + timedelta(seconds=n),
            authors=(Author(f"Ada Example{n % 997}", "Lab"), Author("Bob Other")),
            identifiers=(
                (IdentifierScheme.ARXIV, f"2601.{n:06}"),
                *(((IdentifierScheme.DOI, f"10.5555/{n}"),) if n % 3 == 0 else ()),
            ),
            metadata={"categories": ["cs.LG", "cs.AI"], "version": 1},
            raw={"id": f"http://arxiv.org/abs/2601.{n:06}v1", "title": "…"},
        )
        for n in range(first, first + count)
    ]


def pages(rows: int) -> Iterator[list[Item]]:
    for first in range(0, rows, PAGE):
        yield items(first, min(PAGE, rows - first))


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_ingest(source: Source) -> None:
    marks = {1_000, 10_000, ROWS // 10 * 9, ROWS}
    done, spent, last_done, last_spent = 0, 0.0, 0, 0.0
    memory_at_first, growth = 0.0, Growth()
    print(f"{'rows':>8}  {'entries/s since the mark before':>32}  {'peak MB':>8}")
    for page in pages(ROWS):
        started = time.perf_counter()
        growth.add(storing.store(source, page, Page(items=tuple(page), cursor={"done": done})).created)
        spent += time.perf_counter() - started
        done += len(page)
        if done in marks:
            memory_at_first = memory_at_first or peak_megabytes()
            print(f"{done:>8}  {(done - last_done) / (spent - last_spent):>32,.0f}  {peak_megabytes():>8.0f}")
            last_done, last_spent = done, spent
    print(f"ingest, all: {done / spent:,.0f} entries/s; memory grew by {peak_megabytes() - memory_at_first:.0f} MB")


def measure_again(source: Source) -> None:
    started = time.perf_counter()
    for page in pages(ROWS // 10):
        storing.store(source, page, Page(items=tuple(page), cursor={}))
    print(f"the first tenth again, unchanged: {ROWS // 10 / (time.perf_counter() - started):,.0f} entries/s")


def measure_stage(name: str, run: Callable[[], StageReport]) -> None:
    started, growth = time.perf_counter(), Growth()
    while processed := run().processed:
        growth.add(processed)
    print(f"{name}: {ROWS / (time.perf_counter() - started):,.0f} artifacts/s")


def measure_reference() -> None:
    source = Source.objects.create(name="reference", kind="arxiv", query="all:y")
    now = timezone.now()
    rows = min(ROWS, 20_000)
    spent = 0.0
    for page in pages(rows):
        started = time.perf_counter()
        Artifact.objects.bulk_create(
            Artifact(
                source=source, external_id=item.external_id, kind=item.kind, canonical_url=item.url, title=item.title,
                text=item.text, published_at=item.published_at, first_seen_at=now,
            )
            for item in page
        )  # fmt: skip
        spent += time.perf_counter() - started
    print(f"reference, plain bulk_create: {rows / spent:,.0f} rows/s")


def main() -> None:
    source = Source.objects.create(name="bench", kind="arxiv", query="all:x")
    measure_ingest(source)
    measure_again(source)
    measure_stage("same_work", same_work.run)
    measure_stage("score", score.run)
    measure_reference()
    stored = Artifact.objects.filter(source=source).count(), Score.objects.count(), Relationship.objects.count()
    print(f"stored: {stored[0]:,} artifacts, {stored[1]:,} scores, {stored[2]:,} links ({connection.vendor})")


if __name__ == "__main__":
    main()
