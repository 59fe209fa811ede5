"""The decision table: every combination of states and critical flags, for up to three components."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from health.lifecycle import Lifecycle
from health.probes import check_readiness
from health.status import ComponentHealth, HealthCheckResponse, HealthStatus, overall
from tests.health.fakes import Hangs, only, path_of

HEALTHY, DEGRADED, UNHEALTHY = HealthStatus
KINDS = [(status, critical) for status in HealthStatus for critical in (True, False)]
TABLE = [case for size in range(4) for case in product(KINDS, repeat=size)]


def expected(case: tuple[tuple[HealthStatus, bool], ...]) -> HealthStatus:
    if (UNHEALTHY, True) in case:
        return UNHEALTHY
    return HEALTHY if all(status is HEALTHY for status, _ in case) else DEGRADED


def components(case: tuple[tuple[HealthStatus, bool], ...]) -> Iterator[ComponentHealth]:
    for place, (status, critical) in enumerate(case):
        yield ComponentHealth(f"c{place}", status, "", 0.0, datetime.now(UTC), 0.0, critical)


def test_the_table_is_whole() -> None:
    assert len(TABLE) == 1 + 6 + 36 + 216


@pytest.mark.parametrize("case", TABLE)
def test_the_overall_state(case: tuple[tuple[HealthStatus, bool], ...]) -> None:
    status = overall(components(case))
    assert status is expected(case)
    response = HealthCheckResponse(status, "", 0.0, tuple(components(case)), datetime.now(UTC))
    assert response.is_passing is ((UNHEALTHY, True) not in case)


@pytest.mark.parametrize(
    ("critical", "worst", "whole"),
    [(True, UNHEALTHY, UNHEALTHY), (False, UNHEALTHY, DEGRADED), (True, DEGRADED, DEGRADED), (True, HEALTHY, HEALTHY)],
)
def test_a_hung_check_keeps_its_flag(
    settings: Any, life: Lifecycle, critical: bool, worst: HealthStatus, whole: HealthStatus
) -> None:
    settings.HEALTH_CHECKS = only(
        a="healthy", b={"check": path_of(Hangs), "critical": critical, "worst": worst, "deadline_seconds": 0.05}
    )
    for _ in range(3):  # hung, waited for, and hung again
        found = check_readiness()
        assert found.status is whole
        assert [one.critical for one in found.components] == [True, critical]
        assert found.components[1].status is worst


def test_states_may_be_compared() -> None:
    assert [status.severity for status in HealthStatus] == [0, 1, 2]
    assert UNHEALTHY.at_worst(DEGRADED) is DEGRADED
    assert HEALTHY.at_worst(DEGRADED) is HEALTHY
