"""How quickly lists are answered with 100,000 artifacts, through the whole application but the server.

Goal: at most 50 ms at the 95th percentile on PostgreSQL. The sources are of very different size, and one holds only
what is old: filters that meet nothing near the top are where a list without the right index walks through everything.
"""

from __future__ import annotations

import os
import random
import time
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harvester.config.settings")
os.environ["RATELIMIT_TIERS"] = '{"anonymous": {"limit": 100000}}'
django.setup()

from django.core.management import call_command  # noqa: E402 - Django must be set up first
from django.db import connection  # noqa: E402 - as above
from django.test import Client  # noqa: E402 - as above
from django.utils import timezone  # noqa: E402 - as above

from harvester.models import Artifact, ArtifactKind, Score, Source  # noqa: E402 - as above
from tests.factories import artifact_row, make_source, score_row  # noqa: E402 - as above

ROWS = int(os.environ.get("ROWS", "100000"))
BATCH = 5000
SOURCES = 60
REQUESTS = 60
TEXT = "We study how agents keep what they have learned, and report on a year of it. " * 15
KINDS = (ArtifactKind.PREPRINT,) * 60 + (ArtifactKind.ARTICLE,) * 39 + (ArtifactKind.RELEASE,)


def fill() -> None:
    chance = random.Random(1)  # noqa: S311 - the same world each time, nothing secret
    now = timezone.now()
    sources = [make_source(f"Source {number}") for number in range(SOURCES)]

    def row() -> Artifact:
        is_old = chance.random() < 0.05
        source = sources[0] if is_old else sources[min(int(chance.paretovariate(0.7)), SOURCES - 1)]
        age = chance.uniform(600, 4000) if is_old else chance.expovariate(1 / 120)
        return artifact_row(source, kind=chance.choice(KINDS), text=TEXT, published_at=now - timedelta(days=age))

    for first in range(0, ROWS, BATCH):
        artifacts = Artifact.objects.bulk_create(row() for _ in range(min(BATCH, ROWS - first)))
        Score.objects.bulk_create(
            score_row(artifact, min(100.0, max(0.0, chance.gauss(50, 20)))) for artifact in artifacts
        )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")  # what autovacuum does within a minute or two of such a load


def measure(address: str) -> None:
    client, spent = Client(SERVER_NAME="localhost"), []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        response = client.get(address)
        spent.append((time.perf_counter() - started) * 1000)
        assert response.status_code == 200, (address, response.status_code)
    spent.sort()
    median, late = spent[REQUESTS // 2], spent[int(REQUESTS * 0.95)]
    print(f"{address[:72]:72} p50 {median:6.1f} ms  p95 {late:6.1f} ms", flush=True)


def deep(address: str, pages: int = 20) -> str:
    """The address of a page far down the list."""
    for _ in range(pages):
        address = Client(SERVER_NAME="localhost").get(address).json()["next"]
    return address


def main() -> None:
    call_command("collectstatic", interactive=False, verbosity=0)
    fill()
    print(f"{Artifact.objects.count():,} artifacts of {Source.objects.count()} sources ({connection.vendor})")
    api, week = "/api/v1/discoveries", (timezone.now() - timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ")
    measure("/")
    for query in (
        "",
        "?limit=100",
        "?sort=newest",
        "?source=Source+0",
        "?source=Source+0&sort=newest",
        "?source=Source+0&min_score=1&sort=newest",
        "?source=Source+59",
        "?kind=release",
        "?min_score=60",
        "?min_score=60&sort=newest",
        f"?since={week}",
        f"?since={week}&min_score=30&kind=release&source=Source+1",
    ):
        measure(f"{api}{query}")
    for query in ("", "?sort=newest", "?source=Source+0", "?min_score=1"):
        measure(deep(f"{api}{query}"))
    measure("/api/v1/sources")
    measure(f"/api/v1/artifacts/{Artifact.objects.order_by('pk').values_list('pk', flat=True)[0]}")


if __name__ == "__main__":
    main()
