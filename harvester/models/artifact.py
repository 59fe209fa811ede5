"""A thing that was found, and the identifiers that say which work it is."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

MAX_ATTEMPTS = 3


class ArtifactKind(models.TextChoices):
    PREPRINT = "preprint", "preprint"
    REPOSITORY = "repository", "repository"
    POST = "post", "post"
    RELEASE = "release", "release"
    ARTICLE = "article", "article"


class ArtifactStage(models.TextChoices):
    """The last stage of the pipeline that has finished with an artifact; the next one looks for it here."""

    INGESTED = "ingested", "ingested"
    LINKED = "linked", "linked to the same work elsewhere"
    SCORED = "scored", "scored"


class Artifact(models.Model):
    """One entry of one source. The same work in another source is another artifact, linked by ``same_as``."""

    source = models.ForeignKey(
        "harvester.Source",
        on_delete=models.CASCADE,
        related_name="artifacts",
        db_index=False,  # the indexes below begin with it
    )
    external_id = models.CharField(max_length=500)
    kind = models.CharField(max_length=20, choices=ArtifactKind)
    canonical_url = models.CharField(max_length=2000, blank=True)
    title = models.CharField(max_length=1000)
    text = models.TextField(blank=True)
    authors = models.JSONField(default=list, blank=True, help_text='[{"name": …, "affiliation": …}]')
    published_at = models.DateTimeField(
        help_text="When the source says it appeared; where it says nothing, when we first saw it."
    )
    is_dated = models.BooleanField(default=True, help_text="False where the source gave no usable date.")
    updated_at = models.DateTimeField(null=True, blank=True)
    first_seen_at = models.DateTimeField()
    engagement = models.JSONField(default=dict, blank=True, help_text="Counts of attention, by name.")
    metadata = models.JSONField(default=dict, blank=True, help_text="What only this kind of source knows.")
    raw = models.JSONField(default=dict, blank=True, help_text="The entry as read.")
    content_hash = models.CharField(max_length=64, help_text="SHA-256 of the entry; unchanged means nothing to write.")

    stage = models.CharField(max_length=20, choices=ArtifactStage, default=ArtifactStage.INGESTED)
    failed_stage = models.CharField(max_length=20, blank=True)
    error = models.CharField(max_length=500, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="artifact_unique_in_source"),
            models.CheckConstraint(condition=~Q(external_id=""), name="artifact_external_id_not_empty"),
            models.CheckConstraint(condition=Q(kind__in=ArtifactKind.values), name="artifact_kind_known"),
            models.CheckConstraint(condition=Q(stage__in=ArtifactStage.values), name="artifact_stage_known"),
        ]
        indexes = [
            models.Index(fields=["-published_at", "-id"], name="artifact_newest"),
            models.Index(fields=["source", "-published_at", "-id"], name="artifact_newest_of_source"),
            models.Index(fields=["kind", "-published_at", "-id"], name="artifact_newest_of_kind"),
            models.Index(fields=["stage", "id"], name="artifact_waiting", condition=~Q(stage=ArtifactStage.SCORED)),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_given_up(self) -> bool:
        """A stage has failed on it so often that none tries again until a person asks for it."""
        return self.attempts >= MAX_ATTEMPTS


class IdentifierScheme(models.TextChoices):
    """By what a work is recognised; strongest first."""

    DOI = "doi", "DOI"
    ARXIV = "arxiv", "arXiv id"
    URL = "url", "canonical URL"
    TITLE = "title", "title, first author and year"


class Identifier(models.Model):
    """One statement that an artifact is the work with this identifier, in normal form."""

    artifact = models.ForeignKey(
        Artifact,
        on_delete=models.CASCADE,
        related_name="identifiers",
        db_index=False,  # the unique constraint below begins with it
    )
    scheme = models.CharField(max_length=10, choices=IdentifierScheme)
    value = models.CharField(max_length=500)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["artifact", "scheme", "value"], name="identifier_unique"),
            models.CheckConstraint(condition=Q(scheme__in=IdentifierScheme.values), name="identifier_scheme_known"),
            models.CheckConstraint(condition=~Q(value=""), name="identifier_value_not_empty"),
        ]
        indexes = [models.Index(fields=["scheme", "value", "artifact"], name="identifier_lookup")]

    def __str__(self) -> str:
        return f"{self.scheme}:{self.value}"
