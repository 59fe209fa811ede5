"""Keys as they are named on a command line: by their prefix, never by themselves."""

from __future__ import annotations

import re

from django.core.management.base import CommandError

from ratelimit.keys import MARK, PREFIX_LENGTH, prefix_of
from ratelimit.management.output import NOT_THERE

_PREFIX = re.compile(rf"[0-9A-Za-z]{{{PREFIX_LENGTH}}}")


def checked_prefix(text: str) -> str:
    """The text, where it can be a key's prefix. Raises CommandError, which never repeats a whole key."""
    if _PREFIX.fullmatch(text):
        return text
    if text.startswith(MARK) and _PREFIX.fullmatch(prefix_of(text)):
        raise CommandError(
            f"Write {prefix_of(text)}, the {PREFIX_LENGTH} characters after {MARK}, and never a whole key: command "
            "lines stay in the shell's history and are seen by others on this machine.",
            returncode=NOT_THERE,
        )
    raise CommandError(
        f"A key is named by the {PREFIX_LENGTH} letters and digits after {MARK}, which `apikey list` shows.",
        returncode=NOT_THERE,
    )
