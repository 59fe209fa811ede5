"""How two artifacts belong together, and what shows it."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q


class RelationshipType(models.TextChoices):
    SAME_AS = "same_as", "same work as"


class RelationshipMethod(models.TextChoices):
    DOI = "doi", "same DOI"
    ARXIV = "arxiv", "same arXiv id"
    URL = "url", "same address"
    TITLE = "title", "same title, first author and year"


class Relationship(models.Model):
    """A directed statement with its confidence (0 to 1), method and evidence.

    ``same_as`` has no direction, so it is stored once, from the older artifact to the newer.
    """

    # Neither needs an index of its own: the unique constraint begins with one, an index below with the other.
    source = models.ForeignKey(
        "harvester.Artifact", on_delete=models.CASCADE, related_name="relationships_out", db_index=False
    )
    target = models.ForeignKey(
        "harvester.Artifact", on_delete=models.CASCADE, related_name="relationships_in", db_index=False
    )
    type = models.CharField(max_length=20, choices=RelationshipType)
    confidence = models.FloatField()
    method = models.CharField(max_length=20, choices=RelationshipMethod)
    evidence = models.CharField(max_length=1000)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "target", "type"], name="relationship_unique"),
            models.CheckConstraint(condition=~Q(source=F("target")), name="relationship_not_to_itself"),
            models.CheckConstraint(
                condition=~Q(type=RelationshipType.SAME_AS) | Q(source__lt=F("target")),
                name="relationship_same_as_stored_once",
            ),
            models.CheckConstraint(
                condition=Q(confidence__gte=0) & Q(confidence__lte=1), name="relationship_confidence_0_to_1"
            ),
            models.CheckConstraint(condition=Q(type__in=RelationshipType.values), name="relationship_type_known"),
            models.CheckConstraint(condition=Q(method__in=RelationshipMethod.values), name="relationship_method_known"),
        ]
        indexes = [models.Index(fields=["target", "type"], name="relationship_by_target")]

    def __str__(self) -> str:
        return f"{self.source_id} {self.type} {self.target_id}"
