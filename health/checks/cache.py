"""What a cache alias stands for, without making the cache."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.cache import caches
from django.utils.module_loading import import_string

from health.errors import UnusableOptionError


def cache_class(alias: str) -> type:
    """Its backend's class. Raises UnusableOptionError where there is none."""
    if alias not in caches.settings:
        raise UnusableOptionError(f"there is no cache “{alias}” in CACHES")
    backend = caches.settings[alias]["BACKEND"]
    try:
        kind: type = import_string(backend)
    except ImportError:
        raise UnusableOptionError(f"the cache “{alias}” cannot be had: importing {backend} fails") from None
    return kind


def cache_locations(alias: str) -> Sequence[str]:
    """Its servers, the one that is written to first."""
    location = caches.settings[alias].get("LOCATION", "")
    return location.replace(";", ",").split(",") if isinstance(location, str) else list(location)
