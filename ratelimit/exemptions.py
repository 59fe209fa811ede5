"""Which requests no limit is for: by path, as CORS preflights, and those to views marked with ``@exempt``."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.urls import Resolver404, get_resolver, resolve
from django.utils.translation import get_language

from ratelimit.conf import conf, on_change, settled

logger = logging.getLogger(__name__)

_MARK = "ratelimit_exempt"
_PATHS_REMEMBERED = 4096  # resolving one takes 10 to 30 µs
_LONGEST_REMEMBERED = 200  # characters: all of them take 4 MB at the most, whatever clients ask for

View = TypeVar("View", bound=Callable[..., Any])


class _Marks:
    """Whether any view is marked, so that projects that mark none resolve no path twice."""

    there_are_some = False


_marks = _Marks()


def exempt(view: View) -> View:
    """Marks a function, class or async view: requests to it are not limited, not counted, and bear no limit headers.

    Marked views cost every request one look at its path before it is limited, most often in a cache of the paths seen
    lately. RATELIMIT_EXEMPT_PATHS costs nothing. The mark is for what the URL configuration leads to: a django-ninja
    operation shares its view with others, so name its path instead. A function stays as it was where it is also used
    without the mark, and so does what derives from a class.
    """
    _marks.there_are_some = True
    if inspect.isclass(view):
        setattr(view, _MARK, True)
        return view

    @wraps(view)
    def exempted(*arguments: Any, **named: Any) -> Any:
        return view(*arguments, **named)

    if iscoroutinefunction(view):
        markcoroutinefunction(exempted)
    setattr(exempted, _MARK, True)  # decorators on top of it hand it on, as they do everything that a view bears
    return cast("View", exempted)


def is_exempt(request: HttpRequest) -> bool:
    """Whether the request goes without a limit."""
    paths, prefixes, static = _by_path()
    place = request.path_info
    if place in paths or place.startswith(prefixes) or request.path.startswith(static):
        return True
    # https://fetch.spec.whatwg.org/#cors-preflight-request: both headers are always there
    meta = request.META
    if request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in meta and "HTTP_ORIGIN" in meta:
        return True
    return _leads_to_mark(request.path_info, getattr(request, "urlconf", None))


class _ByPath(NamedTuple):
    paths: frozenset[str]
    prefixes: tuple[str, ...]
    static: tuple[str, ...]


@settled
def _by_path() -> _ByPath:
    listed = conf.exempt_paths
    return _ByPath(
        paths=frozenset(path for path in listed if not path.endswith("*")),
        prefixes=tuple(path[:-1] for path in listed if path.endswith("*") and path.startswith("/")),
        static=_static(),
    )


def _static() -> tuple[str, ...]:
    """STATIC_URL, unless another host serves it or it is the root, which would exempt everything."""
    try:
        url = urlsplit(settings.STATIC_URL or "")
    except (AttributeError, TypeError, ValueError):
        logger.exception("STATIC_URL is no URL, so that static files are limited")
        return ()
    return (url.path,) if url.path.strip("/") and not url.netloc else ()


def _leads_to_mark(path: str, urlconf: Any) -> bool:
    """``urlconf`` is the request's own, if any: nothing else may import its views, so it is always looked at."""
    try:
        _url_patterns()
        if urlconf is None and not _marks.there_are_some:
            return False
        language = get_language() if settings.USE_I18N else None  # paths may be translated
        look = _remembered if len(path) <= _LONGEST_REMEMBERED else _view_is_marked
        return look(path, urlconf or settings.ROOT_URLCONF, language)
    except Exception:
        logger.exception("The view of a path could not be found, so that it is limited")
        return False


@settled
def _url_patterns() -> Any:
    """Reading them imports the views, which is when they are marked; Django itself does so behind the middleware."""
    return get_resolver().url_patterns


def _view_is_marked(path: str, urlconf: Any, language: str | None) -> bool:  # noqa: ARG001 - resolve reads the language
    try:
        view = resolve(path, urlconf).func
    except Resolver404:
        return False
    marked = (view, type(view), getattr(view, "view_class", None))
    return any(_MARK in getattr(one, "__dict__", ()) for one in marked)  # not hasattr, which asks base classes too


_remembered = lru_cache(_PATHS_REMEMBERED)(_view_is_marked)  # but no failure, which the next request may not meet
on_change(_remembered.cache_clear)
