"""Checks that find what they are told to find, and the settings that put them in place of the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any, ClassVar, NoReturn

from health.base import Check, Finding
from health.conf import DEFAULT_CHECKS
from health.status import HealthStatus

PATIENCE_SECONDS = 30


@dataclass(kw_only=True)
class Says(Check):
    """Finds ``status``, at once."""

    status: str = "healthy"
    deadline_seconds: float = 4.0

    messages: ClassVar[Mapping[str, str]] = {"said": "It was told to say so."}

    def run(self) -> Finding:
        return self.found(HealthStatus(self.status), "said")


@dataclass(kw_only=True)
class Raises(Check):
    """Fails with ``text``, which nobody may ever see."""

    text: str = "a secret"

    def run(self) -> NoReturn:
        local = self.text
        raise RuntimeError(local)


@dataclass(kw_only=True)
class Hangs(Check):
    """Answers nothing until it is interrupted."""

    deadline_seconds: float = 0.05
    text: str = "a secret"

    def __post_init__(self) -> None:
        self._interrupted = Event()

    def run(self) -> NoReturn:
        self._interrupted.wait(PATIENCE_SECONDS)
        raise RuntimeError(self.text)

    def interrupt(self) -> None:
        self._interrupted.set()


def only(**checks: str | Mapping[str, Any]) -> dict[str, Any]:
    """HEALTH_CHECKS with these components alone, each a status or the options of a fake (``Says`` by default)."""
    return dict.fromkeys(DEFAULT_CHECKS) | {name: _entry(one) for name, one in checks.items()}


def _entry(one: str | Mapping[str, Any]) -> dict[str, Any]:
    options = {"status": one} if isinstance(one, str) else dict(one)
    return options if "check" in options else {"check": path_of(Says), **options}


def path_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
