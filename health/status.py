"""What a probe says: the state of one component, and of the whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class HealthStatus(StrEnum):
    """From well to not; compare by ``severity``."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"

    @property
    def severity(self) -> int:
        """0, 1, 2, for comparing and for gauges."""
        return _SEVERITIES[self]

    def at_worst(self, worst: HealthStatus) -> HealthStatus:
        return self if self.severity <= worst.severity else worst


_SEVERITIES = {HealthStatus.HEALTHY: 0, HealthStatus.DEGRADED: 1, HealthStatus.UNHEALTHY: 2}


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """What was last found out about one component.

    ``message`` comes from a closed list, but may name paths and versions: it is for those who may see details.
    ``checked_at`` is aware, in UTC; ``age_ms`` is how long ago that was when this was read.
    """

    name: str
    status: HealthStatus
    message: str
    check_duration_ms: float
    checked_at: datetime
    age_ms: float
    critical: bool


@dataclass(frozen=True, slots=True)
class HealthCheckResponse:
    """What a probe answers. ``reason`` is ``draining``, ``starting`` or empty; times are aware, in UTC."""

    status: HealthStatus
    version: str
    uptime_seconds: float
    components: tuple[ComponentHealth, ...]
    timestamp: datetime
    reason: str = ""

    @property
    def is_passing(self) -> bool:
        """Whether traffic may come: healthy and degraded pass."""
        return self.status is not HealthStatus.UNHEALTHY


def overall(components: Iterable[ComponentHealth]) -> HealthStatus:
    """Unhealthy if a critical component is; else degraded if any is not healthy; else healthy, also without any."""
    found = HealthStatus.HEALTHY
    for component in components:
        if component.status is HealthStatus.UNHEALTHY and component.critical:
            return HealthStatus.UNHEALTHY
        if component.status is not HealthStatus.HEALTHY:
            found = HealthStatus.DEGRADED
    return found
