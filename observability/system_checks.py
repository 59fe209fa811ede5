"""Finds settings that cannot be meant, before the first scrape does.

No check asks a database or a cache; one tries whether the metrics' folder can be written.

docs/reference/observability.md lists the ids; none ever changes its meaning.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.utils.module_loading import import_string

from observability.collectors.finding import find_collector
from observability.conf import Network, ObservabilitySettings, as_written, conf
from observability.errors import CollectorSettingError
from observability.storage import VARIABLE

_LEAST_TOKEN_LENGTH = 16
_MOST_IN_FRONT = 2
"""Something that answers probes, and one more that only marks the request."""
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
_OURS = "observability.middleware.MetricsMiddleware"
_ANSWER = {
    "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
    "django.contrib.redirects.middleware.RedirectFallbackMiddleware",
    "django.middleware.cache.CacheMiddleware",
    "django.middleware.cache.FetchFromCacheMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
}
"""They answer some requests without asking those behind them, or make another answer of theirs."""
_FOREIGN_MIDDLEWARE = "django_prometheus.middleware."
_FOREIGN_ENGINES = "django_prometheus.db.backends."
_FOREIGN_CACHES = "django_prometheus.cache.backends."


def check_settings(**_: Any) -> list[CheckMessage]:
    """All that is wrong anywhere."""
    unreadable = list(_unreadable())
    if unreadable:
        return unreadable
    return [
        *_unknown_names(),
        *_middleware(),
        *_collectors(),
        *_aliases(),
        *_folder(),
        *_token(),
        *_networks(),
        *_nobody(),
        *_port(),
        *_others(),
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


def _middleware() -> Iterator[CheckMessage]:
    paths = list(settings.MIDDLEWARE or ())
    ours = [place for place, path in enumerate(paths) if _OURS in _classes(path)]
    if not ours:
        yield checks.Warning(
            "MetricsMiddleware is not in MIDDLEWARE: no request is counted or timed, and OBSERVABILITY_PATH is served "
            "by nobody.",
            hint=f"Put {_OURS} first, or behind what answers probes.",
            id="observability.W002",
        )
        return
    if len(ours) > 1:
        yield checks.Warning(
            f"MetricsMiddleware is in MIDDLEWARE {len(ours)} times, and counts each request as often.",
            hint="Leave the first one, and take the others out.",
            id="observability.W003",
        )
    in_front = paths[: ours[0]]
    answering = next((path for path in in_front if _ANSWER & _classes(path)), None)
    if answering is not None or len(in_front) > _MOST_IN_FRONT:
        yield checks.Warning(
            f"MetricsMiddleware stands behind {answering or f'{len(in_front)} others'}: what is answered there is not "
            "counted, and what is done there is not timed.",
            hint=f"Put {_OURS} first, or behind what answers probes.",
            id="observability.W004",
        )


def _classes(path: str) -> set[str]:
    """The dotted paths of a middleware and of all that it derives from; its own alone where it is a function."""
    try:
        found = import_string(path)
    except Exception:  # noqa: BLE001 - whatever its module raises at import is for Django to tell
        return {path}
    bases = found.__mro__ if isinstance(found, type) else ()
    return {path, *(f"{base.__module__}.{base.__qualname__}" for base in bases)}


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


def _folder() -> Iterator[CheckMessage]:
    written = os.environ.get(VARIABLE, "").strip()
    if not written:
        return
    folder = Path(written)
    problem = _why_it_cannot_be_written(folder)
    if problem:
        yield checks.Error(
            f"{VARIABLE} is {written}, which cannot be written ({problem}): what processes count is seen by nobody.",
            hint="Name a folder on a local disk or in memory that every process of this project may write, such as one "
            "below /run or /dev/shm.",
            id="observability.E004",
        )
    if not folder.is_absolute():
        yield checks.Warning(
            f"{VARIABLE} is {written}, a relative path: processes that start elsewhere count elsewhere.",
            hint=f"Write {folder.absolute()}.",
            id="observability.W005",
        )

    strangers = _without_a_slot(folder)
    if strangers:
        yield checks.Warning(
            f"{VARIABLE} holds files that no slot has written, such as {strangers[0]}: what is in them is counted for "
            "good.",
            hint="They are prometheus_client's, by process id. Empty the folder while no process runs, and have every "
            "process that counts into it use this app.",
            id="observability.W016",
        )


def _without_a_slot(folder: Path) -> list[str]:
    """Of a folder that prometheus_client has used, or still does in a process without this app."""
    try:
        files = [path.name for path in folder.glob("*_*.db")]
        slots = {path.stem.removeprefix("slot-") for path in folder.glob("slot-*.lock")}
    except (OSError, ValueError):
        return []
    return sorted(name for name in files if name.removesuffix(".db").rpartition("_")[2] not in slots)


def _why_it_cannot_be_written(folder: Path) -> str:
    """Tried with a file that is gone at once; of a folder that is yet to be made, in the one in which it would be."""
    try:
        there_is = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with TemporaryFile(dir=there_is):
            return ""
    except (OSError, ValueError) as error:  # ValueError: a null in it
        return getattr(error, "strerror", None) or "it is no path"


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


def _others() -> Iterator[CheckMessage]:
    """Of django-prometheus only what does something twice: its model mixin does nothing that is done here."""
    for path in settings.MIDDLEWARE or ():
        if any(name.startswith(_FOREIGN_MIDDLEWARE) for name in _classes(path)):
            yield checks.Warning(
                f"{path} counts and times the requests that MetricsMiddleware counts and times, under other names.",
                hint="Take it out. Besides, it labels by whatever method a client invents, so that anybody can make as "
                "many series as they like.",
                id="observability.W011",
            )
    for alias, engine in _those_measured(settings.DATABASES, "ENGINE", conf.databases):
        if engine.startswith(_FOREIGN_ENGINES):
            yield checks.Warning(
                f"DATABASES[{alias!r}] has the engine {engine}, which times the queries that are timed here.",
                hint=f"Write django.db.backends.{engine.removeprefix(_FOREIGN_ENGINES)} (or GeoDjango's), or leave "
                f"{alias!r} out of OBSERVABILITY_DATABASES.",
                id="observability.W012",
            )
    for alias, backend in _those_measured(settings.CACHES, "BACKEND", conf.caches):
        if backend.startswith(_FOREIGN_CACHES):
            yield checks.Warning(
                f"CACHES[{alias!r}] has the backend {backend}, which counts the hits and misses that are counted here.",
                hint=f"Write the backend that it wraps, or leave {alias!r} out of OBSERVABILITY_CACHES.",
                id="observability.W013",
            )
    if apps.is_installed("django_prometheus") and getattr(settings, "PROMETHEUS_EXPORT_MIGRATIONS", False):
        yield checks.Warning(
            "PROMETHEUS_EXPORT_MIGRATIONS lets django-prometheus ask every database at the start of every process, for "
            "gauges whose names end in _total.",
            hint="Take it out: migrations_pending says how many wait.",
            id="observability.W014",
        )


def _those_measured(entries: Any, key: str, aliases: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    for alias, entry in entries.items():
        if aliases is None or alias in aliases:
            yield alias, str(entry.get(key, ""))
