"""Finds settings that cannot be meant, before the first request does.

No check asks a database. One asks Redis, with ``--deploy`` and by the limiter's own timeouts.

docs/reference/ratelimit.md lists the ids; none ever changes its meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.core import checks
from django.core.cache import InvalidCacheBackendError, caches
from django.core.checks import CheckMessage
from django.utils.module_loading import import_string

from ratelimit.conf import RateLimitSettings, as_written, conf
from ratelimit.errors import InvalidLimitError, StoreError, UnusableNumberError, UnusablePrefixError
from ratelimit.middleware import RateLimitMiddleware
from ratelimit.proxies import TrustedProxies
from ratelimit.stores import eviction_policy
from ratelimit.tiers import RateLimitTier, known_tiers, limit_for, tiers_in_shadow, unusable_names

_NAMES = {
    f"RATELIMIT_{name.upper()}": name for name, value in vars(RateLimitSettings).items() if isinstance(value, property)
}
_ON_OUTAGE = ("local", "open", "closed")
_FORWARDED_HEADERS = ("x-forwarded-for", "forwarded")
_ALIKE = 0.8  # of 1: “anonymus” and “apikey” are nearer than that to a tier's name, “premium_partner” is not
_RANGES: dict[str, tuple[float, float]] = {
    "expected_processes": (1, 100_000),
    "read_timeout_seconds": (0.001, 5),
    "connect_timeout_seconds": (0.001, 10),
    "probe_interval_seconds": (0.05, 60),
    "refresh_seconds": (0, 3.5),  # believed for 1.5 s longer, so that changes take effect within 5 s; 0 is for tests
    "memory_keys": (1_000, 10_000_000),
    "deny_cache_keys": (0, 10_000_000),
    "ipv6_prefix": (32, 128),
}


_WRITES_HEADERS = frozenset(
    {
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "django.middleware.csp.ContentSecurityPolicyMiddleware",
        "csp.middleware.CSPMiddleware",
        "corsheaders.middleware.CorsMiddleware",
    }
)
"""By name, as not every project has them all. A browser heeds their headers on a 429 as on any other answer."""


def check_settings(**_: Any) -> list[CheckMessage]:
    """All that is wrong anywhere."""
    unreadable = list(_unreadable())
    if unreadable:
        return unreadable
    return [
        *_unknown_names(),
        *_tiers(),
        *_lookalikes(),
        *_outage(),
        *_enforcement(),
        *_cache(),
        *_proxies(),
        *_ranges(),
        *_exempt_paths(),
        *_denied_view(),
        *_keys(),
        *_middleware(),
    ]


def check_deployment(**_: Any) -> list[CheckMessage]:
    """What is wrong in production only (`check --deploy`)."""
    if list(_unreadable()) or list(_cache()):
        return []
    return [*_in_shadow(), *_processes_apart(), *_reads_every_time(), *_eviction()]


def _in_shadow() -> Iterator[CheckMessage]:
    in_shadow = sorted(tiers_in_shadow())
    if in_shadow:
        yield checks.Info(
            f"Nobody of {', '.join(in_shadow)} is ever refused: RATELIMIT_ENFORCE has their limits counted only.",
            hint="Leave RATELIMIT_ENFORCE out once you have seen whom the limits would refuse.",
            id="ratelimit.I002",
        )


def _unreadable() -> Iterator[CheckMessage]:
    for setting, name in _NAMES.items():
        try:
            getattr(as_written, name)
        except (UnusableNumberError, UnusablePrefixError):
            continue  # see _ranges and _keys
        except Exception as error:  # noqa: BLE001 - a setting may be any object, and its conversion raise anything
            yield checks.Error(
                f"{setting} has the wrong type: {error}.",
                hint="docs/reference/ratelimit.md shows what each setting is.",
                id="ratelimit.E001",
            )


def _unknown_names() -> Iterator[CheckMessage]:
    for setting in dir(settings):
        if setting.startswith("RATELIMIT_") and setting not in _NAMES:
            yield checks.Warning(
                f"{setting} is no setting of this app and has no effect.",
                hint=f"There are {', '.join(_NAMES)}.",
                id="ratelimit.W004",
            )


def _tiers() -> Iterator[CheckMessage]:
    for name in unusable_names():
        yield checks.Error(
            f"RATELIMIT_TIERS[{name!r}] is left out: no tier can have that name.",
            hint="Write 1 to 32 of a to z, 0 to 9, _ and -. Who is assigned to it counts as api_key.",
            id="ratelimit.E002",
        )
    for tier in known_tiers():
        try:
            limit_for(tier)
        except InvalidLimitError as error:
            yield checks.Error(
                str(error),
                hint='Write {"limit": 100, "window_seconds": 60, "burst": 100} in whole numbers; None is no limit.',
                id="ratelimit.E002",
            )


def _lookalikes() -> Iterator[CheckMessage]:
    everywhere = [tier.value for tier in RateLimitTier]
    for tier in known_tiers():
        if tier in everywhere:
            continue
        for meant in get_close_matches(tier, everywhere, n=1, cutoff=_ALIKE):
            yield checks.Warning(
                f"RATELIMIT_TIERS makes a new tier “{tier}”, and leaves “{meant}” as it was.",
                hint=f"Write “{meant}” if that is what you mean. If not, choose a name that nobody takes for it, or "
                "silence this check in SILENCED_SYSTEM_CHECKS.",
                id="ratelimit.W007",
            )


def _outage() -> Iterator[CheckMessage]:
    known = known_tiers()
    for tier, policy in conf.on_outage.items():
        if tier not in known:
            yield checks.Error(
                f"RATELIMIT_ON_OUTAGE names the tier “{tier}”, which there is not.",
                hint=f"Tiers are {', '.join(known)}.",
                id="ratelimit.E003",
            )
        if policy not in _ON_OUTAGE:
            yield checks.Error(
                f"RATELIMIT_ON_OUTAGE says “{policy}” for {tier}.",
                hint=f"Write one of {', '.join(_ON_OUTAGE)}.",
                id="ratelimit.E003",
            )


def _enforcement() -> Iterator[CheckMessage]:
    enforce, known = conf.enforce, known_tiers()
    for tier in enforce if isinstance(enforce, Mapping) else ():
        if tier not in known:
            yield checks.Error(
                f"RATELIMIT_ENFORCE names the tier “{tier}”, which there is not.",
                hint=f"Tiers are {', '.join(known)}.",
                id="ratelimit.E013",
            )


def _cache() -> Iterator[CheckMessage]:
    if conf.cache not in settings.CACHES:
        yield checks.Error(
            f"RATELIMIT_CACHE names the cache “{conf.cache}”, which CACHES has not.",
            hint=f"Caches are {', '.join(settings.CACHES)}. Left out: “ratelimit” if there is one, else “default”.",
            id="ratelimit.E004",
        )
        return
    try:
        caches[conf.cache]
    except Exception as error:  # noqa: BLE001 - a cache may do anything to make itself
        # what others raise may say an address with a password in it
        reason = error if isinstance(error, ImportError | InvalidCacheBackendError) else type(error).__name__
        yield checks.Error(
            f"The cache “{conf.cache}” cannot be made: {reason}.",
            hint="Correct its BACKEND in CACHES.",
            id="ratelimit.E004",
        )


def _proxies() -> Iterator[CheckMessage]:
    has_proxy = any([settings.SECURE_PROXY_SSL_HEADER, settings.USE_X_FORWARDED_HOST])
    if has_proxy and not conf.trusted_proxies:
        yield checks.Warning(
            "There is a proxy in front (SECURE_PROXY_SSL_HEADER or USE_X_FORWARDED_HOST is set), but none is trusted: "
            "all anonymous clients behind it share one limit.",
            hint="Set RATELIMIT_TRUSTED_PROXIES to the addresses your proxies connect from, such as ['10.0.0.0/8'].",
            id="ratelimit.W001",
        )
    if conf.forwarded_header.lower() not in _FORWARDED_HEADERS:
        yield checks.Error(
            f"RATELIMIT_FORWARDED_HEADER is “{conf.forwarded_header}”, which is never read: all clients behind your "
            "proxies share one limit.",
            hint="Write X-Forwarded-For or Forwarded, whichever your proxies set.",
            id="ratelimit.E012",
        )
    for network in conf.trusted_proxies:
        try:
            trusts_everybody = any(mask == 0 for _, mask, _ in TrustedProxies.parse([network]).networks)
        except ValueError as error:
            yield checks.Error(
                f"RATELIMIT_TRUSTED_PROXIES: {error}.",
                hint="Write a list of networks (10.0.0.0/8), single addresses, or unix for a Unix socket.",
                id="ratelimit.E005",
            )
            continue
        if trusts_everybody:
            yield checks.Warning(
                f"RATELIMIT_TRUSTED_PROXIES trusts everybody ({network}): whoever reaches this server without your "
                "proxy may claim any address, and with it any number of limits.",
                hint="Name only the networks your proxies connect from.",
                id="ratelimit.W002",
            )


def _ranges() -> Iterator[CheckMessage]:
    for setting, name in _NAMES.items():
        least, most = _RANGES.get(name, (None, None))
        if least is None or most is None:
            continue
        try:
            value = getattr(as_written, name)
        except UnusableNumberError as error:
            value = error.number
        if not least <= value <= most:
            yield checks.Error(
                f"{setting} is {value:g}.",
                hint=f"It makes sense from {least:,} to {most:,}.",
                id="ratelimit.E006",
            )


def _exempt_paths() -> Iterator[CheckMessage]:
    for path in conf.exempt_paths:
        if not path.startswith("/") or "*" in path[:-1]:
            yield checks.Error(
                f"RATELIMIT_EXEMPT_PATHS: “{path}” exempts nothing.",
                hint="Write a list of paths (/metrics) and beginnings of paths (/health/*).",
                id="ratelimit.E007",
            )


def _denied_view() -> Iterator[CheckMessage]:
    try:
        view = import_string(conf.denied_view)
    except ImportError as error:
        view = None
        reason = str(error)
    else:
        reason = "it cannot be called"
    if not callable(view):
        yield checks.Error(
            f"RATELIMIT_DENIED_VIEW cannot be used: {reason}.",
            hint="Write the dotted path of a function view(request, decision) -> HttpResponse.",
            id="ratelimit.E008",
        )


def _keys() -> Iterator[CheckMessage]:
    try:
        as_written.key_prefix  # noqa: B018 - reading it is the question
    except UnusablePrefixError as error:
        yield checks.Error(
            f"RATELIMIT_KEY_PREFIX “{error.prefix}” cannot begin a key, so that its default holds.",
            hint="Write 1 to 64 letters, digits and _ . : -; braces would move all buckets into one slot of a cluster.",
            id="ratelimit.E009",
        )
    if not conf.secret:
        yield checks.Error(
            "RATELIMIT_SECRET is empty: who has read the buckets' names could tell whose they are.",
            hint="Leave it out, so that SECRET_KEY serves, or set it to a long random text.",
            id="ratelimit.E011",
        )


def _middleware() -> Iterator[CheckMessage]:
    kinds = list(_kinds_of_middleware())
    ours = [place for place, (_, kinds_of_it) in enumerate(kinds) if _name_of(RateLimitMiddleware) in kinds_of_it]
    behind = kinds[ours[0] + 1 :] if ours else []
    if not ours:
        yield checks.Warning(
            "RateLimitMiddleware is not in MIDDLEWARE: no request is limited.",
            hint="Add ratelimit.middleware.RateLimitMiddleware behind AuthenticationMiddleware.",
            id="ratelimit.W003",
        )
    if len(ours) > 1:
        yield checks.Error(
            "RateLimitMiddleware is in MIDDLEWARE more than once: every request would be charged for each.",
            hint="Keep the one behind AuthenticationMiddleware.",
            id="ratelimit.E010",
        )
    if any(_name_of(AuthenticationMiddleware) in kinds_of_it for _, kinds_of_it in behind):
        yield checks.Error(
            "RateLimitMiddleware stands before AuthenticationMiddleware: users would be limited by their address.",
            hint="Move ratelimit.middleware.RateLimitMiddleware behind AuthenticationMiddleware.",
            id="ratelimit.E010",
        )
    for path, kinds_of_it in behind:
        if kinds_of_it & _WRITES_HEADERS:
            yield checks.Warning(
                f"RateLimitMiddleware stands before {path}, which does not see a 429: it lacks those headers.",
                hint="Move ratelimit.middleware.RateLimitMiddleware behind it.",
                id="ratelimit.W009",
            )


def _kinds_of_middleware() -> Iterator[tuple[str, frozenset[str]]]:
    """Each path in MIDDLEWARE, and the names of the class there and of those that it derives from.

    None where it is no class or cannot be imported, which is for Django to tell.
    """
    for path in settings.MIDDLEWARE:
        try:
            found = import_string(path)
        except ImportError:
            found = None
        yield path, frozenset(map(_name_of, found.__mro__)) if isinstance(found, type) else frozenset()


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _processes_apart() -> Iterator[CheckMessage]:
    if not _is_redis(conf.cache):
        yield checks.Warning(
            f"The cache “{conf.cache}” ({settings.CACHES[conf.cache].get('BACKEND')}) is no Redis: each process counts "
            "for itself.",
            hint="Point RATELIMIT_CACHE to a django-redis cache, or set RATELIMIT_EXPECTED_PROCESSES to the number of "
            "processes, each of which then admits its share.",
            id="ratelimit.W005",
        )


def _reads_every_time() -> Iterator[CheckMessage]:
    if conf.refresh_seconds == 0:
        yield checks.Warning(
            "RATELIMIT_REFRESH_SECONDS is 0: every request asks the database, and waits for it however long it takes.",
            hint="Leave it out; what is changed elsewhere takes effect within 5 s.",
            id="ratelimit.W006",
        )


def _eviction() -> Iterator[CheckMessage]:
    try:
        policy = eviction_policy()
    except StoreError as error:
        yield checks.Info(
            f"The Redis of the cache “{conf.cache}” could not be asked whether it drops buckets ({error.reason}).",
            hint="Where it can be reached, ask again: python manage.py check --deploy --tag ratelimit",
            id="ratelimit.I001",
        )
        return
    if policy not in {"", "noeviction"}:
        yield checks.Warning(
            f"The Redis of the cache “{conf.cache}” drops keys when its memory is full (maxmemory-policy {policy}): a "
            "bucket that is dropped is full again.",
            hint="Give the buckets a Redis of their own with maxmemory-policy noeviction, and name it in "
            "RATELIMIT_CACHE.",
            id="ratelimit.W008",
        )


def _is_redis(alias: str) -> bool:
    try:
        from ratelimit.stores.redis import speaks_redis  # the client library is wanted by those who have a Redis

        return speaks_redis(caches[alias])
    except ImportError:
        return False
