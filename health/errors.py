"""What can go wrong in health checking, as types that carry the facts."""

from __future__ import annotations


class HealthError(Exception):
    """Base of every error this app raises on purpose."""


class CheckSettingError(HealthError, ValueError):
    """An entry of HEALTH_CHECKS that makes no check; ``name`` is the entry's, the message says what to write."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"HEALTH_CHECKS[{name!r}]: {problem}")
        self.name = name
        self.problem = problem


class UnusableOptionError(HealthError, ValueError):
    """What an option cannot be, said by a check; ``problem`` says what to write, and ``manage.py check`` shows it."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class UnknownMessageError(HealthError, ValueError):
    """A check used a message that it does not list in its ``messages``."""

    def __init__(self, check: str, code: str) -> None:
        super().__init__(f"The check “{check}” lists no message “{code}”.")
        self.check = check
        self.code = code


class UnknownComponentError(HealthError, LookupError):
    """There is no component of this name; ``known`` lists those there are."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"There is no component “{name}”. Known components: {', '.join(known)}.")
        self.name = name
        self.known = known


class UnknownPathError(HealthError, LookupError):
    """Nothing is asked at this ``path``."""

    def __init__(self, path: str) -> None:
        super().__init__(f"No probe is at “{path}”.")
        self.path = path


class UnknownMethodError(HealthError):
    """No probe is asked by this ``method``."""

    def __init__(self, method: str) -> None:
        super().__init__(f"No probe is asked by {method}.")
        self.method = method


class UnusableNumberError(HealthError, ValueError):
    """A setting's ``number`` is less than ``least``, or none."""

    def __init__(self, number: float, least: float) -> None:
        super().__init__(f"{number:g} is less than {least:g}, or no number")
        self.number = number
        self.least = least
