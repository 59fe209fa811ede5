"""Prometheus metrics for any Django project.

The names below are the public ones. They are imported when first used, so that ``import observability`` needs no
settings.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from observability.catalogue import Budget, Closed, Label, Mode
    from observability.collectors.base import Collector
    from observability.errors import ObservabilityError
    from observability.exposition import get_metrics
    from observability.live import Counter, Gauge, Histogram
    from observability.pulled import Pulled
    from observability.tracking import (
        record_cache_hit,
        record_cache_miss,
        record_error,
        timed,
        track_db_query,
        track_http_request,
    )

__all__ = [
    "Budget",
    "Closed",
    "Collector",
    "Counter",
    "Gauge",
    "Histogram",
    "Label",
    "Mode",
    "ObservabilityError",
    "Pulled",
    "get_metrics",
    "record_cache_hit",
    "record_cache_miss",
    "record_error",
    "timed",
    "track_db_query",
    "track_http_request",
]

_HOMES = {
    "catalogue": ("Budget", "Closed", "Label", "Mode"),
    "collectors.base": ("Collector",),
    "errors": ("ObservabilityError",),
    "exposition": ("get_metrics",),
    "live": ("Counter", "Gauge", "Histogram"),
    "pulled": ("Pulled",),
    "tracking": (
        *("track_http_request", "track_db_query", "timed"),
        *("record_cache_hit", "record_cache_miss", "record_error"),
    ),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
