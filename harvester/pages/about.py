"""How it works: the score's formula with today's weights, and the API rendered from its own document."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from harvester.api.problems import PROBLEM_TYPES
from harvester.api.v1 import api
from harvester.models import ArtifactKind
from harvester.pages.reference import operations, shapes
from harvester.pipeline.score import EARLINESS_HALF_LIFE, NEUTRAL, TYPICAL_ATTENTION, WEIGHTS
from harvester.queries.ranks import BANDS, HALF_LIFE_HOURS
from ratelimit import RateLimitTier, limit_for

_WHO = {
    "Without a key, by address": RateLimitTier.ANONYMOUS,
    "With a key, or signed in": RateLimitTier.API_KEY,
    "With a key or an account of the premium tier": RateLimitTier.PREMIUM,
}


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
    """Nothing here is written twice: limits and errors come from where they arise, operations from the document."""
    document = api.get_openapi_schema()
    site = request.build_absolute_uri("/").rstrip("/")
    context = {
        "here": "about",
        "site": site,
        "description": document["info"]["description"],
        "problems": PROBLEM_TYPES,
        "operations": operations(document, site),
        "shapes": shapes(document),
        "limits": [(who, limit_for(tier)) for who, tier in _WHO.items()],
    }
    return render(request, "about/api.html", context)
