"""What a check is: a dataclass with ``run()``, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, TypeAlias

from health.errors import UnknownMessageError
from health.status import HealthStatus

Fact: TypeAlias = float | str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one run of a check found: a state, and one of the check's own messages with its facts filled in."""

    status: HealthStatus
    code: str
    message: str


@dataclass(kw_only=True)
class Check:
    """One thing to look at. To add your own, derive a dataclass with ``run()`` and name it in HEALTH_CHECKS.

    ``critical`` decides whether its being unhealthy makes the whole unhealthy. ``deadline_seconds`` is how long a probe
    waits for it; a run that takes longer is reported as such, and one that takes twice as long is interrupted.
    ``fresh_seconds``: a verdict is not asked for anew before it is so old. ``startup_only``: asked by the startup probe
    and the page alone. ``worst``: no worse than this is ever reported.

    One instance is used by one thread at a time. It may keep what it needs from run to run, such as a connection,
    outside ``__init__``'s fields (``field(init=False)``); a second thread gets an instance of its own by ``fresh()``.
    """

    name: str
    critical: bool = True
    deadline_seconds: float = 0.9
    fresh_seconds: float = 1.0
    startup_only: bool = False
    worst: HealthStatus = field(default=HealthStatus.UNHEALTHY, repr=False)

    messages: ClassVar[Mapping[str, str]] = {}
    """Code → text with the names of facts in braces. Nothing else is ever shown of what a check found."""

    @classmethod
    def expand(cls, name: str, options: Mapping[str, Any]) -> list[Check]:
        """The checks that an entry of HEALTH_CHECKS stands for: one by default, several or none where that is apt.

        Raises UnusableOptionError for options that cannot be used, with what to write instead. Of any other error
        only the class is told, as nobody knows what stands in its text.
        """
        return [cls(name=name, **options)]

    def run(self) -> Finding:
        """Look, now, and say what was found (``found``). What it raises is reported as unhealthy, without its text."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """Make a hung ``run()`` fail, from another thread, without waiting or raising. The default can do nothing."""

    def close(self) -> None:
        """Let go of what was kept from run to run; called by the thread that ran it. May be run again afterwards."""

    def fresh(self) -> Self:
        """The same check with nothing kept, for another thread."""
        return replace(self)

    def found(self, status: HealthStatus, code: str, **facts: Fact) -> Finding:
        """A finding with one of ``messages``. Never pass text from outside as a fact: no error's, no server's."""
        template = self.messages.get(code)
        if template is None:
            raise UnknownMessageError(self.name, code)
        return Finding(status, code, template.format(**facts))
