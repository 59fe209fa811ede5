"""What a threshold in percent is."""

from __future__ import annotations

from health.base import Check
from health.errors import UnusableOptionError


def insist_on_percentages(check: Check, *names: str) -> None:
    """Raises UnusableOptionError for a field of one of these names that is no number from 0 to 100."""
    for name in names:
        value = getattr(check, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
            raise UnusableOptionError(f"write {name} as a number from 0 to 100")
