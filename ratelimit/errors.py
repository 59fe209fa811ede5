"""What can go wrong in rate limiting, as types that carry the facts."""

from __future__ import annotations


class RateLimitError(Exception):
    """Base of every error this app raises on purpose."""


class StoreError(RateLimitError):
    """The store cannot decide now. ``reason`` is one word for logs and signals, never text from outside."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidLimitError(RateLimitError, ValueError):
    """A limit that is no limit; the message says what to write."""


class UnknownTierError(RateLimitError, ValueError):
    """There is no tier of this name; ``known`` lists those there are."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"There is no tier “{name}”. Known tiers: {', '.join(known)}.")
        self.name = name
        self.known = known


class UnusableNumberError(RateLimitError, ValueError):
    """A setting's ``number`` is less than ``least``, or none."""

    def __init__(self, number: float, least: float) -> None:
        super().__init__(f"{number:g} is less than {least:g}, or no number")
        self.number = number
        self.least = least


class UnusablePrefixError(RateLimitError, ValueError):
    """A setting's ``prefix`` cannot begin a key."""

    def __init__(self, prefix: str) -> None:
        super().__init__(f"{prefix!r} cannot begin a key")
        self.prefix = prefix


class UnknownClientError(RateLimitError):
    """Whom an operator names is nobody whose requests could be counted; the message says why."""
