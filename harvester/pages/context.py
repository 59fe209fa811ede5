"""What every page knows without asking for it: the moment it is made at, and whether the sample world is loaded."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from harvester.conf import conf
from harvester.models import Source

SAMPLE_FLAG_KEY = "pages:has_sample_world"
SAMPLE_FLAG_SECONDS = 60  # a page may say “sample” for so long after the sample world went


def page_head(request: HttpRequest) -> dict[str, Any]:
    """The context processor; the flag is looked up only by templates that show it."""
    return {
        "now": timezone.now(),
        "has_sample_world": SimpleLazyObject(_has_sample_world),
        "product_version": conf.version,
    }


def _has_sample_world() -> bool:
    held = cache.get(SAMPLE_FLAG_KEY)
    if held is None:
        held = Source.objects.filter(is_sample=True).exists()
        cache.set(SAMPLE_FLAG_KEY, held, SAMPLE_FLAG_SECONDS)
    return bool(held)
