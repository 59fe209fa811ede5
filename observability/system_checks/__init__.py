"""Finds settings that cannot be meant, before the first scrape does.

No check asks a database or a cache; one tries whether the metrics' folder can be written.

docs/reference/observability.md lists the ids; none ever changes its meaning.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage

from observability.collectors.finding import find_collector
from observability.conf import Network, ObservabilitySettings, as_written, conf
from observability.errors import CollectorSettingError
from observability.system_checks.folder import check_folder
from observability.system_checks.middleware import check_middleware
from observability.system_checks.neighbours import check_neighbours

_LEAST_TOKEN_LENGTH = 16
_FIRST_FREE_PORT = 1024
_USUAL_PORT = "8000"  # of runserver and of gunicorn
_ALIKE = 0.6  # of 1
_TOKEN = "OBSERVABILITY_TOKEN"  # noqa: S105 - the setting's name
_EVERYBODY = tuple(
    ip_network(network)
    for network in ("0.0.0.0/0", "2000::/3", "::ffff:0:0/96")  # IPv6's last is IPv4 as a server on [::] sees it
)
_PREFIX = "OBSERVABILITY_"
_SHORT_NAMES = [name.upper() for name, value in vars(ObservabilitySettings).items() if isinstance(value, property)]
_NAMES = {f"{_PREFIX}{name}": name.lower() for name in _SHORT_NAMES}


def check_settings(**_: Any) -> list[CheckMessage]:
    """All that is wrong anywhere."""
    unreadable = list(_unreadable())
    if unreadable:
        return unreadable
    return [
        *_unknown_names(),
        *check_middleware(),
        *_collectors(),
        *_aliases(),
        *check_folder(),
        *_token(),
        *_networks(),
        *_nobody(),
        *_port(),
        *check_neighbours(),
    ]


def _unreadable() -> Iterator[CheckMessage]:
    for setting, name in _NAMES.items():
        try:
            getattr(as_written, name)
        except Exception as error:  # noqa: BLE001 - a setting may be any object, and its conversion raise anything
            # what is raised about the token may quote it
            reason = type(error).__name__ if setting == _TOKEN and not isinstance(error, TypeError) else error
            yield checks.Error(
                f"{setting} cannot be used, so that its default holds: {reason}.",
                hint="docs/reference/observability.md shows what each setting is.",
                id="observability.E001",
            )


def _unknown_names() -> Iterator[CheckMessage]:
    for setting in dir(settings):
        if setting.startswith(_PREFIX) and setting not in _NAMES:
            meant = get_close_matches(setting.removeprefix(_PREFIX), _SHORT_NAMES, n=1, cutoff=_ALIKE)
            yield checks.Warning(
                f"{setting} is no setting of this app and has no effect.",
                hint=f"Did you mean {_PREFIX}{meant[0]}?" if meant else f"There are {', '.join(_NAMES)}.",
                id="observability.W001",
            )


def _collectors() -> Iterator[CheckMessage]:
    for path in conf.collectors:
        try:
            find_collector(path)
        except CollectorSettingError as error:
            yield checks.Error(
                f"{error}",
                hint="Until then metrics_collector_success is 0 for it, and the rest of the page is there.",
                id="observability.E002",
            )


def _aliases() -> Iterator[CheckMessage]:
    for setting, aliases, there_are, what in (
        ("OBSERVABILITY_DATABASES", conf.databases, settings.DATABASES, "database"),
        ("OBSERVABILITY_CACHES", conf.caches, settings.CACHES, "cache"),
    ):
        for alias in aliases or ():
            if alias not in there_are:
                yield checks.Error(
                    f"{setting} names the {what} “{alias}”, which {what.upper()}S has not.",
                    hint=f"There are {', '.join(there_are) or 'none'}.",
                    id="observability.E003",
                )


def _token() -> Iterator[CheckMessage]:
    token = conf.token
    if token and len(token) < _LEAST_TOKEN_LENGTH:
        yield checks.Warning(
            f"{_TOKEN} has {len(token)} characters only, and may be guessed.",
            hint="python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            id="observability.W006",
        )
    if any(letter.isspace() for letter in token) or not token.isprintable():
        yield checks.Warning(
            f"{_TOKEN} holds a blank, a line's end or a control character: no header can say it.",
            hint="Take the line's end away that came with it out of a file.",
            id="observability.W007",
        )


def _networks() -> Iterator[CheckMessage]:
    for network in _together(conf.allowed_networks):
        if any(network.version == all_.version and all_.subnet_of(network) for all_ in _EVERYBODY):  # type: ignore[arg-type]  # of one version
            yield checks.Warning(
                f"OBSERVABILITY_ALLOWED_NETWORKS shows the metrics to everybody who reaches this server directly "
                f"({network}).",
                hint="Name only the networks from which Prometheus comes, or set a token.",
                id="observability.W008",
            )


def _together(networks: Sequence[Network]) -> Iterator[Network]:
    """0.0.0.0/1 and 128.0.0.0/1 are 0.0.0.0/0."""
    yield from collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    yield from collapse_addresses(network for network in networks if isinstance(network, IPv6Network))


def _nobody() -> Iterator[CheckMessage]:
    if not (conf.token or conf.allowed_networks):
        yield checks.Warning(
            f"{_TOKEN} and OBSERVABILITY_ALLOWED_NETWORKS are both empty: the metrics are shown to nobody.",
            hint="Set a token, and let Prometheus send it, or name the networks from which it comes.",
            id="observability.W015",
        )


def _port() -> Iterator[CheckMessage]:
    port = conf.worker_port
    if not port:
        return
    if port < _FIRST_FREE_PORT:
        yield checks.Warning(
            f"OBSERVABILITY_WORKER_PORT is {port}: ports below {_FIRST_FREE_PORT} are for root, and a worker that is "
            "not root may have no page.",
            hint="Take one above, such as 9808.",
            id="observability.W009",
        )
    if str(port) == (os.environ.get("PORT", "").strip() or _USUAL_PORT):
        yield checks.Warning(
            f"OBSERVABILITY_WORKER_PORT is {port}, the port of the web server: where both run on one machine one of "
            "them will not start serving.",
            hint="Take another, such as 9808.",
            id="observability.W010",
        )
