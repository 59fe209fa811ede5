"""How commands speak: fit for terminals, times as RFC 3339, and a wrong number or a lost database as one sentence."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from django.core.management.base import CommandError
from django.db import Error as DatabaseError
from django.utils.timezone import is_naive, make_aware

NOT_THERE = 2
"""The exit code for what was asked in vain: nothing was changed."""
NOT_ASKED = 3
"""The exit code where somebody who had to be asked did not answer."""

# Control characters drive terminals (ECMA-48); those of Unicode's bidirectional algorithm change what is seen.
_DRIVES_TERMINALS = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


def in_line(text: str) -> str:
    """On one line and without anything that could drive the terminal it is printed on."""
    return _DRIVES_TERMINALS.sub(" ", text)


def whole_number(text: str, least: int, most: int, of: str) -> int:
    """What an option says. Raises ArgumentTypeError, which argparse shows; ``of`` names the unit in the plural."""
    longest = len(str(most))
    if text.isascii() and text.isdigit() and len(text) <= longest and least <= int(text) <= most:
        return int(text)
    raise ArgumentTypeError(f"a whole number of {of} from {least} to {most:,} is needed, not “{in_line(text)}”")


def rfc3339(moment: datetime | None) -> str | None:
    """In UTC."""
    if moment is None:
        return None
    return (make_aware(moment) if is_naive(moment) else moment).astimezone(UTC).isoformat()


def in_words(moment: datetime | None, otherwise: str = "") -> str:
    """To the minute, in UTC, for people."""
    said = rfc3339(moment)
    return f"{datetime.fromisoformat(said):%Y-%m-%d %H:%M}" if said else otherwise


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell."""
    lines = [header, *([in_line(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


@contextmanager
def asking_the_database() -> Iterator[None]:
    """Raises CommandError where it does not answer. The error's own text may hold what it should not."""
    try:
        yield
    except DatabaseError as error:
        kind = type(error).__name__
        raise CommandError(
            f"The database did not do it ({kind}). Does it run, and is it migrated?", returncode=NOT_ASKED
        ) from error
