"""What must be asked rather than told, asked when somebody looks: discoveries, the backlog, buckets, keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from django.utils import timezone
from prometheus_client.core import Metric as Family

from harvester import metrics
from harvester.models import ArtifactStage
from harvester.pipeline import ingest, same_work, score
from harvester.queries.counts import artifacts_waiting, discoveries_by_source, good_keys_by_tier
from ratelimit import get_rate_limiter
from ratelimit.tiers import counted_as, known_tiers

COUNTING_SECONDS = 1.0
"""How long Redis may be walked through; with more buckets than that finds there is no number."""


class DiscoveryCollector:
    """How many discoveries there are, and what waits to become one."""

    def collect(self) -> Iterator[Family]:
        yield metrics.discoveries.family({(source,): count for source, count in discoveries_by_source().items()})
        waiting = artifacts_waiting()
        yield metrics.discovery_backlog.family(
            {
                (ingest.NAME,): ingest.pending().count(),
                (same_work.NAME,): waiting.get(ArtifactStage.INGESTED, 0),
                (score.NAME,): waiting.get(ArtifactStage.LINKED, 0),
            }
        )


class BucketCollector:
    """How many buckets the limiter keeps."""

    def collect(self) -> Iterator[Family]:
        limiter = get_rate_limiter()
        counts: dict[tuple[str, ...], float] = {("memory",): limiter.stats().buckets_in_memory}
        if self._asks_redis():
            buckets = limiter.count_buckets(COUNTING_SECONDS)
            if buckets is not None and self._asks_redis():  # else it went away meanwhile, and memory was counted
                counts["redis",] = buckets
        yield metrics.rate_limiter_buckets_active.family(counts)

    def _asks_redis(self) -> bool:
        stats = get_rate_limiter().stats()
        return stats.wanted == "redis" and stats.backend != "memory"


class ApiKeyCollector:
    """How many API keys are good now, of each tier; one that the settings no longer know counts as its keys do."""

    def collect(self) -> Iterator[Family]:
        counts: Counter[tuple[str, ...]] = Counter({(tier,): 0 for tier in known_tiers()})
        for tier, number in good_keys_by_tier(timezone.now()).items():
            counts[counted_as(tier),] += number
        yield metrics.api_keys_active.family(counts)
