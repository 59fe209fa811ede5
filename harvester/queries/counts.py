"""How many there are, for those who ask every few seconds: one grouped query each, which an index can serve."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db.models import Count, Q, QuerySet

from harvester.models import MAX_ATTEMPTS, Artifact, ArtifactStage, Score, Source
from ratelimit.models import ApiKey


def discoveries_by_source() -> Mapping[str, int]:
    """How many scored artifacts each source has, by its name; the oldest source first, and those without any too."""
    counts = dict(Score.objects.order_by().values_list("source").annotate(Count("pk")))
    names = Source.objects.order_by("pk").values_list("pk", "name")
    return {name: counts.get(source, 0) for source, name in names}


def artifacts_waiting() -> Mapping[str, int]:
    """How many artifacts have been through a stage (an ArtifactStage) and wait for the next; given up ones do not."""
    # The condition is that of the index artifact_waiting, word for word: of what is scored no row is read.
    waiting = Artifact.objects.filter(~Q(stage=ArtifactStage.SCORED), attempts__lt=MAX_ATTEMPTS)
    return dict(waiting.order_by().values_list("stage").annotate(Count("pk")))


def good_keys_by_tier(now: datetime) -> Mapping[str, int]:
    """How many API keys are good, by the tier that stands on them, which is empty for the one that every key has."""
    return dict(_good_keys(now).order_by().values_list("tier").annotate(Count("pk")))


def _good_keys(now: datetime) -> QuerySet[ApiKey]:
    is_not_expired = Q(expires_at=None) | Q(expires_at__gt=now)
    has_active_owner = Q(owner=None) | Q(owner__is_active=True)
    return ApiKey.objects.filter(is_not_expired, has_active_owner, revoked_at=None)
