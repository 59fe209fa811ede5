"""Takes links back, so that what they joined is compared anew."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Q, QuerySet

from harvester.models import Artifact, ArtifactStage, Relationship, RelationshipType


def withdraw(links: QuerySet[Relationship]) -> None:
    """Delete ``same_as`` links and let the artifacts at both ends wait for the comparison again."""
    ends = {end for pair in links.values_list("source_id", "target_id") for end in pair}
    if ends:
        links.delete()
        Artifact.objects.filter(pk__in=ends).update(stage=ArtifactStage.INGESTED)


def same_as_of(artifacts: Collection[int] | QuerySet[Artifact]) -> QuerySet[Relationship]:
    """The ``same_as`` links of these artifacts, in either direction."""
    of_them = Q(source__in=artifacts) | Q(target__in=artifacts)
    return Relationship.objects.filter(of_them, type=RelationshipType.SAME_AS)
