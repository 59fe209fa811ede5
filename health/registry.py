"""From HEALTH_CHECKS to the checks themselves."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from django.utils.module_loading import import_string

from health.base import Check, Finding
from health.conf import conf
from health.errors import CheckSettingError, UnusableOptionError
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


@dataclass(frozen=True, slots=True)
class Entry:
    """One of HEALTH_CHECKS, and the checks it stands for; or the error for which it makes none."""

    name: str
    options: Mapping[str, Any]
    checks: Sequence[Check] = ()
    error: CheckSettingError | None = None


def build_checks() -> tuple[Check, ...]:
    """One for each component, in the order of the settings; never raises."""
    checks: dict[str, Check] = {}
    for entry in read_entries():
        checks |= {check.name: check for check in entry.checks}
        if entry.error is not None:
            # No more than the kind: the text may quote an option, and that be a secret.
            kind = type(entry.error.__cause__ or entry.error).__name__
            logger.error("HEALTH_CHECKS[%r] makes no check (%s): see `manage.py check`.", entry.name, kind)
            checks[entry.name] = UnusableCheck(name=entry.name, critical=_is_critical(entry.options))
    return tuple(checks.values())


def _is_critical(options: Mapping[str, Any]) -> bool:
    """As the check would be that cannot be made: a slip in what is optional takes no pod out."""
    said = options.get("critical")
    if isinstance(said, bool):
        return said
    try:
        return bool(import_string(options["check"]).critical)
    except Exception:  # noqa: BLE001 - a check of which nothing is known may be one that matters
        return True


def read_entries() -> Iterator[Entry]:
    """In the order of the settings; never raises. Of two components of one name the later makes its entry unusable."""
    taken: set[str] = set()
    for name, options in conf.checks.items():
        try:
            checks = make_checks(name, options)
            _insist_on_new_names(name, checks, taken)
            yield Entry(name, options, checks)
        except CheckSettingError as error:
            taken.add(name)
            yield Entry(name, options, error=error)


def make_checks(name: str, options: Mapping[str, Any]) -> list[Check]:
    """What one entry stands for. Raises CheckSettingError."""
    try:
        return _made(name, options)
    except UnusableOptionError as error:
        raise CheckSettingError(name, error.problem) from error
    except Exception as error:  # that is any project's code
        problem = f"{options.get('check')} fails with {type(error).__name__} when it is imported or made"
        raise CheckSettingError(name, problem) from error


def _insist_on_new_names(name: str, checks: Sequence[Check], taken: set[str]) -> None:
    for check in checks:
        if check.name in taken:
            raise CheckSettingError(
                name, f"there is another component “{check.name}”: write an entry of another name for one of the two"
            )
        taken.add(check.name)


def _made(name: str, options: Mapping[str, Any]) -> list[Check]:
    """Raises whatever the check's code does, too."""
    _insist_on_name(name)
    rest = _understood(options)
    path = rest.pop("check", None)
    if not isinstance(path, str):
        raise UnusableOptionError("say which check it is: {'check': 'dotted.path.of.a.Check', …}")
    kind = import_string(path)
    if not (isinstance(kind, type) and issubclass(kind, Check)):
        raise UnusableOptionError(f"{path} is no subclass of health.Check")
    try:
        made = list(kind.expand(name, rest))
    except TypeError as error:
        if unknown := set(rest) - {field.name for field in fields(kind) if field.init and field.name != "name"}:
            raise UnusableOptionError(f"{path} has no option {', '.join(sorted(map(str, unknown)))}") from error
        raise
    for check in made:
        _insist(check)
    return made


def _understood(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that every check may have, and times, are judged here; ``worst`` may be a text, as settings are."""
    understood = dict(options)
    for option, value in options.items():
        if str(option).endswith("_seconds"):
            _insist_on_seconds(option, value)
    if "worst" in understood:
        try:
            understood["worst"] = HealthStatus(understood["worst"])
        except ValueError:
            raise UnusableOptionError(_WHICH_WORST) from None
    return understood


def _insist(check: Check) -> None:
    """On what the engine works with: with anything else it would fail, and with it every component's probe."""
    _insist_on_name(check.name)
    for option in ("deadline_seconds", "fresh_seconds"):
        _insist_on_seconds(option, getattr(check, option))
    for option in ("critical", "startup_only"):
        if type(getattr(check, option)) is not bool:
            raise UnusableOptionError(f"write {option} as True or False")
    if type(check.worst) is not HealthStatus:
        raise UnusableOptionError(_WHICH_WORST)


def _insist_on_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UnusableOptionError(
            f"“{name}” is no name for a component: write at most 64 lower-case letters, digits, “_”, “-” and “.”"
        )


def _insist_on_seconds(option: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MOST_SECONDS:
        raise UnusableOptionError(f"write {option} as a number of seconds above 0, such as 2")
