"""The app's settings: one typed property each, read at the moment of use, the default beside the name."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import isfinite
from typing import Any, TypeAlias, TypeVar

from django.conf import settings as django_settings

from health.errors import UnusableNumberError

logger = logging.getLogger(__name__)

DEFAULT_CHECKS: Mapping[str, str] = {
    "database": "health.checks.database.DatabaseCheck",
    "redis": "health.checks.redis.RedisCheck",
    "disk": "health.checks.disk.DiskCheck",
    "memory": "health.checks.memory.MemoryCheck",
    "migrations": "health.checks.migrations.MigrationsCheck",
}

_MAKES_NO_CHECK: Mapping[str, Any] = {"check": None}

Network: TypeAlias = IPv4Network | IPv6Network
_Value = TypeVar("_Value")


class HealthSettings:
    """``HEALTH_*`` as the project has set them; reading one that cannot be used raises.

    Whatever its value raises, most often TypeError or ValueError. ``conf`` is for those who must go on.
    """

    def _read(self, name: str, default: Any, understand: Callable[[Any], _Value]) -> _Value:
        return understand(getattr(django_settings, name, default))

    @property
    def checks(self) -> Mapping[str, Mapping[str, Any]]:
        """Component → options, with the check's dotted path as ``check``; laid over the default ones.

        An entry may be a path, a mapping of options (with ``check`` for one that is no default's), or None, which
        takes a default one away.
        """
        return self._read("HEALTH_CHECKS", {}, _checks)

    @property
    def databases(self) -> Sequence[str]:
        """Aliases of the databases to check."""
        return self._read("HEALTH_DATABASES", ("default",), _texts)

    @property
    def cache(self) -> str:
        """The cache alias whose Redis is checked."""
        return self._read("HEALTH_CACHE", "default", _text)

    @property
    def disk_path(self) -> str:
        """Where the project writes: MEDIA_ROOT, else BASE_DIR, else the working directory."""
        return self._read("HEALTH_DISK_PATH", _default_disk_path(), _path)

    @property
    def token(self) -> str:
        """Whoever sends it as a bearer token sees details; nobody does where it is empty."""
        return self._read("HEALTH_TOKEN", "", _text)

    @property
    def detail_networks(self) -> Sequence[Network]:
        """CIDRs from which details are seen; a request that a proxy has passed on never is."""
        return self._read("HEALTH_DETAIL_NETWORKS", (), _networks)

    @property
    def path(self) -> str:
        """Under which path the middleware answers, without a slash at its end."""
        return self._read("HEALTH_PATH", "/health", _url_path)

    @property
    def version(self) -> str:
        """The project's version, shown among the details."""
        return self._read("HEALTH_VERSION", "", _text)

    @property
    def server_timeout_seconds(self) -> float:
        """After how long the server kills a worker that does not answer (gunicorn's ``timeout``); 0: never."""
        return self._read("HEALTH_SERVER_TIMEOUT_SECONDS", 30.0, _seconds_or_none)


class _SafeSettings(HealthSettings):
    """The default stands in for what cannot be used: servers run no system checks, and no probe may fail for it.

    Told in the log once, until a setting changes, without the value: it may be a secret.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()

    def _read(self, name: str, default: Any, understand: Callable[[Any], _Value]) -> _Value:
        try:
            return super()._read(name, default, understand)
        except Exception:  # noqa: BLE001 - a setting may be any object, and its conversion raise anything
            if name not in self._told:
                self._told.add(name)
                logger.error("%s cannot be used, its default holds: see `manage.py check`.", name)  # noqa: TRY400 - no trace
            return understand(default)

    def forget(self) -> None:
        self._told.clear()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is wanted, not {type(value).__name__}")
    value.encode()  # an environment that is not UTF-8 leaves lone surrogates, at which every use would fail
    return value


def _texts(value: Any) -> Sequence[str]:
    """A single text would be taken apart into its letters."""
    if isinstance(value, str):
        raise TypeError("a list of texts is wanted, not a text")
    return tuple(_text(one) for one in value)


def _path(value: Any) -> str:
    return _text(os.fspath(value))


def _default_disk_path() -> str:
    for name in ("MEDIA_ROOT", "BASE_DIR"):
        with suppress(Exception):  # a setting that is no path is for whoever uses it to tell
            if path := _path(getattr(django_settings, name, "")):
                return path
    try:
        return os.getcwd()  # noqa: PTH109 - a text is wanted
    except OSError:  # it was deleted, and has no name any more
        return os.curdir


def _url_path(value: Any) -> str:
    path = _text(value).rstrip("/")
    if not path.startswith("/"):
        raise ValueError("a path that begins with a slash is wanted, such as /health")
    return path


def _networks(value: Any) -> Sequence[Network]:
    return tuple(ip_network(one, strict=False) for one in _texts(value))  # 10.0.0.1/8 is meant as 10.0.0.0/8


def _checks(value: Any) -> Mapping[str, Mapping[str, Any]]:
    merged: dict[str, Mapping[str, Any]] = {name: {"check": path} for name, path in DEFAULT_CHECKS.items()}
    for name, entry in dict(value).items():
        if entry is None and isinstance(name, str):
            merged.pop(name, None)
        else:
            merged |= _entry(name, entry, merged)
    return merged


def _entry(name: Any, entry: Any, merged: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """One that cannot be meant makes no check: it is an unhealthy component, and the others are what they are."""
    try:
        name = _text(name)
    except (TypeError, UnicodeEncodeError):
        return {ascii(name): _MAKES_NO_CHECK}
    if isinstance(entry, str):
        return {name: {"check": entry}}
    if isinstance(entry, Mapping):
        return {name: {**merged.get(name, {}), **entry}}
    return {name: _MAKES_NO_CHECK}


def _seconds_or_none(value: Any) -> float:
    number = float(value)
    if not (isfinite(number) and number >= 0):
        raise UnusableNumberError(number, 0)
    return number


as_written = HealthSettings()
conf = _SafeSettings()

_forgetters: list[Callable[[], object]] = [conf.forget]


def on_change(forget: Callable[[], object]) -> None:
    """Have ``forget`` called whenever a setting changes (Django's ``setting_changed``, which the app listens to)."""
    _forgetters.append(forget)


def forget_settled(**_: Any) -> None:
    """Everything made of the settings is made anew when next asked for."""
    for forget in _forgetters:
        forget()
