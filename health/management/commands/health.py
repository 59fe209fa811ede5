"""`manage.py health`: asks what a probe asks, in a process of its own, and says it by its exit code."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from health.body import as_json
from health.engine import get_engine, stop_engine
from health.probes import check_liveness, check_readiness, check_startup
from health.status import ComponentHealth, HealthCheckResponse, HealthStatus

UNHEALTHY, USAGE, DEGRADED = 1, 2, 3
_NOBODY_READS = (OSError, ValueError, AttributeError)  # broken or full; closed; closed before Python began
_PROBES: dict[str, Callable[[], HealthCheckResponse]] = {
    "live": check_liveness,
    "ready": check_readiness,
    "startup": check_startup,
}


class Command(BaseCommand):
    help = (
        "Ask what a probe asks, in this process and not in the running server's. Exit codes: 0 healthy, or degraded "
        "without --strict; 1 unhealthy; 2 nothing to ask, or a wrong argument; 3 degraded, with --strict."
    )
    requires_system_checks = ()  # some of them ask the database, which may be what is down

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("probe", nargs="?", choices=list(_PROBES), default="ready", help="default: ready")
        parser.add_argument("--json", action="store_true", help="print the answer as JSON, with all details")
        parser.add_argument("--verbose", action="store_true", help="tell more of each component, also of healthy ones")
        parser.add_argument("--strict", action="store_true", help="exit with 3 where it is degraded")

    def handle(self, *_: Any, **options: Any) -> None:
        found = _ask(options["probe"])
        is_json = options["json"]
        lines = [as_json(found, details=True)] if is_json else self._lines(found, is_verbose=options["verbose"])
        with suppress(*_NOBODY_READS):
            for line in lines:
                self.stdout.write(line.rstrip())
            self.stdout.flush()
        code = _exit_code(found, is_strict=options["strict"])
        if code:
            sys.exit(code)

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        finally:
            _let_go_of_what_nobody_reads()

    def _lines(self, found: HealthCheckResponse, *, is_verbose: bool) -> list[str]:
        width = max([len("overall"), *(len(one.name) for one in found.components)])
        lines = [
            f"{one.name:<{width}}  {self._word(one.status)}  {one.check_duration_ms:>8.1f} ms"
            f"  {_told_of(one, is_verbose=is_verbose)}"
            for one in found.components
        ]
        overall = f"{'overall':<{width}}  {self._word(found.status)}"
        if found.reason:
            overall += f"  {found.reason}"
        if is_verbose and found.version:
            overall += f"  version {found.version}"
        return [*lines, overall]

    def _word(self, status: HealthStatus) -> str:
        paint = {
            HealthStatus.HEALTHY: self.style.SUCCESS,
            HealthStatus.DEGRADED: self.style.WARNING,
            HealthStatus.UNHEALTHY: self.style.ERROR,
        }[status]
        return str(paint(f"{status:<9}"))


def _let_go_of_what_nobody_reads() -> None:
    """Python would try again to write it at its end, and end with 120 (docs.python.org, “Note on SIGPIPE”)."""
    try:
        sys.stdout.flush()
    except _NOBODY_READS:
        with suppress(*_NOBODY_READS):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ask(probe: str) -> HealthCheckResponse:
    try:
        is_anything_asked = probe == "live" or get_engine().names(startup=probe == "startup")
        found = _PROBES[probe]()
    except Exception as error:  # noqa: BLE001 - its text may hold a password
        raise CommandError(
            f"The components could not be asked ({type(error).__name__}).", returncode=UNHEALTHY
        ) from None
    finally:
        stop_engine()
    if not is_anything_asked:
        raise CommandError("There is nothing to ask: HEALTH_CHECKS leaves no component.", returncode=USAGE)
    return found


def _told_of(component: ComponentHealth, *, is_verbose: bool) -> str:
    if is_verbose:
        return f"{'critical' if component.critical else 'optional'}  {component.message}"
    return "" if component.status is HealthStatus.HEALTHY else component.message


def _exit_code(found: HealthCheckResponse, *, is_strict: bool) -> int:
    if found.status is HealthStatus.UNHEALTHY:
        return UNHEALTHY
    return DEGRADED if is_strict and found.status is HealthStatus.DEGRADED else 0
