"""A cache's methods, wrapped: what they are given and what they give is the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import wraps
from time import perf_counter
from typing import Any, TypeAlias

from django.core.cache.backends.base import BaseCache

from observability.cache.telling import ATTRIBUTE
from observability.metrics import CACHE_OPERATIONS
from observability.series import tell

Method: TypeAlias = Callable[..., Any]

_OPERATIONS = {name: name for name in CACHE_OPERATIONS if name not in ("get", "get_many")} | {"decr": "incr"}
"""Method → operation, of those that tell of their duration only."""
_MOVES = ("incr_version", "decr_version")
"""Made of a get, a set and a delete that nobody has asked for."""


class Missing:
    """What a cache is to give back for a key that it does not have; the same one however it is copied or kept."""

    def __copy__(self) -> Missing:
        return self

    def __deepcopy__(self, _memo: object) -> Missing:
        return self

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Any = Missing()
_busy: ContextVar[tuple[object, ...]] = ContextVar("observability_busy_caches", default=())
"""Where the caches tell that are at work now: what they ask of themselves meanwhile is not told. Awaits and
``sync_to_async`` keep it. A get_or_set is a Sought here: it is told by what it is made of."""


class Sought:
    """A key that get_or_set was asked for: it is a hit or a miss once, though what was added is read again."""

    __slots__ = ("_key", "_teller", "_was_told")

    def __init__(self, teller: Any, key: Any) -> None:
        self._teller = teller
        self._key = key
        self._was_told = False

    def is_for(self, teller: Any, key: Any) -> bool:
        return teller is self._teller and key is self._key

    def is_told(self, teller: Any, key: Any) -> bool:
        """Whether it was a hit or a miss already; asked once for each."""
        if not self.is_for(teller, key):
            return False
        before, self._was_told = self._was_told, True
        return before


def wrap_methods(kind: type) -> None:
    """Of an async method only one of the class's own: BaseCache's call those that are wrapped. But BaseCache's
    aget_or_set has to be known for one."""
    setattr(kind, ATTRIBUTE, getattr(kind, ATTRIBUTE, None))
    for name in (*CACHE_OPERATIONS, "decr", "get_or_set", *_MOVES):
        for method_name in (name, f"a{name}"):
            method = inspect.getattr_static(kind, method_name, None)
            if _is_plain_method(method) and not hasattr(method, ATTRIBUTE):
                is_async = inspect.iscoroutinefunction(method)
                is_enough = name != "get_or_set" and method is vars(BaseCache).get(f"a{name}")
                if is_async == (method_name != name) and not is_enough:
                    measured = wraps(method)(_wrapper(name, method, is_async=is_async))
                    setattr(measured, ATTRIBUTE, True)
                    setattr(kind, method_name, measured)


def _is_plain_method(method: Any) -> bool:
    """It is called with the instance, as functions are."""
    return callable(method) and hasattr(method, "__get__") and not isinstance(method, staticmethod | classmethod)


def _wrapper(name: str, method: Method, *, is_async: bool) -> Method:
    if name == "get":
        return _get_wrapper(method, is_async=is_async)
    if name == "get_many":
        return _aget_many(method) if is_async else _get_many(method)
    if name == "get_or_set":
        return _aget_or_set(method) if is_async else _get_or_set(method)
    operation = _OPERATIONS.get(name, "")
    return _aother(method, operation) if is_async else _other(method, operation)


def _get_wrapper(method: Method, *, is_async: bool) -> Method:
    """Of one that does not take its arguments as Django's do, only the duration is told."""
    usual = _usual_arguments(method)
    if usual is None:
        return _aother(method, "get") if is_async else _other(method, "get")
    return _aget(method, *usual) if is_async else _get(method, *usual)


def _usual_arguments(method: Method) -> tuple[Any, Any] | None:
    """Which default and version it takes for those that it is not given."""
    try:
        parameters = list(inspect.signature(method).parameters.values())[1:]
    except (TypeError, ValueError):
        return None
    if [one.kind for one in parameters] == [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]:
        return None, None
    usual = tuple(one.default for one in parameters[1:3])
    if [one.name for one in parameters[:3]] != ["key", "default", "version"] or inspect.Parameter.empty in usual:
        return None
    return usual[0], usual[1]


def _get(method: Method, usual: Any, usual_version: Any) -> Method:
    def get(self: Any, key: Any, default: Any = usual, version: Any = usual_version, *rest: Any, **more: Any) -> Any:
        teller = self._observability
        busy = _busy.get()
        sought = None
        if busy or teller is None:
            if teller is None or teller in busy:
                return method(self, key, default, version, *rest, **more)
            sought = busy[-1]
        token = _busy.set((*busy, teller) if busy else teller.alone)
        started = perf_counter()
        try:
            if rest or more:
                value = method(self, key, MISSING, version, *rest, **more)
            else:  # an empty list of arguments more would cost as much as a counter
                value = method(self, key, MISSING, version)
        except BaseException:
            teller.get.observe(perf_counter() - started)
            raise
        finally:
            _busy.reset(token)
        if sought is not None and type(sought) is Sought and sought.is_told(teller, key):
            teller.get.observe(perf_counter() - started)
            return default if value is MISSING else value
        if value is MISSING:
            tell(teller.get, teller.misses, perf_counter() - started)
            return default
        tell(teller.get, teller.hits, perf_counter() - started)
        return value

    return get


def _aget(method: Method, usual: Any, usual_version: Any) -> Method:
    async def aget(
        self: Any, key: Any, default: Any = usual, version: Any = usual_version, *rest: Any, **more: Any
    ) -> Any:
        teller = self._observability
        busy = _busy.get()
        if teller is None or teller in busy:
            return await method(self, key, default, version, *rest, **more)
        _busy.set((*busy, teller))
        started = perf_counter()
        try:
            value = await method(self, key, MISSING, version, *rest, **more)
        except BaseException:
            teller.get.observe(perf_counter() - started)
            raise
        finally:
            _busy.set(busy)  # one that is given up may be closed in another context, where a token is worth nothing
        if busy and type(busy[-1]) is Sought and busy[-1].is_told(teller, key):
            teller.get.observe(perf_counter() - started)
            return default if value is MISSING else value
        if value is MISSING:
            tell(teller.get, teller.misses, perf_counter() - started)
            return default
        tell(teller.get, teller.hits, perf_counter() - started)
        return value

    return aget


def _get_or_set(method: Method) -> Method:
    def get_or_set(self: Any, *args: Any, **kwargs: Any) -> Any:
        sought = _sought(self, args, kwargs)
        if sought is None:
            return method(self, *args, **kwargs)
        token = _busy.set((*_busy.get(), sought))
        try:
            return method(self, *args, **kwargs)
        finally:
            _busy.reset(token)

    return get_or_set


def _aget_or_set(method: Method) -> Method:
    async def aget_or_set(self: Any, *args: Any, **kwargs: Any) -> Any:
        sought = _sought(self, args, kwargs)
        if sought is None:
            return await method(self, *args, **kwargs)
        busy = _busy.get()
        _busy.set((*busy, sought))
        try:
            return await method(self, *args, **kwargs)
        finally:
            _busy.set(busy)

    return aget_or_set


def _sought(cache: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sought | None:
    """None where nothing is told, and in the method of a base class, which a class's own has called."""
    teller, busy = getattr(cache, ATTRIBUTE), _busy.get()
    key = args[0] if args else kwargs.get("key")
    if teller is None or teller in busy:
        return None
    if busy and type(busy[-1]) is Sought and busy[-1].is_for(teller, key):
        return None
    return Sought(teller, key)


def _get_many(method: Method) -> Method:
    def get_many(self: Any, *args: Any, **kwargs: Any) -> Any:
        teller = self._observability
        busy = _busy.get()
        if teller is None or teller in busy:
            return method(self, *args, **kwargs)
        asked, args, kwargs = _noted(args, kwargs)
        token = _busy.set((*busy, teller))
        started = perf_counter()
        try:
            found = method(self, *args, **kwargs)
        finally:
            teller.get_many.observe(perf_counter() - started)
            _busy.reset(token)
        teller.tell_many(asked, found)
        return found

    return get_many


def _aget_many(method: Method) -> Method:
    async def aget_many(self: Any, *args: Any, **kwargs: Any) -> Any:
        teller = self._observability
        busy = _busy.get()
        if teller is None or teller in busy:
            return await method(self, *args, **kwargs)
        asked, args, kwargs = _noted(args, kwargs)
        _busy.set((*busy, teller))
        started = perf_counter()
        try:
            found = await method(self, *args, **kwargs)
        finally:
            teller.get_many.observe(perf_counter() - started)
            _busy.set(busy)
        teller.tell_many(asked, found)
        return found

    return aget_many


def _other(method: Method, operation: str) -> Method:
    """Without an operation, what the cache asks of itself goes untold, and that is all."""

    def other(self: Any, *args: Any, **kwargs: Any) -> Any:
        teller = self._observability
        busy = _busy.get()
        if teller is None or teller in busy:
            return method(self, *args, **kwargs)
        token = _busy.set((*busy, teller))
        started = perf_counter()
        try:
            return method(self, *args, **kwargs)
        finally:
            if operation:
                teller.durations[operation].observe(perf_counter() - started)
            _busy.reset(token)

    return other


def _aother(method: Method, operation: str) -> Method:
    async def aother(self: Any, *args: Any, **kwargs: Any) -> Any:
        teller = self._observability
        busy = _busy.get()
        if teller is None or teller in busy:
            return await method(self, *args, **kwargs)
        _busy.set((*busy, teller))
        started = perf_counter()
        try:
            return await method(self, *args, **kwargs)
        finally:
            if operation:
                teller.durations[operation].observe(perf_counter() - started)
            _busy.set(busy)

    return aother


def _noted(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """The keys that are asked for, which an iterator has only once: it notes them as it hands them out."""
    keys = args[0] if args else kwargs.get("keys")
    if not isinstance(keys, Iterator):
        return keys, args, kwargs
    asked: list[Any] = []
    noting = _noting(keys, asked)
    return (asked, (noting, *args[1:]), kwargs) if args else (asked, args, kwargs | {"keys": noting})


def _noting(keys: Iterator[Any], asked: list[Any]) -> Iterator[Any]:
    for key in keys:
        asked.append(key)
        yield key
