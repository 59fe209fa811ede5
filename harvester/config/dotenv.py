"""The file ``.env``: what an operator does not want to type again, read the same way by everything that starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_LINE = re.compile(
    r"""
    (?: export \s+ )?
    (?P<name> [A-Za-z_] [A-Za-z0-9_]* ) \s* = \s*
    (?: "(?P<double> [^"]* )" | '(?P<single> [^']* )' | (?P<bare> [^'"#\s] .* )? )
    """,
    re.VERBOSE,
)


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables of the file, none where there is no file.

    A line is ``NAME=value``, perhaps in quotes, or a comment that begins with #. Nothing is expanded; in a value
    without quotes a # behind a space begins a comment. Raises ImproperlyConfigured with file and line number, never
    the value.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{path} cannot be read: {type(error).__name__}.") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ImproperlyConfigured(f"{path}, line {number}: write NAME=value, or # before a comment.")
        found[match["name"]] = _value(match)
    return found


def over_dotenv(process: Mapping[str, str], path: Path) -> dict[str, str]:
    """The environment of the process, and beneath it the file: ``NAME`` or ``NAME_FILE`` of the process hides both."""
    if process.get("ENVIRONMENT") == "test":
        return dict(process)  # what a developer keeps for himself must not decide what the tests say
    decided = {name.removesuffix("_FILE") for name in process}
    kept = {name: value for name, value in read_dotenv(path).items() if name.removesuffix("_FILE") not in decided}
    return kept | dict(process)


def _value(match: re.Match[str]) -> str:
    for quoted in (match["double"], match["single"]):
        if quoted is not None:
            return quoted
    return re.split(r"\s#", match["bare"] or "")[0].rstrip()
