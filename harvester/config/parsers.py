"""What is written in a variable of the environment → the value of its type, or a ValueError that says what to write.

No sentence repeats what was written: some of it is secret.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

import dj_database_url

_ENCODE = "with the special characters of its password percent-encoded (/ is %2F)"
_POSTGRESQL = f"postgresql://user:password@host:5432/name, {_ENCODE}"
_REDIS = f"redis://:password@host:6379/0, {_ENCODE}"
_AMQP = f"amqp://user:password@host:5672/vhost, {_ENCODE}"


def text(value: str) -> str:
    return value


def header_text(value: str) -> str:
    """What may stand in a header."""
    if not (value.isascii() and value.isprintable()):
        raise ValueError("write one line of ASCII characters")
    return value


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", value) or not minimum <= int(value) <= maximum:
            raise ValueError(f"write a whole number from {minimum} to {maximum}")
        return int(value)

    return parse


def flag(value: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    try:
        return words[value.lower()]
    except KeyError:
        raise ValueError("write true or false") from None


def mapping(value: str) -> dict[str, Any]:
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise ValueError("write a JSON object")  # noqa: TRY004 - all parsers refuse in the same way
    return parsed


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"write one of {', '.join(choices)}")
        return value

    return parse


def hosts(value: str) -> tuple[str, ...]:
    """Names or addresses, each perhaps with a port, comma-separated."""
    names = _parts(value)
    if any(re.search(r"[/\s@]", name) for name in names):
        raise ValueError("write names like harvester.example, comma-separated, without https:// and path")
    return names


def networks(value: str) -> tuple[str, ...]:
    """Networks in CIDR notation, comma-separated."""
    found = _parts(value)
    for network in found:
        _require_network(network)
    return found


def proxies(value: str) -> tuple[str, ...]:
    """As ``networks``, or ``unix`` for the peer of a Unix socket."""
    found = _parts(value)
    for proxy in found:
        if proxy != "unix":
            _require_network(proxy)
    return found


def origins(value: str) -> tuple[str, ...]:
    """What browsers send as Origin: scheme and host, perhaps a port; comma-separated."""
    found = _parts(value)
    for origin in found:
        parts = _split(origin, "origins like https://harvester.example, comma-separated, without a path")
        if parts.scheme not in ("http", "https") or not parts.hostname or origin.count("/") != 2:
            raise ValueError("write origins like https://harvester.example, comma-separated, without a path")
    return found


def database_url(value: str) -> str:
    """One that dj_database_url understands as it is meant."""
    if value.startswith("sqlite:"):
        # In memory every thread and process would have a database of its own.
        if not re.fullmatch(r"sqlite:///(?!:memory:)[^?#]*[^?#/]", value):
            raise ValueError("write sqlite:///path of the file (an absolute one: sqlite:////srv/harvester.sqlite3)")
        return value
    parts = _split(value, _POSTGRESQL, "postgres", "postgresql")
    try:
        parsed = dj_database_url.parse(value)
    except ValueError:
        raise ValueError(f"write {_POSTGRESQL}") from None
    if not parts.path.strip("/") and "service" not in parsed.get("OPTIONS", {}):
        raise ValueError(f"write {_POSTGRESQL}")
    return value


def redis_url(value: str) -> str:
    """One that both django-redis and, see ``broker.py``, Celery understand."""
    parts = _split(value, f"{_REDIS}, or unix:///path", "redis", "rediss", "unix")
    if parts.scheme == "unix":
        if not parts.path.strip("/") or not all(db.isdecimal() for db in parse_qs(parts.query).get("db", ["0"])):
            raise ValueError("write unix:///run/redis.sock?db=0")
    elif not parts.hostname or not re.fullmatch(r"/?|/[0-9]+", parts.path):
        raise ValueError(f"write {_REDIS}")
    return value


def broker_url(value: str) -> str:
    """One of a transport that can be had with what is installed."""
    if value in ("filesystem://", "memory://"):
        return value
    if value.startswith(("redis:", "rediss:", "unix:")):
        return redis_url(value)
    parts = _split(value, f"{_AMQP}; redis://, unix:// or filesystem://", "amqp", "amqps")
    if not parts.hostname:
        raise ValueError(f"write {_AMQP}")
    return value


def _parts(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _require_network(value: str) -> None:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("write networks such as 10.0.0.0/8 or 2001:db8::/32, comma-separated") from None


def _split(value: str, form: str, *schemes: str) -> SplitResult:
    """Split a URL; an @ or # behind the host means that a password was not encoded."""
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises where it is no number
    except ValueError:
        raise ValueError(f"write {form}") from None
    is_known = parts.scheme in schemes or not schemes
    if not is_known or "://" not in value or "@" in parts.path + parts.query or parts.fragment:
        raise ValueError(f"write {form}")
    return parts
