"""Times requests, and answers the page of metrics in front of hosts, redirects, sessions and limits.

A request is counted once, by its route's pattern and never by its path, when its answer comes out of the layers below;
a streamed answer also when its last byte is out. On an event loop one whose client leaves before that is counted too.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError, iscoroutinefunction
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from hashlib import sha256
from time import perf_counter
from typing import Any, NamedTuple
from weakref import finalize

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase, StreamingHttpResponse

from observability.conf import conf, on_change
from observability.exceptions import count_unhandled
from observability.metrics import (
    METHODS,
    UNMATCHED,
    UNROUTED,
    db_queries_per_request,
    http_request_duration,
    http_requests,
    http_requests_in_progress,
    http_response_size,
    http_streaming_duration,
)
from observability.series import GaugeChild, HistogramChild, Record
from observability.tally import Tally, current

logger = logging.getLogger(__name__)

_MOST_KNOWN = 4_096
_NOT_FOUND = 404
_CLIENT_HAS_GONE = 499
"""nginx's word for it; no answer has it, since nobody is there to get one."""
_LONGEST_ROUTE = 200
_KEPT_OF_ROUTE = 180


class _Series(NamedTuple):
    """Where a request of one method, endpoint and status is told: with its answer's length, or without as yet."""

    whole: Record
    begun: Record
    size: HistogramChild
    endpoint: str


class MetricsMiddleware:
    """Put it in front, behind nothing but what answers probes."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self.__acall__(request)
        if request.path_info == _settled.path:
            return _page(request)
        in_progress = _in_progress.get(request.method, _in_progress_other)
        tally = Tally()
        token = current.set(tally)
        in_progress.inc()
        started = perf_counter()
        try:
            response: HttpResponseBase = self.get_response(request)
        except BaseException:
            in_progress.dec()
            raise
        finally:
            current.reset(token)
        _tell(request, response, started, tally.queries, in_progress)
        return response

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info == _settled.path:
            return await sync_to_async(_page, thread_sensitive=False)(request)
        in_progress = _in_progress.get(request.method, _in_progress_other)
        tally = Tally()
        token = current.set(tally)
        in_progress.inc()
        started = perf_counter()
        try:
            response: HttpResponseBase = await self.get_response(request)
        except CancelledError:
            in_progress.dec()
            _tell_gone(request, started, tally.queries)
            raise
        except BaseException:
            in_progress.dec()
            raise
        finally:
            current.reset(token)
        _tell(request, response, started, tally.queries, in_progress)
        return response


class _Settled:
    """The path, read once: a setting that is looked up at each request would cost as much as a counter."""

    def __init__(self) -> None:
        self.path = conf.path

    def forget(self) -> None:
        self.path = conf.path


_settled = _Settled()
on_change(_settled.forget)
_in_progress: dict[str | None, GaugeChild] = {method: http_requests_in_progress.at(method) for method in METHODS}
_in_progress_other = _in_progress["OTHER"]
_known: dict[tuple[str | None, str | None, int], _Series] = {}


def _page(request: HttpRequest) -> HttpResponseBase:
    from observability.views import answer  # which needs all of the page, and a request needs none

    page: HttpResponseBase = answer(request)
    return page


def _tell(request: HttpRequest, response: HttpResponseBase, started: float, queries: int, busy: GaugeChild) -> None:
    duration = perf_counter() - started
    is_streamed = False
    try:
        match = request.resolver_match
        key = (request.method, match.route if match is not None else None, response.status_code)
        series = _known.get(key)
        if series is None:
            series = _learn(*key)
        is_streamed = response.streaming
        if is_streamed:
            series.begun.tell(duration, queries)
            _follow(response, series, started, busy)
        else:
            series.whole.tell(duration, queries, len(response.content))  # type: ignore[attr-defined]  # all others have it
    except Exception:
        if conf.strict:
            raise
        logger.exception("a request was not counted")  # and is answered all the same
    finally:
        if not is_streamed:
            busy.dec()


def _tell_gone(request: HttpRequest, started: float, queries: int) -> None:
    """Of a request that Django gave up, as it does when its client leaves; servers do it too when they end."""
    try:
        match = request.resolver_match
        series = _learn(request.method, match.route if match is not None else None, _CLIENT_HAS_GONE)
        series.begun.tell(perf_counter() - started, queries)
    except Exception:  # it must not take the cancellation's place
        logger.exception("a request that was given up was not counted")


def _learn(method: str | None, route: str | None, status: int) -> _Series:
    """Of what comes from outside only the method is in the key, and only known ones are kept."""
    if method not in _in_progress:
        method = "OTHER"
    key = (method, route, status)
    if key in _known:
        return _known[key]
    endpoint = _endpoint(route, status)
    requests = http_requests.at(method, endpoint, status)
    duration = http_request_duration.at(method, endpoint)
    queries = db_queries_per_request.at(endpoint)
    size = http_response_size.at(endpoint)
    series = _Series(Record(requests, duration, queries, size), Record(requests, duration, queries), size, endpoint)
    if len(_known) < _MOST_KNOWN:
        _known[key] = series
    return series


def _endpoint(route: str | None, status: int) -> str:
    if route is None:
        return UNMATCHED if status == _NOT_FOUND else UNROUTED
    if len(route) > _LONGEST_ROUTE or not route.isprintable():
        return _shortened(route)
    return route or "/"  # to Prometheus an empty label is none


def _shortened(route: str) -> str:
    """One that makes no label as it is, such as a long list of alternatives, still has series of its own."""
    shown = "".join(character for character in " ".join(route.split()) if character.isprintable())
    return f"{shown[:_KEPT_OF_ROUTE]}…{sha256(route.encode(errors='backslashreplace')).hexdigest()[:8]}"


class _Stream:
    """One streamed answer, until it is closed: by the server after the last byte, or when the client has gone."""

    def __init__(self, series: _Series, started: float, busy: GaugeChild, length: int | None) -> None:
        self._series = series
        self._started = started
        self._busy = busy
        self._length = length
        self._sent = 0
        self._is_over = False

    def close(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._busy.dec()
        http_streaming_duration.at(self._series.endpoint).observe(perf_counter() - self._started)
        self._series.size.observe(self._sent if self._length is None else self._length)

    def counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            for chunk in chunks:
                self._sent += len(chunk)
                yield chunk
        except Exception as error:
            count_unhandled(error, "request", since=self._started)
            raise

    async def acounted(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                self._sent += len(chunk)
                yield chunk
        except Exception as error:
            count_unhandled(error, "request", since=self._started)
            raise


def _follow(response: HttpResponseBase, series: _Series, started: float, busy: GaugeChild) -> None:
    stated = response.headers.get("Content-Length", "")
    length = int(stated) if stated.isascii() and stated.isdigit() else None
    stream = _Stream(series, started, busy, length)
    if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
        # A file is left as it is, so that a server that can hand it to the kernel still does.
        wrap = stream.acounted if response.is_async else stream.counted
        response.streaming_content = wrap(response.streaming_content)  # type: ignore[arg-type]  # of the same kind
    closers: list[Callable[[], object]] = response._resource_closers  # type: ignore[attr-defined]  # noqa: SLF001 - Django's own place for what ends with an answer
    closers.append(stream.close)
    finalize(response, stream.close)  # where a layer above gives another answer nobody closes this one
