"""A probe's answer as JSON."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from health.status import ComponentHealth, HealthCheckResponse


def as_json(response: HealthCheckResponse, *, details: bool) -> str:
    """In one line; without ``details``, what anybody may know. Times are RFC 3339, in UTC."""
    body: dict[str, Any] = {"status": response.status}
    if response.reason:
        body["reason"] = response.reason
    body["timestamp"] = _rfc3339(response.timestamp)
    if details:
        body |= {"version": response.version, "uptime_seconds": response.uptime_seconds}
    body["components"] = [_component(one, details=details) for one in response.components]
    return in_one_line(body)


def in_one_line(body: dict[str, Any]) -> str:
    """Without blanks: a kubelet keeps the first kilobyte or so."""
    return json.dumps(body, separators=(",", ":"))


def _component(component: ComponentHealth, *, details: bool) -> dict[str, Any]:
    body = {
        "name": component.name,
        "status": component.status,
        "check_duration_ms": component.check_duration_ms,
    }
    if details:
        body |= {
            "message": component.message,
            "critical": component.critical,
            "checked_at": _rfc3339(component.checked_at),
            "age_ms": component.age_ms,
        }
    return body


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
