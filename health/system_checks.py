"""Finds settings that cannot be meant, before the first probe does.

No check asks a database or Redis; one looks whether a folder is there.

docs/reference/health.md lists the ids; none ever changes its meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.utils.module_loading import import_string

from health.conf import HealthSettings, Network, as_written, conf
from health.middleware import HealthMiddleware
from health.registry import Entry, read_entries
from health.status import HealthStatus

READINESS_SECONDS = 5.0
STARTUP_SECONDS = 30.0
"""The timeouts of the probes in the deployment that docs/ describes."""
_LEAST_TOKEN_LENGTH = 16
_ALIKE = 0.6  # of 1
_VARIABLES = (
    "HEALTH_DRAIN_SECONDS",
    "HEALTH_TERMINATION_GRACE_SECONDS",
)  # of ``health.gunicorn``, which needs no Django
_EVERYBODY = tuple(
    ip_network(network)
    for network in ("0.0.0.0/0", "2000::/3", "::ffff:0:0/96")  # IPv6's last is IPv4 as a server on [::] sees it
)
_NAMES = {f"HEALTH_{name.upper()}": name for name, value in vars(HealthSettings).items() if isinstance(value, property)}


def check_settings(**_: Any) -> list[CheckMessage]:
    """All that is wrong anywhere."""
    unreadable = list(_unreadable())
    if unreadable:
        return unreadable
    return [
        *_unknown_names(),
        *_middleware(),
        *_aliases(),
        *_checks(),
        *_token(),
        *_networks(),
        *_disk(),
    ]


def _unreadable() -> Iterator[CheckMessage]:
    for setting, name in _NAMES.items():
        try:
            getattr(as_written, name)
        except Exception as error:  # noqa: BLE001 - a setting may be any object, and its conversion raise anything
            # what is raised about the token may quote it
            reason = type(error).__name__ if name == "token" and not isinstance(error, TypeError) else error
            yield checks.Error(
                f"{setting} cannot be used, so that its default holds: {reason}.",
                hint="docs/reference/health.md shows what each setting is.",
                id="health.E001",
            )


def _unknown_names() -> Iterator[CheckMessage]:
    for setting in dir(settings):
        if setting.startswith("HEALTH_") and setting not in _NAMES:
            yield checks.Warning(
                f"{setting} is no setting of this app and has no effect.",
                hint=_meant_by(setting),
                id="health.W003",
            )


def _meant_by(setting: str) -> str:
    if setting in _VARIABLES:
        return "gunicorn, which starts before the settings are read, takes it from the environment."
    meant = get_close_matches(setting, _NAMES, n=1, cutoff=_ALIKE)
    return f"Did you mean {meant[0]}?" if meant else f"There are {', '.join(_NAMES)}."


def _middleware() -> Iterator[CheckMessage]:
    ours = [place for place, path in enumerate(settings.MIDDLEWARE) if _is_ours(path)]
    if not ours:
        yield checks.Warning(
            "HealthMiddleware is not in MIDDLEWARE: probes meet ALLOWED_HOSTS, redirects, sessions and limits, or no "
            "answer at all.",
            hint="Put health.middleware.HealthMiddleware first. If health.urls alone is meant, silence this check in "
            "SILENCED_SYSTEM_CHECKS.",
            id="health.W001",
        )
    elif ours[0] > 0:
        yield checks.Warning(
            f"HealthMiddleware stands behind {settings.MIDDLEWARE[0]}, which may refuse a probe, redirect it, or wait "
            "for what is down.",
            hint="Put health.middleware.HealthMiddleware first in MIDDLEWARE.",
            id="health.W002",
        )


def _is_ours(path: str) -> bool:
    try:
        found = import_string(path)
    except ImportError:  # which is for Django to tell
        return False
    return isinstance(found, type) and issubclass(found, HealthMiddleware)


def _aliases() -> Iterator[CheckMessage]:
    for alias in conf.databases:
        if alias not in settings.DATABASES:
            yield checks.Error(
                f"HEALTH_DATABASES names the database “{alias}”, which DATABASES has not.",
                hint=f"Databases are {', '.join(settings.DATABASES)}.",
                id="health.E005",
            )
    if conf.cache not in settings.CACHES:
        yield checks.Error(
            f"HEALTH_CACHE names the cache “{conf.cache}”, which CACHES has not.",
            hint=f"Caches are {', '.join(settings.CACHES)}.",
            id="health.E005",
        )


def _checks() -> Iterator[CheckMessage]:
    written = getattr(settings, "HEALTH_CHECKS", None) or {}
    has_wrong_alias = bool(list(_aliases()))
    for entry in read_entries():
        if entry.error is not None:
            if not (has_wrong_alias and entry.name not in written):  # which is what is wrong then, and was told
                yield checks.Error(
                    f"{entry.error}.",
                    hint="Write {'check': 'dotted.path.of.a.Check'} and its options, or None to leave a default one "
                    "out. Until then the component is unhealthy.",
                    id="health.E002",
                )
            continue
        if not entry.checks and entry.name in written:
            yield checks.Warning(
                f"HEALTH_CHECKS[{entry.name!r}] asks for a check, but there is nothing for it to look at, so that the "
                "component is absent.",
                hint="For Redis: let HEALTH_CACHE name a cache whose backend is Redis. Or leave the entry out.",
                id="health.W004",
            )
        yield from _deadlines(entry)
        yield from _thresholds(entry)
        yield from _flags(entry)


def _deadlines(entry: Entry) -> Iterator[CheckMessage]:
    for check in entry.checks:
        budget = STARTUP_SECONDS if check.startup_only else READINESS_SECONDS
        probe = "startup" if check.startup_only else "readiness"
        if check.deadline_seconds >= budget:
            yield checks.Error(
                f"The deadline of {check.name} is {check.deadline_seconds:g} s, but the {probe} probe waits for less "
                f"than {budget:g} s: no answer would come in time.",
                hint=f"Let its deadline_seconds in HEALTH_CHECKS be less than {budget:g}.",
                id="health.E003",
            )
        if 0 < conf.server_timeout_seconds <= check.deadline_seconds:
            yield checks.Error(
                f"The deadline of {check.name} is {check.deadline_seconds:g} s, but the server kills a worker that "
                f"does not answer within {conf.server_timeout_seconds:g} s (HEALTH_SERVER_TIMEOUT_SECONDS).",
                hint="Let its deadline_seconds in HEALTH_CHECKS be less than that.",
                id="health.E004",
            )


def _thresholds(entry: Entry) -> Iterator[CheckMessage]:
    slow_seconds = entry.options.get("slow_seconds")
    for check in entry.checks:
        if isinstance(slow_seconds, int | float) and slow_seconds >= check.deadline_seconds:
            yield checks.Warning(
                f"{check.name} is slow above {slow_seconds:g} s, but is waited for no longer than "
                f"{check.deadline_seconds:g} s: it would be late before it is slow.",
                hint="In HEALTH_CHECKS let its slow_seconds be less than its deadline_seconds.",
                id="health.W005",
            )


def _flags(entry: Entry) -> Iterator[CheckMessage]:
    for check in entry.checks:
        if entry.options.get("critical") and check.worst is not HealthStatus.UNHEALTHY:
            yield checks.Warning(
                f"{check.name} is critical, which has no effect: it is {check.worst} at worst.",
                hint="In HEALTH_CHECKS let its worst be 'unhealthy' if nothing works without it, or take critical out.",
                id="health.W006",
            )


def _token() -> Iterator[CheckMessage]:
    token = conf.token
    if token and len(token) < _LEAST_TOKEN_LENGTH:
        yield checks.Warning(
            f"HEALTH_TOKEN has {len(token)} characters only, and may be guessed.",
            hint="python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            id="health.W007",
        )
    if token != token.strip() or not token.isprintable():
        yield checks.Warning(
            "HEALTH_TOKEN begins or ends with a blank, or holds a control character: no header can say it.",
            hint="Take the line's end away that came with it out of a file.",
            id="health.W008",
        )


def _networks() -> Iterator[CheckMessage]:
    for network in _together(conf.detail_networks):
        if any(network.version == all_.version and all_.subnet_of(network) for all_ in _EVERYBODY):  # type: ignore[arg-type]  # of one version
            yield checks.Warning(
                f"HEALTH_DETAIL_NETWORKS shows details to everybody who reaches this server directly ({network}).",
                hint="Name only the networks of those who may see them.",
                id="health.W009",
            )


def _together(networks: Sequence[Network]) -> Iterator[Network]:
    """0.0.0.0/1 and 128.0.0.0/1 are 0.0.0.0/0."""
    yield from collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    yield from collapse_addresses(network for network in networks if isinstance(network, IPv6Network))


def _disk() -> Iterator[CheckMessage]:
    if "disk" not in conf.checks:
        return
    path = Path(conf.disk_path)
    try:
        is_root = path.samefile("/")
    except (OSError, ValueError):  # ValueError: a null in it
        yield checks.Warning(
            f"There is no {path} that could be looked at (HEALTH_DISK_PATH): the component disk will be unhealthy.",
            hint="Make it, or set HEALTH_DISK_PATH to the folder to which the project writes.",
            id="health.W010",
        )
        return
    if is_root:
        yield checks.Warning(
            "HEALTH_DISK_PATH is “/”: in a container that is the node's disk, on which the project does not write.",
            hint="Set it to the folder to which the project writes.",
            id="health.W011",
        )
