"""How much an artifact deserves attention, and why."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from harvester.models.artifact import ArtifactKind


class Score(models.Model):
    """One artifact's score.

    ``discovery_score`` is 0 to 100 at publication. ``rank`` is ``log2(max(score, .01)) + hours_published / 336``: since
    every score halves every 336 hours, the order by ``rank`` is the order by decayed score at any time, and an index
    can serve it. ``components`` is ``[{"name", "value", "weight", "reason"}]`` with values 0 to 100 and weights that
    sum to 1; ``value × weight`` sums to the score.

    ``source`` and ``kind`` repeat the artifact's, so that the best of one source or kind come from one index too:
    without them a source whose artifacts are all old costs a walk over everything above (``tests/benchmarks/lists.py``
    asks for one).
    """

    artifact = models.OneToOneField("harvester.Artifact", on_delete=models.CASCADE, primary_key=True)
    source = models.ForeignKey(
        "harvester.Source",
        on_delete=models.CASCADE,
        related_name="+",
        editable=False,
        db_index=False,  # an index below begins with it
    )
    kind = models.CharField(max_length=20, choices=ArtifactKind, editable=False)
    discovery_score = models.FloatField()
    rank = models.FloatField()
    components = models.JSONField(default=list)
    explanation = models.CharField(max_length=500)
    computed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(discovery_score__gte=0) & Q(discovery_score__lte=100), name="score_0_to_100"
            )
        ]
        indexes = [
            models.Index(fields=["-rank", "-artifact"], name="score_best"),
            models.Index(fields=["source", "-rank", "-artifact"], name="score_best_of_source"),
            models.Index(fields=["kind", "-rank", "-artifact"], name="score_best_of_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.discovery_score:.0f}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Take source and kind from the artifact; who writes in bulk gives them."""
        self.source_id, self.kind = self.artifact.source_id, self.artifact.kind
        super().save(*args, **kwargs)
