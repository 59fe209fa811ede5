"""A place that is watched: what it is, where its reading stands, and how it has been doing."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from harvester.models.counted import CountedSource

LONGEST_NAME = 200
LONGEST_ADDRESS = 2000
SHORTEST_INTERVAL_SECONDS = 60
LONGEST_INTERVAL_SECONDS = 30 * 24 * 3600


class SourceKind(models.TextChoices):
    ARXIV = "arxiv", "arXiv"
    FEED = "feed", "Feed"


class SourceState(models.TextChoices):
    ACTIVE = "active", "active"
    PAUSED = "paused", "paused"


class Source(CountedSource, models.Model):
    """One watched place. ``cursor`` belongs to the file of its kind in ``harvester.sources``; nobody else reads it."""

    name = models.CharField(max_length=LONGEST_NAME, help_text="Unique, whatever the case; shown everywhere.")
    kind = models.CharField(max_length=20, choices=SourceKind)
    url = models.CharField(
        max_length=LONGEST_ADDRESS,
        blank=True,
        help_text="For a feed its address. For other kinds it replaces the service's own (mirror, proxy, recording).",
    )
    query = models.CharField(
        max_length=LONGEST_ADDRESS, blank=True, help_text="What to ask the service for, in its own language."
    )
    state = models.CharField(max_length=10, choices=SourceState, default=SourceState.ACTIVE)
    is_sample = models.BooleanField(default=False, help_text="Belongs to the sample world; removed with it.")
    interval_seconds = models.PositiveIntegerField(
        default=3600,
        validators=[MinValueValidator(SHORTEST_INTERVAL_SECONDS), MaxValueValidator(LONGEST_INTERVAL_SECONDS)],
        help_text="Shortest time between two scheduled fetches, in seconds: a minute to thirty days.",
    )

    cursor = models.JSONField(default=dict, blank=True)
    etag = models.CharField(max_length=500, blank=True)
    last_modified = models.CharField(max_length=200, blank=True)

    next_fetch_at = models.DateTimeField(default=timezone.now)
    leave_alone_until = models.DateTimeField(
        null=True, blank=True, help_text="The service asked not to be called before (Retry-After); always obeyed."
    )
    last_fetch_at = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)
    consecutive_failures = models.PositiveIntegerField(default=0)
    failure_reason = models.CharField(max_length=40, blank=True, help_text="From the closed list of fetch failures.")
    failure_detail = models.CharField(max_length=500, blank=True)
    claimed_by = models.ForeignKey(
        "harvester.Run",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="claimed_sources",
        help_text="The run that is fetching it now.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(Lower("name"), name="source_name_unique"),
            models.CheckConstraint(condition=~Q(name=""), name="source_name_not_empty"),
            models.CheckConstraint(
                condition=Q(interval_seconds__range=(SHORTEST_INTERVAL_SECONDS, LONGEST_INTERVAL_SECONDS)),
                name="source_interval_reasonable",
            ),
            models.CheckConstraint(condition=Q(kind__in=SourceKind.values), name="source_kind_known"),
            models.CheckConstraint(condition=Q(state__in=SourceState.values), name="source_state_known"),
        ]
        indexes = [models.Index(fields=["state", "next_fetch_at"], name="source_due")]

    def __str__(self) -> str:
        return self.name

    @property
    def state_word(self) -> str:
        """The one word pages and API show: paused, new, failing or fine."""
        if self.state == SourceState.PAUSED:
            return "paused"
        if self.consecutive_failures:
            return "failing"
        return "fine" if self.last_success_at else "new"
