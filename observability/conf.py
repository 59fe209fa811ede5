"""The app's settings: one typed property each, read at the moment of use, the default beside the name."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import isfinite
from typing import Any, TypeAlias, TypeVar

from django.conf import settings as django_settings

logger = logging.getLogger(__name__)

Network: TypeAlias = IPv4Network | IPv6Network
_Value = TypeVar("_Value")
_HIGHEST_PORT = 65_535
_NAMESPACE = re.compile(r"[a-z](?:[a-z0-9_]*[a-z0-9])?\Z")


class ObservabilitySettings:
    """``OBSERVABILITY_*`` as the project has set them; reading one that cannot be used raises.

    Whatever its value raises, most often TypeError or ValueError. ``conf`` is for those who must go on.
    """

    def _read(self, name: str, default: Any, understand: Callable[[Any], _Value]) -> _Value:
        return understand(getattr(django_settings, name, default))

    @property
    def namespace(self) -> str:
        """Put in front of every metric's name with an underscore; read once, when the first metric is made."""
        return self._read("OBSERVABILITY_NAMESPACE", "", _namespace)

    @property
    def path(self) -> str:
        """Where the middleware serves the page; empty: nowhere, for projects that include ``observability.urls``."""
        return self._read("OBSERVABILITY_PATH", "/metrics", _url_path)

    @property
    def token(self) -> str:
        """Whoever sends it as a bearer token may read the page; nobody does so where it is empty."""
        return self._read("OBSERVABILITY_TOKEN", "", _text)

    @property
    def allowed_networks(self) -> Sequence[Network]:
        """CIDRs from which the page may be read without a token; never where a proxy has passed the request on."""
        return self._read("OBSERVABILITY_ALLOWED_NETWORKS", ("127.0.0.0/8", "::1/128"), _networks)

    @property
    def collectors(self) -> Sequence[str]:
        """Dotted paths of the project's own collectors: classes or objects with ``collect()``."""
        return self._read("OBSERVABILITY_COLLECTORS", (), _texts)

    @property
    def databases(self) -> Sequence[str] | None:
        """Aliases of the databases whose queries and connections are measured; None: all."""
        return self._read("OBSERVABILITY_DATABASES", None, _texts_or_none)

    @property
    def caches(self) -> Sequence[str] | None:
        """Aliases of the caches whose operations and sizes are measured; None: all."""
        return self._read("OBSERVABILITY_CACHES", None, _texts_or_none)

    @property
    def snapshot_seconds(self) -> float:
        """How old what a collector has read may be before it is asked anew."""
        return self._read("OBSERVABILITY_SNAPSHOT_SECONDS", 10.0, _seconds)

    @property
    def collect_timeout_seconds(self) -> float:
        """After how long a collector that does not come back is given up: its statements and its connections."""
        return self._read("OBSERVABILITY_COLLECT_TIMEOUT_SECONDS", 5.0, _seconds)

    @property
    def worker_port(self) -> int:
        """The port on which a Celery worker serves the page; 0: none."""
        return self._read("OBSERVABILITY_WORKER_PORT", 0, _port)

    @property
    def worker_host(self) -> str:
        """The address on which a Celery worker serves the page."""
        return self._read("OBSERVABILITY_WORKER_HOST", "127.0.0.1", _text)

    @property
    def version(self) -> str:
        """The project's version, shown by ``build_details``."""
        return self._read("OBSERVABILITY_VERSION", "", _text)

    @property
    def strict(self) -> bool:
        """A label value outside its domain raises instead of being counted as ``other``: for tests."""
        return self._read("OBSERVABILITY_STRICT", False, bool)


class _SafeSettings(ObservabilitySettings):
    """The default stands in for what cannot be used: servers run no system checks, and no request may fail for it.

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


def _namespace(value: Any) -> str:
    text = _text(value)
    if text and not _NAMESPACE.match(text):
        raise ValueError("a prefix of a-z, 0-9 and _ is wanted, such as harvester")
    return text


def _texts(value: Any) -> Sequence[str]:
    """A single text would be taken apart into its letters."""
    if isinstance(value, str):
        raise TypeError("a list of texts is wanted, not a text")
    return tuple(_text(one) for one in value)


def _texts_or_none(value: Any) -> Sequence[str] | None:
    return None if value is None else _texts(value)


def _url_path(value: Any) -> str:
    path = _text(value)
    if path and not path.startswith("/"):
        raise ValueError("a path that begins with a slash is wanted, such as /metrics, or none")
    if path == "/":
        raise ValueError("the page of metrics cannot be the first page")
    return path


def _networks(value: Any) -> Sequence[Network]:
    return tuple(ip_network(one, strict=False) for one in _texts(value))  # 10.0.0.1/8 is meant as 10.0.0.0/8


def _seconds(value: Any) -> float:
    number = float(value)
    if not (isfinite(number) and number > 0):
        raise ValueError(f"{number:g} is no number of seconds above 0")
    return number


def _port(value: Any) -> int:
    number = int(value)
    if not 0 <= number <= _HIGHEST_PORT:
        raise ValueError(f"{number} is no port")
    return number


as_written = ObservabilitySettings()
conf = _SafeSettings()

_forgetters: list[Callable[[], object]] = [conf.forget]


def on_change(forget: Callable[[], object]) -> None:
    """Have ``forget`` called whenever a setting changes (Django's ``setting_changed``, which the app listens to)."""
    _forgetters.append(forget)


def forget_settled(**_: Any) -> None:
    """Everything made of the settings is made anew when next asked for."""
    for forget in _forgetters:
        forget()
