"""The app's settings: one typed property each, read at the moment of use, the default beside the name."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import isfinite
from typing import Any, TypeVar

from django.conf import settings as django_settings

from ratelimit.errors import UnusableNumberError, UnusablePrefixError

logger = logging.getLogger(__name__)

DEFAULT_TIERS: Mapping[str, Mapping[str, int]] = {
    "anonymous": {"limit": 100, "window_seconds": 60},
    "api_key": {"limit": 1_000, "window_seconds": 60},
    "premium": {"limit": 5_000, "window_seconds": 60},
}

_SHORTEST_SECONDS = 0.001
_KEY_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")  # braces would move all buckets into one slot of a cluster

_Value = TypeVar("_Value")


class RateLimitSettings:
    """``RATELIMIT_*`` as the project has set them; reading one that cannot be used raises.

    Whatever its value raises, most often TypeError or ValueError. ``conf`` is for those who must go on.
    """

    def _read(self, name: str, default: Any, understand: Callable[[Any], _Value]) -> _Value:
        return understand(getattr(django_settings, name, default))

    @property
    def tiers(self) -> Mapping[str, Mapping[str, int]]:
        """Tier → ``{"limit", "window_seconds", "burst"}``; named tiers replace the default ones, the others stay."""
        return {**DEFAULT_TIERS, **self._read("RATELIMIT_TIERS", {}, _by_tier)}

    @property
    def cache(self) -> str:
        """The cache alias whose server holds the buckets: ``ratelimit`` if it exists, else ``default``."""
        default = "ratelimit" if "ratelimit" in django_settings.CACHES else "default"
        return self._read("RATELIMIT_CACHE", default, _text)

    @property
    def key_prefix(self) -> str:
        return self._read("RATELIMIT_KEY_PREFIX", "rate_limit", _key_prefix)

    @property
    def secret(self) -> str:
        """What identifiers are keyed with (HMAC-SHA-256)."""
        return self._read("RATELIMIT_SECRET", str(django_settings.SECRET_KEY), _text)

    @property
    def on_outage(self) -> Mapping[str, str]:
        """Tier → ``local`` (default), ``open`` or ``closed``: what decides while Redis is away."""
        return self._read("RATELIMIT_ON_OUTAGE", {}, _by_tier)

    @property
    def enforce(self) -> bool | Mapping[str, bool]:
        """Whether refusals hold; False, or tier → False: shadow mode, in which they are only counted and told of."""
        return self._read("RATELIMIT_ENFORCE", True, _flag_or_flags)

    @property
    def expected_processes(self) -> int:
        """How many processes share a limit; each one's share where it decides alone is max(1, limit ÷ this)."""
        return self._read("RATELIMIT_EXPECTED_PROCESSES", 1, _count)

    @property
    def read_timeout_seconds(self) -> float:
        return self._read("RATELIMIT_READ_TIMEOUT_SECONDS", 0.05, _seconds)

    @property
    def connect_timeout_seconds(self) -> float:
        return self._read("RATELIMIT_CONNECT_TIMEOUT_SECONDS", 0.25, _seconds)

    @property
    def probe_interval_seconds(self) -> float:
        """How often an open breaker asks whether Redis is back."""
        return self._read("RATELIMIT_PROBE_INTERVAL_SECONDS", 1.0, _seconds)

    @property
    def memory_keys(self) -> int:
        """The most buckets the memory store keeps, the least recently used goes first; 40,000 take less than 20 MB."""
        return self._read("RATELIMIT_MEMORY_KEYS", 40_000, _count)

    @property
    def deny_cache_keys(self) -> int:
        return self._read("RATELIMIT_DENY_CACHE_KEYS", 10_000, _count_or_none)

    @property
    def trusted_proxies(self) -> Sequence[str]:
        """CIDRs of proxies whose word on a client's address is believed; ``unix`` for the peer of a Unix socket."""
        return self._read("RATELIMIT_TRUSTED_PROXIES", (), _texts)

    @property
    def forwarded_header(self) -> str:
        """The header that the trusted proxies write, ``X-Forwarded-For`` (default) or ``Forwarded``.

        The other one is never read: a proxy passes it on as the client wrote it.
        """
        return self._read("RATELIMIT_FORWARDED_HEADER", "", _text) or "X-Forwarded-For"

    @property
    def ipv6_prefix(self) -> int:
        """IPv6 clients are grouped by this many leading bits."""
        return self._read("RATELIMIT_IPV6_PREFIX", 64, _count)

    @property
    def exempt_paths(self) -> Sequence[str]:
        """Paths, or prefixes ending in ``*``, that are never limited. Static files are exempt by STATIC_URL."""
        return self._read("RATELIMIT_EXEMPT_PATHS", ("/health/*", "/metrics"), _texts)

    @property
    def denied_view(self) -> str:
        """Dotted path of ``view(request, decision) -> HttpResponse``, which words the 429; its headers are added."""
        return self._read("RATELIMIT_DENIED_VIEW", "ratelimit.responses.denied", _text)

    @property
    def refresh_seconds(self) -> float:
        """How often the keys and tiers in use are read anew, off the request path; 0: at every request, for tests."""
        return self._read("RATELIMIT_REFRESH_SECONDS", 2.0, _seconds_or_none)


class _SafeSettings(RateLimitSettings):
    """The default stands in for what cannot be used: servers run no system checks, and no request may fail for it.

    Told in the log once, until a setting changes.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()

    def _read(self, name: str, default: Any, understand: Callable[[Any], _Value]) -> _Value:
        try:
            return super()._read(name, default, understand)
        except Exception as error:  # noqa: BLE001 - a setting may be any object, and its conversion raise anything
            if name not in self._told:
                self._told.add(name)
                logger.error("%s cannot be used, so that its default holds: %s", name, error)  # noqa: TRY400 - no trace
            return understand(default)

    def forget(self) -> None:
        self._told.clear()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is wanted, not {type(value).__name__}")
    value.encode()  # an environment that is not UTF-8 leaves lone surrogates, at which every use would fail
    return value


def _key_prefix(value: Any) -> str:
    if not _KEY_PREFIX.fullmatch(_text(value)):
        raise UnusablePrefixError(value)
    return str(value)


def _texts(value: Any) -> Sequence[str]:
    """A single text would be taken apart into its letters, of which ``/`` is a path and ``1`` looks like a network."""
    if isinstance(value, str):
        raise TypeError("a list of texts is wanted, not a text")
    return tuple(_text(one) for one in value)


def _by_tier(value: Any) -> Mapping[str, Any]:
    return {_text(tier): chosen for tier, chosen in dict(value).items()}


def _flag_or_flags(value: Any) -> bool | Mapping[str, bool]:
    if isinstance(value, bool):
        return value
    return {tier: _flag(one) for tier, one in _by_tier(value).items()}


def _flag(value: Any) -> bool:
    """A text would always be true, ``"False"`` too."""
    if not isinstance(value, bool):
        raise TypeError(f"True or False is wanted, not {value!r}")
    return value


def _count(value: Any, least: int = 1) -> int:
    number = int(value)
    if number < least:
        raise UnusableNumberError(number, least)
    return number


def _count_or_none(value: Any) -> int:
    return _count(value, 0)


def _seconds(value: Any, least: float = _SHORTEST_SECONDS) -> float:
    number = float(value)
    if not (isfinite(number) and number >= least):
        raise UnusableNumberError(number, least)
    return number


def _seconds_or_none(value: Any) -> float:
    return _seconds(value, 0)


as_written = RateLimitSettings()
conf = _SafeSettings()

_Settled = TypeVar("_Settled")
_forgetters: list[Callable[[], object]] = [conf.forget]


def on_change(forget: Callable[[], object]) -> None:
    """Have ``forget`` called whenever a setting changes (Django's ``setting_changed``, which the app listens to)."""
    _forgetters.append(forget)


def settled(build: Callable[[], _Settled]) -> Callable[[], _Settled]:
    """Keep what ``build`` made of the settings until one of them changes, so that a hot path reads none."""
    kept = cache(build)
    on_change(kept.cache_clear)
    return kept


def forget_settled(**_: Any) -> None:
    """Everything made of the settings is made anew when next asked for."""
    for forget in _forgetters:
        forget()
