"""How it works: the score's formula with today's weights, and the API rendered from its own document."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from harvester.models import ArtifactKind
from harvester.pipeline.score import EARLINESS_HALF_LIFE, NEUTRAL, TYPICAL_ATTENTION, WEIGHTS
from harvester.queries.ranks import BANDS, HALF_LIFE_HOURS


@require_safe
def score_page(request: HttpRequest) -> HttpResponse:
    context = {
        "here": "about",
        "weights": WEIGHTS,
        "earliness_half_life_days": EARLINESS_HALF_LIFE.days,
        "typical_attention": [(ArtifactKind(kind).label, count) for kind, count in TYPICAL_ATTENTION.items()],
        "neutral": NEUTRAL,
        "half_life_days": HALF_LIFE_HOURS // 24,
        "half_life_hours": HALF_LIFE_HOURS,
        "bands": BANDS,
    }
    return render(request, "about/score.html", context)


@require_safe
def api_page(request: HttpRequest) -> HttpResponse:
    return render(request, "about/api.html", {"here": "about"})
