"""Checks of the product's own for its operator: whether sources answer, harvests run and a worker lives.

None is critical: pages are served from what was harvested before, so no pod is to be taken out for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from django.utils import timezone

from harvester.queries.runs import last_success_at, worker_is_alive
from harvester.queries.sources import oldest_active_source_at, sources_failing_since
from health.base import Finding
from health.checks.orm import OrmCheck
from health.status import HealthStatus

FAILING_HOURS = 24.0
"""A service that is down over a night mends itself; one that is away for a day needs somebody."""
STALE_HOURS = 25.0
"""Every source is due once a day at the least often used interval; an hour is for the harvest itself."""


@dataclass(kw_only=True)
class _OperatorsCheck(OrmCheck):
    critical: bool = False
    worst: HealthStatus = HealthStatus.DEGRADED


@dataclass(kw_only=True)
class SourcesCheck(_OperatorsCheck):
    """Degraded while an active source has answered nothing but failures for ``failing_hours``."""

    failing_hours: float = FAILING_HOURS

    messages: ClassVar[Mapping[str, str]] = {
        "fine": "No active source has been failing for more than {hours:g} hours.",
        "failing": "Active sources that have been failing for more than {hours:g} hours: {count}. See /sources.",
    }

    def look(self) -> Finding:
        count = sources_failing_since(timezone.now() - timedelta(hours=self.failing_hours))
        if count:
            return self.found(HealthStatus.DEGRADED, "failing", hours=self.failing_hours, count=count)
        return self.found(HealthStatus.HEALTHY, "fine", hours=self.failing_hours)


@dataclass(kw_only=True)
class PipelineCheck(_OperatorsCheck):
    """Degraded when no harvest has succeeded for ``stale_hours`` although there were sources to read."""

    stale_hours: float = STALE_HOURS

    messages: ClassVar[Mapping[str, str]] = {
        "fine": "The last successful harvest was {hours:.1f} hours ago.",
        "stale": "The last successful harvest was {hours:.1f} hours ago. See /runs.",
        "never": "There are sources for {hours:.1f} hours, and no harvest has succeeded. See /runs.",
        "new": "No harvest has succeeded yet, and no source has been there for {hours:g} hours.",
    }

    def look(self) -> Finding:
        now, patience = timezone.now(), timedelta(hours=self.stale_hours)
        succeeded_at, waiting_since = last_success_at(), oldest_active_source_at()
        if succeeded_at is not None:
            is_stale = waiting_since is not None and now - max(succeeded_at, waiting_since) > patience
            status, code = (HealthStatus.DEGRADED, "stale") if is_stale else (HealthStatus.HEALTHY, "fine")
            return self.found(status, code, hours=(now - succeeded_at) / timedelta(hours=1))
        if waiting_since is not None and now - waiting_since > patience:
            return self.found(HealthStatus.DEGRADED, "never", hours=(now - waiting_since) / timedelta(hours=1))
        return self.found(HealthStatus.HEALTHY, "new", hours=self.stale_hours)


@dataclass(kw_only=True)
class WorkerCheck(_OperatorsCheck):
    """Degraded while no worker says that it lives: harvests that are asked for then wait."""

    messages: ClassVar[Mapping[str, str]] = {
        "alive": "A worker has said that it lives.",
        "silent": "No worker has said that it lives: harvests that are asked for wait. Start one.",
    }

    def look(self) -> Finding:
        if worker_is_alive(timezone.now()):
            return self.found(HealthStatus.HEALTHY, "alive")
        return self.found(HealthStatus.DEGRADED, "silent")
