"""Dates as sources write them, read as aware times in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_tz

EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)  # what says 1 January 1970 says “I do not know”
#: A date further ahead than the widest difference of time zones is a mistake, and would lead every list.
CLOCK_TOLERANCE = timedelta(days=1)

_LONGEST_DATE = 100
_YEAR_MONTH = re.compile(r"(\d{4})(?:-(\d{2}))?")
# Zones that RFC 822 does not know and feeds use all the same.
_ZONES = {
    "CET": "+0100", "CEST": "+0200", "MET": "+0100", "MEST": "+0200", "EET": "+0200", "EEST": "+0300", "BST": "+0100",
    "WET": "+0000", "WEST": "+0100", "MSK": "+0300", "JST": "+0900", "KST": "+0900", "AEST": "+1000", "AEDT": "+1100",
}  # fmt: skip
_ZONE_AT_END = re.compile(rf"\b({'|'.join(_ZONES)})$")


def moment(text: str, *, now: datetime) -> datetime | None:
    """ISO 8601, RFC 822 and their usual misspellings; without a zone UTC is assumed.

    None for what is no date, lies before 2 January 1970, or more than a day after ``now``.
    """
    written = " ".join(text.split())
    if not written or len(written) > _LONGEST_DATE:
        return None
    try:
        found = _iso(written) or _rfc_822(written)
        found = found.astimezone(UTC) if found else None
    except (ValueError, OverflowError, IndexError, TypeError):  # the last two: email.utils on some malformed dates
        return None
    return found if found and EARLIEST <= found <= now + CLOCK_TOLERANCE else None


def _iso(written: str) -> datetime | None:
    partial = _YEAR_MONTH.fullmatch(written)
    if partial:
        return datetime(int(partial[1]), int(partial[2] or 1), 1, tzinfo=UTC)
    if not re.match(r"\d{4}-?\d\d-?\d\d(?!\d)", written):
        return None
    try:
        found = datetime.fromisoformat(written.upper().removesuffix(" UTC").removesuffix(" GMT"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _rfc_822(written: str) -> datetime | None:
    with_time = written if ":" in written else f"{written} 00:00:00"
    parts = parsedate_tz(_ZONE_AT_END.sub(lambda zone: _ZONES[zone[1]], with_time))
    if parts is None:
        return None
    year, month, day, hour, minute, second = parts[:6]
    return datetime(year, month, day, hour, minute, second, tzinfo=timezone(timedelta(seconds=parts[9] or 0)))
