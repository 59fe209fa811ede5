"""From HEALTH_CHECKS to the checks themselves."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.module_loading import import_string

from health.base import Check, Finding
from health.conf import conf
from health.errors import CheckSettingError
from health.status import HealthStatus

logger = logging.getLogger(__name__)

_MOST_SECONDS = 1e9  # 30 years; Python's locks cannot wait for much more
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")  # it stands in URLs and labels
_WHICH_WORST = "write worst as 'healthy', 'degraded' or 'unhealthy'"


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
    rest = _understood(name, options)
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
    for check in made:
        _insist(name, check)
    return made


def _understood(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that every check may have, and times, are judged here; ``worst`` may be a text, as settings are."""
    understood = dict(options)
    for option, value in options.items():
        if str(option).endswith("_seconds"):
            _insist_on_seconds(name, option, value)
    if "worst" in understood:
        try:
            understood["worst"] = HealthStatus(understood["worst"])
        except ValueError:
            raise CheckSettingError(name, _WHICH_WORST) from None
    return understood


def _insist(name: str, check: Check) -> None:
    """On what the engine works with: with anything else it would fail, and with it every component's probe."""
    for option in ("deadline_seconds", "fresh_seconds"):
        _insist_on_seconds(name, option, getattr(check, option))
    for option in ("critical", "startup_only"):
        if type(getattr(check, option)) is not bool:
            raise CheckSettingError(name, f"write {option} as True or False")
    if type(check.worst) is not HealthStatus:
        raise CheckSettingError(name, _WHICH_WORST)


def _insist_on_seconds(name: str, option: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MOST_SECONDS:
        raise CheckSettingError(name, f"write {option} as a number of seconds above 0, such as 2")
