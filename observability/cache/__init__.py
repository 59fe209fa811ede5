"""Measures what is asked of the caches, by wrapping the methods of those that Django makes: what they give is the same.

A class's methods are wrapped once, and each of its instances says where it is told, or that it is not. Wrapping an
instance's bound methods instead would tie it into a cycle: under ASGI every request has caches of its own, and their
sockets would stay open until the garbage collector comes by.
"""

from __future__ import annotations

import logging
import os
from functools import cache as once
from functools import wraps
from threading import RLock
from weakref import WeakSet

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache

from observability.cache.methods import wrap_methods
from observability.cache.telling import ATTRIBUTE, Teller, children_of
from observability.cache_types import cache_type_of
from observability.conf import conf

logger = logging.getLogger(__name__)


def install() -> None:
    """Measure every cache made from now on, and those this thread has already. Again is the same as once."""
    _wrap_making()
    for alias in caches:
        if hasattr(vars(caches)["_connections"], alias):  # to ask for it would make it
            _measure(caches[alias], alias)


def instrument(cache: BaseCache, name: str) -> None:
    """Measure this cache under a name, which is to be one of few. Again is the same as once."""
    kind = type(cache)
    if getattr(cache, ATTRIBUTE, None) is not None:
        return
    try:
        if kind not in _wrapped:
            with _lock:
                wrap_methods(kind)  # again is the same as once
                _wrapped.add(kind)
        setattr(cache, ATTRIBUTE, Teller(children_of(name, cache_type_of(kind))))
    except (AttributeError, TypeError) as error:
        logger.warning("a cache is not measured", extra={"cache": name, "error": str(error)})


def leave_out(cache: BaseCache) -> None:
    """Measure this cache no more: what reads the numbers must not move them."""
    if getattr(cache, ATTRIBUTE, None) is not None:
        setattr(cache, ATTRIBUTE, None)


_lock = RLock()
_wrapped: WeakSet[type] = WeakSet()


def _renew_lock() -> None:
    """In a forked child, where whoever had it is no more."""
    global _lock  # noqa: PLW0603 - it is this module's only one
    _lock = RLock()


os.register_at_fork(after_in_child=_renew_lock)


@once
def _wrap_making() -> None:
    make = caches.create_connection

    @wraps(make)
    def create_connection(alias: str) -> BaseCache:
        cache = make(alias)
        _measure(cache, alias)
        return cache

    caches.create_connection = create_connection  # type: ignore[method-assign]  # Django has no signal for it


def _measure(cache: BaseCache, alias: str) -> None:
    wanted = conf.caches
    if wanted is None or alias in wanted:
        instrument(cache, alias)
