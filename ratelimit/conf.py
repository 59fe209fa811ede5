"""The app's settings: one typed property each, read at the moment of use, the default beside the name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from django.conf import settings as django_settings

DEFAULT_TIERS: Mapping[str, Mapping[str, int]] = {
    "anonymous": {"limit": 100, "window_seconds": 60},
    "api_key": {"limit": 1_000, "window_seconds": 60},
    "premium": {"limit": 5_000, "window_seconds": 60},
}


class RateLimitSettings:
    """``RATELIMIT_*`` as the project has set them."""

    @property
    def tiers(self) -> Mapping[str, Mapping[str, int]]:
        """Tier → ``{"limit", "window_seconds", "burst"}``; named tiers replace the default ones, the others stay."""
        return {**DEFAULT_TIERS, **_get("RATELIMIT_TIERS", {})}

    @property
    def cache(self) -> str:
        """The cache alias whose server holds the buckets: ``ratelimit`` if it exists, else ``default``."""
        return str(_get("RATELIMIT_CACHE", "ratelimit" if "ratelimit" in django_settings.CACHES else "default"))

    @property
    def key_prefix(self) -> str:
        return str(_get("RATELIMIT_KEY_PREFIX", "rate_limit"))

    @property
    def secret(self) -> str:
        """What identifiers are keyed with (HMAC-SHA-256)."""
        return str(_get("RATELIMIT_SECRET", django_settings.SECRET_KEY))

    @property
    def on_outage(self) -> Mapping[str, str]:
        """Tier → ``local`` (default), ``open`` or ``closed``: what decides while Redis is away."""
        return dict(_get("RATELIMIT_ON_OUTAGE", {}))

    @property
    def expected_processes(self) -> int:
        """How many processes share a limit; each one's share where it decides alone is max(1, limit ÷ this)."""
        return int(_get("RATELIMIT_EXPECTED_PROCESSES", 1))

    @property
    def read_timeout_seconds(self) -> float:
        return float(_get("RATELIMIT_READ_TIMEOUT_SECONDS", 0.05))

    @property
    def connect_timeout_seconds(self) -> float:
        return float(_get("RATELIMIT_CONNECT_TIMEOUT_SECONDS", 0.25))

    @property
    def probe_interval_seconds(self) -> float:
        """How often an open breaker asks whether Redis is back."""
        return float(_get("RATELIMIT_PROBE_INTERVAL_SECONDS", 1.0))

    @property
    def memory_keys(self) -> int:
        """The most buckets the memory store keeps, the least recently used goes first; 40,000 take less than 20 MB."""
        return int(_get("RATELIMIT_MEMORY_KEYS", 40_000))

    @property
    def deny_cache_keys(self) -> int:
        return int(_get("RATELIMIT_DENY_CACHE_KEYS", 10_000))

    @property
    def trusted_proxies(self) -> Sequence[str]:
        """CIDRs of proxies whose word on a client's address is believed; ``unix`` for the peer of a Unix socket."""
        return tuple(_get("RATELIMIT_TRUSTED_PROXIES", ()))

    @property
    def forwarded_header(self) -> str:
        """The header that the trusted proxies write, ``X-Forwarded-For`` (default) or ``Forwarded``.

        The other one is never read: a proxy passes it on as the client wrote it.
        """
        return str(_get("RATELIMIT_FORWARDED_HEADER", "") or "X-Forwarded-For")

    @property
    def ipv6_prefix(self) -> int:
        """IPv6 clients are grouped by this many leading bits."""
        return int(_get("RATELIMIT_IPV6_PREFIX", 64))

    @property
    def exempt_paths(self) -> Sequence[str]:
        """Paths, or prefixes ending in ``*``, that are never limited. Static files are exempt by STATIC_URL."""
        return tuple(_get("RATELIMIT_EXEMPT_PATHS", ("/health/*", "/metrics")))

    @property
    def denied_view(self) -> str:
        """Dotted path of ``view(request, decision) -> HttpResponse``, which words the 429; its headers are added."""
        return str(_get("RATELIMIT_DENIED_VIEW", "ratelimit.responses.denied"))

    @property
    def refresh_seconds(self) -> float:
        """How often the keys and tiers in use are read anew, off the request path; 0: at every request, for tests."""
        return float(_get("RATELIMIT_REFRESH_SECONDS", 2.0))


def _get(name: str, default: Any) -> Any:
    return getattr(django_settings, name, default)


conf = RateLimitSettings()

_Settled = TypeVar("_Settled")
_forgetters: list[Callable[[], object]] = []


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
