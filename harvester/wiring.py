"""What the apps below tell, counted: the one file that listens to signals.

The law for listeners: synchronous, in memory, no I/O. They run within requests and probes, 1 to 3 µs each.
"""

from __future__ import annotations

from typing import Any

from celery.signals import worker_ready

from harvester import metrics
from harvester.metrics import CheckResult, Mishap
from health.signals import component_checked, status_changed
from health.status import ComponentHealth, HealthStatus
from observability.metrics import TASK_OUTCOMES, background_task_duration, background_tasks_completed
from ratelimit.bucket import Decision
from ratelimit.signals import backend_changed, identity_rejected, request_checked

_WORST = HealthStatus.UNHEALTHY.severity
_AS_SET_UP = frozenset({"locmem", "no_redis"})
"""Reasons to decide in memory that are the settings' choice; with any other a Redis was wanted."""
_OWN_TASKS = "harvester.tasks."


def connect() -> None:
    """Listen; doing so again changes nothing."""
    request_checked.connect(_count_check, dispatch_uid="harvester.wiring")
    identity_rejected.connect(_count_rejection, dispatch_uid="harvester.wiring")
    backend_changed.connect(_note_backend, dispatch_uid="harvester.wiring")
    component_checked.connect(_note_component, dispatch_uid="harvester.wiring")
    status_changed.connect(_count_decline, dispatch_uid="harvester.wiring")
    worker_ready.connect(_expect_tasks, dispatch_uid="harvester.wiring")


def _count_check(decision: Decision, shadow: bool, duration_seconds: float, **_: Any) -> None:
    result: CheckResult = "shadow" if shadow else "allowed" if decision.allowed else "denied"
    metrics.record_rate_limit_check(decision.tier, result, decision.backend, duration_seconds)


def _count_rejection(reason: str, **_: Any) -> None:
    metrics.rate_limit_identity_failures.at(reason).inc()


def _note_backend(current: str, reason: str, **_: Any) -> None:
    metrics.rate_limiter_backend_up.at(current).set(1)
    if current == "memory" and reason not in _AS_SET_UP:
        metrics.rate_limiter_backend_up.at("redis").set(0)
        metrics.record_mishap(Mishap.RATE_LIMIT_FALLBACK, "warning")


def _note_component(component: ComponentHealth, **_: Any) -> None:
    metrics.health_component_status.at(component.name).set(_WORST - component.status.severity)
    metrics.health_check_duration.at(component.name).observe(component.check_duration_ms / 1000)


def _count_decline(component: ComponentHealth, previous: HealthStatus | None, **_: Any) -> None:
    """Of a component that has become worse."""
    if component.status.severity <= (previous or HealthStatus.HEALTHY).severity:
        return
    if component.status is HealthStatus.UNHEALTHY:
        metrics.record_mishap(Mishap.COMPONENT_UNHEALTHY, "error")
    else:
        metrics.record_mishap(Mishap.COMPONENT_DEGRADED, "warning")


def _expect_tasks(sender: Any, **_: Any) -> None:
    """The series of our own tasks are there at zero once a worker is: the first failure is then a rise."""
    for name in sender.app.tasks:
        if name.startswith(_OWN_TASKS):
            background_task_duration.at(name)
            for outcome in TASK_OUTCOMES:
                background_tasks_completed.at(name, outcome)
