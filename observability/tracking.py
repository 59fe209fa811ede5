"""Measures what the app does not see by itself: as decorators and as context managers, sync and async.

One object is both, may be used by many threads and tasks at once, and within itself.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from threading import RLock, get_ident
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404
from django.http.multipartparser import MultiPartParserError

from observability.exceptions import count_unhandled
from observability.live import Family
from observability.metrics import (
    METHODS,
    cache_hits,
    cache_misses,
    db_queries,
    db_query_duration,
    errors,
    http_request_duration,
    http_requests,
    http_requests_in_progress,
)
from observability.series import HistogramChild, tell
from observability.tally import current

__all__ = [
    "record_cache_hit",
    "record_cache_miss",
    "record_error",
    "timed",
    "track_db_query",
    "track_http_request",
]

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (Http404, 404),
    (PermissionDenied, 403),
    (MultiPartParserError, 400),
    (BadRequest, 400),
    (SuspiciousOperation, 400),
)
"""What Django answers; see ``django.core.handlers.exception``."""
_SERVER_ERROR = 500


class Ended(NamedTuple):
    """A call, or a block, that has ended: with what it gave back or with what it raised."""

    started: float
    args: tuple[Any, ...] = ()
    result: Any = None
    error: BaseException | None = None

    @property
    def seconds(self) -> float:
        return perf_counter() - self.started


class Tracker(ABC):
    """Measures calls of a function that it decorates, or what runs inside ``with`` and ``async with``.

    Generators are refused with TypeError: what they do is done after the call.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], list[float]] = {}

    def __call__(self, function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
        _refuse_what_has_no_end(function)
        if _is_async(function):
            return cast("Callable[_Parameters, _Result]", self._decorate_async(function))
        return self._decorate(function)

    def __enter__(self) -> Self:
        self._begin(())
        here = _here()
        with _lock:
            self._open.setdefault(here, []).append(perf_counter())
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._end(Ended(self._leave(), error=error))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _begin(self, args: tuple[Any, ...]) -> None:  # noqa: B027 - most have nothing to do then
        """Before the call."""

    @abstractmethod
    def _end(self, call: Ended) -> None:
        """After it."""

    def _decorate(self, function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
        @wraps(function)
        def tracked(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
            self._begin(args)
            started = perf_counter()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                self._end(Ended(started, args, error=error))
                raise
            self._end(Ended(started, args, result))
            return result

        return tracked

    def _decorate_async(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        async def tracked(*args: Any, **kwargs: Any) -> Any:
            self._begin(args)
            started = perf_counter()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                self._end(Ended(started, args, error=error))
                raise
            self._end(Ended(started, args, result))
            return result

        return tracked

    def _leave(self) -> float:
        """When the innermost block of this thread and task began; a generator may end in another than it began in."""
        here = _here()
        with _lock:
            # A fork in the midst of this may have left a list that is empty.
            place = here if self._open.get(here) else next(place for place, starts in self._open.items() if starts)
            starts = self._open[place]
            started = starts.pop()
            if not starts:
                del self._open[place]
        return started


_lock = RLock()
"""Of all trackers; a signal's handler may track in the midst of tracking."""


def _renew_lock() -> None:
    """In a forked child, where whoever had it is no more."""
    global _lock  # noqa: PLW0603 - it is this module's only one
    _lock = RLock()


os.register_at_fork(after_in_child=_renew_lock)


class track_http_request(Tracker):  # noqa: N801 - it is used as a function
    """Tell of a request that does not go through the middleware, under ``endpoint``.

    The method is that of the first argument that has one (after a method's ``self``), else GET; the status is that of
    what is returned, else 200. What is raised is the status that Django would answer with, mostly 500, or its own
    ``status_code``; an Exception is counted as unhandled from 500 on, once, and goes on as it is.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self._endpoint = endpoint

    def _begin(self, args: tuple[Any, ...]) -> None:
        http_requests_in_progress.at(_method(args)).inc()

    def _end(self, call: Ended) -> None:
        method = _method(call.args)
        status = _status(call.result) if call.error is None else _status_of_error(call.error)
        http_requests_in_progress.at(method).dec()
        http_request_duration.at(method, self._endpoint).observe(call.seconds)
        http_requests.at(method, self._endpoint, status).inc()
        if isinstance(call.error, Exception) and status >= _SERVER_ERROR:  # and not one whose client has gone
            count_unhandled(call.error, "request", since=call.started)


class track_db_query(Tracker):  # noqa: N801 - as above
    """Tell of a query that does not go through Django's connections, as those do by themselves.

    ``operation`` is one of ``metrics.OPERATIONS``, ``table`` one of few names.
    """

    def __init__(self, operation: str, table: str) -> None:
        super().__init__()
        self._duration = db_query_duration.at(operation, table)
        self._ok = db_queries.at(operation, table, "ok")
        self._error = db_queries.at(operation, table, "error")

    def _end(self, call: Ended) -> None:
        tell(self._duration, self._ok if call.error is None else self._error, call.seconds)
        tally = current.get()
        if tally is not None:
            tally.queries += 1


class timed(Tracker):  # noqa: N801 - as above
    """Observe what it takes, in seconds and whether it fails or not: in a histogram's series of these labels.

    Raises LabelCountError where the histogram has others, and TypeError for labels beside a series.
    """

    def __init__(self, histogram: HistogramChild | Family[HistogramChild], *labels: str) -> None:
        super().__init__()
        if isinstance(histogram, Family):
            self._series = histogram.at(*labels)
        elif labels:
            raise TypeError("a series has its labels already; pass them beside a histogram")
        else:
            self._series = histogram

    def _end(self, call: Ended) -> None:
        self._series.observe(call.seconds)


def record_cache_hit(cache_name: str, cache_type: str = "other") -> None:
    """Count a key that was found, in a cache that is none of Django's: those tell by themselves."""
    cache_hits.at(cache_type, cache_name).inc()


def record_cache_miss(cache_name: str, cache_type: str = "other") -> None:
    """Count a key that was not found, in a cache that is none of Django's: those tell by themselves."""
    cache_misses.at(cache_type, cache_name).inc()


def record_error(type: str, severity: str = "error") -> None:  # noqa: A002 - the label's name
    """Count an error that was met; ``type`` is one of few names, ``severity`` one of ``metrics.SEVERITIES``."""
    errors.at(type, severity).inc()


def _here() -> tuple[int, int]:
    """This thread and this task, if one runs here."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return get_ident(), id(task) if task is not None else 0


def _refuse_what_has_no_end(function: Any) -> None:
    inner = inspect.unwrap(function) if callable(function) else function
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"a function is wanted, not {function!r}; put it under @classmethod and the like")
    called = inner if inspect.isroutine(inner) else getattr(inner, "__call__", inner)  # noqa: B004 - an object's own
    if any(test(one) for test in (inspect.isgeneratorfunction, inspect.isasyncgenfunction) for one in (inner, called)):
        raise TypeError(
            f"{getattr(function, '__qualname__', function)!s} is a generator, which does its work after the call: "
            "use `with` inside it instead"
        )


def _is_async(function: Any) -> bool:
    return iscoroutinefunction(function) or (
        not inspect.isroutine(function) and iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - an object's own
    )


def _method(args: tuple[Any, ...]) -> str:
    for one in args[:2]:
        method = getattr(one, "method", None)
        if isinstance(method, str):
            return method if method in METHODS else "OTHER"
    return "GET"


def _status(result: Any) -> int:
    status = getattr(result, "status_code", None)
    return status if isinstance(status, int) else 200


def _status_of_error(error: BaseException) -> int:
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status
    status_code = getattr(error, "status_code", None)
    return status_code if isinstance(status_code, int) else _SERVER_ERROR
