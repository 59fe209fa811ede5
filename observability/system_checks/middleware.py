"""Whether the middleware is there, once, and where it sees every request."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.utils.module_loading import import_string

_MOST_IN_FRONT = 2
"""Something that answers probes, and one more that only marks the request."""
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


def check_middleware() -> Iterator[CheckMessage]:
    paths = list(settings.MIDDLEWARE or ())
    ours = [place for place, path in enumerate(paths) if _OURS in classes_of(path)]
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
    answering = next((path for path in in_front if _ANSWER & classes_of(path)), None)
    if answering is not None or len(in_front) > _MOST_IN_FRONT:
        yield checks.Warning(
            f"MetricsMiddleware stands behind {answering or f'{len(in_front)} others'}: what is answered there is not "
            "counted, and what is done there is not timed.",
            hint=f"Put {_OURS} first, or behind what answers probes.",
            id="observability.W004",
        )


def classes_of(path: str) -> set[str]:
    """The dotted paths of a middleware and of all that it derives from; its own alone where it is a function."""
    try:
        found = import_string(path)
    except Exception:  # noqa: BLE001 - whatever its module raises at import is for Django to tell
        return {path}
    bases = found.__mro__ if isinstance(found, type) else ()
    return {path, *(f"{base.__module__}.{base.__qualname__}" for base in bases)}
