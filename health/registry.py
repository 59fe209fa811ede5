"""From HEALTH_CHECKS to the checks themselves."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

from django.utils.module_loading import import_string

from health.base import Check, Finding
from health.conf import conf
from health.errors import CheckSettingError
from health.status import HealthStatus

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")  # it stands in URLs and labels


@dataclass(kw_only=True)
class UnusableCheck(Check):
    """Stands where a check could not be made, so that nobody takes its absence for health."""

    messages: ClassVar[Mapping[str, str]] = {
        "unusable": "Its entry in HEALTH_CHECKS makes no check: see manage.py check."
    }

    def run(self) -> Finding:
        return self.found(HealthStatus.UNHEALTHY, "unusable")


def build_checks() -> tuple[Check, ...]:
    """One for each component, in the order of the settings; never raises."""
    checks: list[Check] = []
    for name, options in conf.checks.items():
        try:
            checks += make_checks(name, options)
        except CheckSettingError as error:
            logger.error("%s", error)  # noqa: TRY400 - the sentence says it all
            checks.append(UnusableCheck(name=name))
    return tuple({check.name: check for check in checks}.values())


def make_checks(name: str, options: Mapping[str, Any]) -> list[Check]:
    """What one entry stands for. Raises CheckSettingError."""
    if not _NAME.fullmatch(name):
        raise CheckSettingError(name, "a name has lower-case letters, digits, “_”, “-” and “.” only")
    rest = dict(options)
    path = rest.pop("check", None)
    if not isinstance(path, str):
        raise CheckSettingError(name, "say which check it is: {'check': 'dotted.path.of.a.Check', …}")
    try:
        kind = import_string(path)
    except ImportError:
        raise CheckSettingError(name, f"there is no {path}") from None
    if not (isinstance(kind, type) and issubclass(kind, Check)):
        raise CheckSettingError(name, f"{path} is no subclass of health.Check")
    try:
        made = kind.expand(name, rest)
    except (TypeError, ValueError) as error:
        raise CheckSettingError(name, f"{path} does not take these options: {error}") from error
    if not all(_is_positive(check.deadline_seconds) and _is_positive(check.fresh_seconds) for check in made):
        raise CheckSettingError(name, "deadline_seconds and fresh_seconds are numbers above 0")
    return made


def _is_positive(value: object) -> bool:
    """With anything else every probe would fail, of whatever component."""
    return isinstance(value, int | float) and isfinite(value) and value > 0
