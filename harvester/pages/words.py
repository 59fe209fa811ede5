"""How values are said on pages: ages, counts, addresses; the template tags and filters every template has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from django import template
from django.template import Context
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
#: Below this much, say it in that unit. Two of a unit at least, so that “1 day” never stands for 47 hours.
_STEPS: tuple[tuple[timedelta, timedelta, str], ...] = (
    (2 * _HOUR, _MINUTE, "minute"),
    (2 * _DAY, _HOUR, "hour"),
    (14 * _DAY, _DAY, "day"),
    (60 * _DAY, 7 * _DAY, "week"),
    (730 * _DAY, timedelta(days=30.44), "month"),
    (timedelta.max, timedelta(days=365.25), "year"),
)


@register.filter
def counted(number: int, noun: str) -> str:
    """``3|counted:"star"`` → “3 stars”; the plural is the noun with an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def span(length: timedelta) -> str:
    """A length of time in one rounded-down unit: “5 minutes”, “3 weeks”."""
    unit, noun = next((unit, noun) for below, unit, noun in _STEPS if length < below)
    return counted(int(length / unit), noun)


def age(moment: datetime, now: datetime) -> str:
    """How far away a moment is: “6 hours ago”, “in 20 minutes”, “just now”."""
    if abs(now - moment) < _MINUTE:
        return "just now"
    return f"{span(now - moment)} ago" if moment < now else f"in {span(moment - now)}"


@register.simple_tag(takes_context=True)
def moment(context: Context, when: datetime | None) -> SafeString | str:
    """A ``<time>`` in UTC that says the age in words; nothing for no moment."""
    if when is None:
        return ""
    return _time(when, age(when, context.get("now") or timezone.now()))


@register.simple_tag
def date(when: datetime) -> SafeString:
    """A ``<time>`` that says the moment itself, for where the age does not do."""
    return _time(when, f"{when.astimezone(UTC):%d %b %Y, %H:%M} UTC".lstrip("0"))


def _time(when: datetime, words: str) -> SafeString:
    # Not strftime: it writes years before 1000 with fewer than four digits.
    written = when.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()
    return format_html('<time datetime="{}Z" title="{} UTC">{}</time>', written, written[:16].replace("T", " "), words)


@register.filter
def clip(text: str, length: int = 300) -> str:
    """The text in one line of at most ``length`` characters, cut at a word where there is one."""
    line = " ".join(text[: length * 4].split())
    if len(line) <= length:
        return line
    head = line[: length - 1]
    return f"{head.rsplit(' ', 1)[0]}…"


@register.filter
def web_address(address: str) -> str:
    """The address where a browser may be sent to it, else nothing: http and https only, with a host."""
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return ""
    return address.strip() if parts.scheme in ("http", "https") and parts.hostname else ""


@register.filter
def host(address: str) -> str:
    """The host of a web address, without a leading “www.”."""
    try:
        return (urlsplit(address).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


@register.filter
def seconds(length: float | None) -> str:
    """A duration: “0.4 s”, “12 s”, “3 min 20 s”; a dash for none."""
    if length is None:
        return "–"
    if length < 10:
        return f"{length:.1f} s"
    minutes, rest = divmod(round(length), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@register.filter
def whole(score: float) -> int:
    """A score cut, not rounded, to a whole number: it never claims more than there is."""
    return int(score)


@register.filter
def thousands(number: int) -> str:
    return f"{number:,}"
