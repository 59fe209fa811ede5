"""The questions that an orchestrator and a person ask, and what they are told; one function for each."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from health.conf import conf
from health.engine import get_engine
from health.lifecycle import lifecycle
from health.status import ComponentHealth, HealthCheckResponse, HealthStatus, overall

DRAINING = "draining"
STARTING = "starting"


def check_liveness() -> HealthCheckResponse:
    """Does this process respond? Looks at nothing outside it, and is never anything but healthy."""
    return _response(HealthStatus.HEALTHY)


def check_readiness(exclude: Collection[str] = (), only: str = "") -> HealthCheckResponse:
    """May traffic come? ``exclude`` leaves components out, ``only`` looks at a single one.

    Waits for the longest deadline among the components at most; reads what is younger than a second. With ``only``,
    raises UnknownComponentError.
    """
    return _readiness(get_engine().look(_names(exclude, only)), only)


async def acheck_readiness(exclude: Collection[str] = (), only: str = "") -> HealthCheckResponse:
    """As ``check_readiness``, on an event loop."""
    return _readiness(await get_engine().alook(_names(exclude, only)), only)


def check_startup() -> HealthCheckResponse:
    """Is initialisation done? Unhealthy until all components have passed at once, and never again in this process."""
    return _startup(get_engine().look(_names_at_startup()))


async def acheck_startup() -> HealthCheckResponse:
    """As ``check_startup``, on an event loop."""
    return _startup(await get_engine().alook(_names_at_startup()))


def check_everything(exclude: Collection[str] = ()) -> HealthCheckResponse:
    """All components, for a person: those that only the startup probe asks too."""
    return _everything(get_engine().look(get_engine().names(startup=True, exclude=exclude)))


async def acheck_everything(exclude: Collection[str] = ()) -> HealthCheckResponse:
    """As ``check_everything``, on an event loop."""
    return _everything(await get_engine().alook(get_engine().names(startup=True, exclude=exclude)))


def _names(exclude: Collection[str], only: str) -> Iterable[str]:
    return [only] if only else get_engine().names(startup=False, exclude=exclude)


def _names_at_startup() -> Iterable[str]:
    return [] if lifecycle.has_started else get_engine().names(startup=True)


def _readiness(components: tuple[ComponentHealth, ...], only: str) -> HealthCheckResponse:
    if only:  # of the component alone, critical or not
        return _response(components[0].status, components)
    return _everything(components)


def _startup(components: tuple[ComponentHealth, ...]) -> HealthCheckResponse:
    status = overall(components)
    if status is HealthStatus.UNHEALTHY:
        return _response(status, components, STARTING)
    lifecycle.started()
    return _response(status, components)


def _everything(components: tuple[ComponentHealth, ...]) -> HealthCheckResponse:
    if lifecycle.is_draining:
        return _response(HealthStatus.UNHEALTHY, components, DRAINING)
    return _response(overall(components), components)


def _response(
    status: HealthStatus, components: tuple[ComponentHealth, ...] = (), reason: str = ""
) -> HealthCheckResponse:
    return HealthCheckResponse(
        status=status,
        version=conf.version,
        uptime_seconds=round(lifecycle.uptime_seconds, 3),
        components=components,
        timestamp=datetime.now(UTC),
        reason=reason,
    )
