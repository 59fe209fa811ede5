"""Kubernetes probes for any Django project.

The names below are the public ones. They are imported when first used, so that ``import health`` needs no settings.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from health.base import Check, Finding
    from health.errors import HealthError
    from health.probes import check_liveness, check_readiness, check_startup
    from health.status import ComponentHealth, HealthCheckResponse, HealthStatus

__all__ = [
    "Check",
    "ComponentHealth",
    "Finding",
    "HealthCheckResponse",
    "HealthError",
    "HealthStatus",
    "check_liveness",
    "check_readiness",
    "check_startup",
]

_HOMES = {
    "base": ("Check", "Finding"),
    "errors": ("HealthError",),
    "probes": ("check_liveness", "check_readiness", "check_startup"),
    "status": ("ComponentHealth", "HealthCheckResponse", "HealthStatus"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
