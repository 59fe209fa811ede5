"""How much an artifact deserves attention, and why."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Score(models.Model):
    """One artifact's score.

    ``discovery_score`` is 0 to 100 at publication. ``rank`` is ``log2(max(score, .01)) + hours_published / 336``: since
    every score halves every 336 hours, the order by ``rank`` is the order by decayed score at any time, and an index
    can serve it. ``components`` is ``[{"name", "value", "weight", "reason"}]`` with values 0 to 100 and weights that
    sum to 1; ``value × weight`` sums to the score.
    """

    artifact = models.OneToOneField("harvester.Artifact", on_delete=models.CASCADE, primary_key=True)
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
        indexes = [models.Index(fields=["-rank", "-artifact"], name="score_best")]

    def __str__(self) -> str:
        return f"{self.discovery_score:.0f}"
