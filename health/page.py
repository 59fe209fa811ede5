"""A probe's answer as a page for people, which needs no script, no other file, and nothing of the project's."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.template import Context, Engine, Template

from health.probes import DRAINING, STARTING
from health.status import ComponentHealth, HealthCheckResponse, HealthStatus

REFRESH_SECONDS = 10
_TEMPLATES = Path(__file__).parent / "templates"
_TEMPLATE = "health/page.html"
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Page:
    """The document, and the Content-Security-Policy that goes with it."""

    html: str
    policy: str


def as_page(response: HealthCheckResponse, *, details: bool, is_renewing: bool = False) -> Page:
    """Without ``details``, with what anybody may know. ``?verbose`` makes no difference to it."""
    template, policy = _template()
    facts = _context(response, details=details) | {"is_renewing": is_renewing}
    return Page(template.render(Context(facts, use_l10n=False)), policy)


@cache
def _template() -> tuple[Template, str]:
    """By an engine of the app's own, whatever the project's TEMPLATES are."""
    source = (_TEMPLATES / _TEMPLATE).read_text(encoding="utf-8")
    return Engine(debug=False).from_string(source), _policy(source)


def _policy(source: str) -> str:
    """Nothing but the page's own style, known by its hash (CSP Level 3, 2.3.1)."""
    found = _STYLE.search(source)
    digest = b64encode(sha256((found[1] if found else "").encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _context(response: HealthCheckResponse, *, details: bool) -> dict[str, Any]:
    return {
        "status": response.status.value,
        "word": (response.reason or response.status).capitalize(),
        "sentence": _sentence(response),
        "details": details,
        "rows": [_row(component, details=details) for component in response.components],
        "timestamp": response.timestamp.isoformat(timespec="seconds"),
        "as_of": response.timestamp.strftime("%H:%M:%S"),
        "refresh_seconds": REFRESH_SECONDS,
    } | ({"version": response.version, "uptime": _span(response.uptime_seconds)} if details else {})


def _row(component: ComponentHealth, *, details: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": component.name,
        "status": component.status.value,
        "word": component.status.capitalize(),
        "duration": _milliseconds(component.check_duration_ms),
    }
    if details:
        row |= {
            "critical": component.critical,
            "message": component.message,
            "age": f"{_span(component.age_ms / 1000)} ago",
        }
    return row


def _sentence(response: HealthCheckResponse) -> str:
    if response.reason == DRAINING:
        return "This process is about to stop: it finishes what it has begun, and takes nothing new."
    if response.reason == STARTING:
        return f"This process has not started yet: it waits for {_those(response, HealthStatus.UNHEALTHY)}."
    if response.status is HealthStatus.UNHEALTHY:  # which of them are critical is a detail
        return f"Not working: {_those(response, HealthStatus.UNHEALTHY)}."
    if response.status is HealthStatus.DEGRADED:
        return f"It works, but not all is well: {_those(response, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY)}."
    return "All that was looked at is well." if response.components else "This process responds."


def _those(response: HealthCheckResponse, *statuses: HealthStatus) -> str:
    return _listed(one.name for one in response.components if one.status in statuses)


def _listed(names: Iterable[str]) -> str:
    *others, last = [*names] or [""]
    return f"{', '.join(others)} and {last}" if others else last


def _milliseconds(number: float) -> str:
    if number >= 1000:
        return f"{number / 1000:.1f} s"
    return f"{number:.0f} ms" if number >= 10 else f"{number:.1f} ms"


def _span(seconds: float) -> str:
    """In the largest unit of which there is one, and the next."""
    whole = int(seconds)
    for place, (length, unit) in enumerate(_UNITS):
        if whole >= length:
            more = _UNITS[place + 1] if place + 1 < len(_UNITS) else None
            rest = f" {whole % length // more[0]} {more[1]}" if more else ""
            return f"{whole // length} {unit}{rest}"
    return "0 s"
