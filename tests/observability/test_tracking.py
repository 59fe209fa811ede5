"""What is tracked by hand is told once, by one object that many use at once, and goes on as it was."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any, cast

import pytest
from asgiref.sync import markcoroutinefunction, sync_to_async
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404

from observability import metrics
from observability.errors import LabelCountError
from observability.series import HistogramChild
from observability.tally import Tally, current
from observability.tracking import (
    Tracker,
    record_cache_hit,
    record_cache_miss,
    record_error,
    timed,
    track_db_query,
    track_http_request,
)
from tests.observability.processes import run


def answer(status: int) -> SimpleNamespace:
    return SimpleNamespace(status_code=status)


class HttpError(Exception):
    status_code = 404


def test_a_request_is_told_by_what_it_gives_back(moved: Callable[[], Any]) -> None:
    @track_http_request("polled")
    def poll(request: Any, status: int) -> SimpleNamespace:
        assert metrics.http_requests_in_progress.at(request.method).value() == before + 1
        return answer(status)

    before = metrics.http_requests_in_progress.at("POST").value()
    with moved() as moves:
        assert poll(SimpleNamespace(method="POST"), 202).status_code == 202
        assert poll(SimpleNamespace(method="POST"), status=404).status_code == 404
    assert moves.of(metrics.http_requests) == {("POST", "polled", "202"): 1, ("POST", "polled", "404"): 1}
    assert moves.of(metrics.http_request_duration) == {("POST", "polled"): 2}
    assert not moves.of(metrics.http_requests_in_progress)
    assert not moves.of(metrics.errors)


def test_a_method_finds_the_request_after_its_self(moved: Callable[[], Any]) -> None:
    class View:
        @track_http_request("view")
        def get(self, request: Any) -> str:
            return "an answer without a status"

    with moved() as moves:
        View().get(SimpleNamespace(method="PATCH"))
        View().get(SimpleNamespace(method="MADE-UP"))
        View().get(SimpleNamespace(method=7))
    counted = moves.of(metrics.http_requests)
    assert counted == {(method, "view", "200"): 1 for method in ("PATCH", "OTHER", "GET")}


def test_a_request_that_raises_is_an_error_once_and_raises_the_same(moved: Callable[[], Any]) -> None:
    error = LookupError("a secret")
    outer, inner = track_http_request("outer"), track_http_request("inner")

    @outer
    @inner
    def fail() -> None:
        raise error

    for _ in range(2):  # the same object is raised again, and is another error
        with moved() as moves, pytest.raises(LookupError) as raised:
            fail()
        assert raised.value is error
        assert error.args == ("a secret",)
        assert moves.of(metrics.http_requests) == {("GET", "outer", "500"): 1, ("GET", "inner", "500"): 1}
        assert moves.of(metrics.exceptions_unhandled) == {("LookupError",): 1}
        assert moves.of(metrics.errors) == {("request", "error"): 1}
        assert not moves.of(metrics.http_requests_in_progress)


@pytest.mark.parametrize(
    ("raised", "status"),
    [(Http404, "404"), (PermissionDenied, "403"), (SuspiciousOperation, "400"), (HttpError, "404")],
)
def test_what_is_answered_with_a_refusal_is_no_error(
    raised: type[Exception], status: str, moved: Callable[[], Any]
) -> None:
    with moved() as moves, pytest.raises(raised), track_http_request("refusing"):
        raise raised
    assert moves.of(metrics.http_requests) == {("GET", "refusing", status): 1}
    assert not moves.of(metrics.errors)


def test_an_exception_of_a_class_that_keeps_no_notes_is_counted(moved: Callable[[], Any]) -> None:
    class StubbornError(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    with moved() as moves, pytest.raises(StubbornError), track_http_request("stubborn"):
        raise StubbornError
    assert moves.of(metrics.exceptions_unhandled) == {("StubbornError",): 1}


def test_a_query_is_told_with_its_outcome_and_counts_for_its_request(moved: Callable[[], Any]) -> None:
    query = track_db_query("select", "elsewhere")
    tally = Tally()
    token = current.set(tally)
    try:
        with moved() as moves:
            with query:
                pass
            assert query(lambda: 5)() == 5
            with pytest.raises(LookupError), query:
                raise LookupError
    finally:
        current.reset(token)
    assert moves.of(metrics.db_queries) == {("select", "elsewhere", "ok"): 2, ("select", "elsewhere", "error"): 1}
    assert moves.of(metrics.db_query_duration) == {("select", "elsewhere"): 3}
    assert not moves.of(metrics.exceptions_unhandled), "whoever asked may still catch it"
    assert tally.queries == 3


def test_a_histogram_or_one_of_its_series_may_be_timed(moved: Callable[[], Any]) -> None:
    series = metrics.background_task_duration.at("timed")
    with moved() as moves:
        with timed(metrics.background_task_duration, "timed"), timed(series):
            pass
        with pytest.raises(LookupError), timed(series):
            raise LookupError
    assert moves.of(metrics.background_task_duration) == {("timed",): 3}
    with pytest.raises(LabelCountError):
        timed(metrics.background_task_duration)
    with pytest.raises(TypeError, match="labels already"):
        timed(series, "timed")


def test_what_is_recorded_is_counted(moved: Callable[[], Any]) -> None:
    with moved() as moves:
        record_cache_hit("mine")
        record_cache_miss("mine", "redis")
        record_error("feed", "warning")
        record_error(type="feed")
    assert moves.of(metrics.cache_hits) == {("other", "mine"): 1}
    assert moves.of(metrics.cache_misses) == {("redis", "mine"): 1}
    assert moves.of(metrics.errors) == {("feed", "warning"): 1, ("feed", "error"): 1}


TRACKERS: list[Callable[[], Tracker]] = [
    lambda: track_http_request("tracked"),
    lambda: track_db_query("select", "tracked"),
    lambda: timed(metrics.background_task_duration, "tracked"),
]


@pytest.fixture(params=TRACKERS)
def tracker(request: pytest.FixtureRequest) -> Tracker:
    made: Tracker = request.param()
    return made


def told(moves: Any) -> float:
    """How often a tracker of the three has told of something."""
    families = (metrics.http_requests, metrics.db_queries, metrics.background_task_duration)
    return sum(sum(moves.of(family).values()) for family in families)


def test_a_decorated_function_is_what_it_was(tracker: Tracker) -> None:
    @tracker
    def add(first: int, second: int = 2, *more: int, key: str = "") -> int:
        """Adds."""
        return first + second

    @tracker
    async def aadd(first: int) -> int:
        return first + 1

    assert add(1) == 3
    assert add.__name__ == "add"
    assert add.__doc__ == "Adds."
    assert str(inspect.signature(add)) == "(first: 'int', second: 'int' = 2, *more: 'int', key: 'str' = '') -> 'int'"
    assert inspect.iscoroutinefunction(aadd)
    assert not inspect.iscoroutinefunction(add)
    assert asyncio.run(aadd(1)) == 2
    assert pickle.loads(pickle.dumps(module_level)) is module_level  # noqa: S301 - this test's own


@track_db_query("select", "tracked")
def module_level() -> None: ...


def test_every_kind_of_function_is_awaited_if_it_is_to_be(tracker: Tracker, moved: Callable[[], Any]) -> None:
    class Callee:
        async def __call__(self) -> int:
            return await later()

        async def method(self) -> int:
            return await later()

        @classmethod
        @tracker
        async def of_class(cls) -> int:
            return await later()

    async def later(value: int = 5) -> int:
        await asyncio.sleep(0.01)
        return value

    def marked() -> Any:
        return later()

    markcoroutinefunction(marked)
    callee = Callee()
    decorated: list[Any] = [tracker(one) for one in (later, partial(later, 5), callee, callee.method, marked)]
    for function in [*decorated, Callee.of_class]:
        with moved() as moves:
            assert asyncio.run(function()) == 5
        assert told(moves) == 1


def test_what_does_its_work_after_the_call_is_refused(tracker: Tracker) -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def async_generator() -> AsyncIterator[int]:
        yield 1

    class Callee:
        def __call__(self) -> Iterator[int]:
            yield 1

    for function in (generator, async_generator, partial(generator), Callee(), Callee().__call__):
        with pytest.raises(TypeError, match="is a generator"):
            tracker(function)
    for nothing in (None, 5, classmethod(generator), Callee):
        with pytest.raises(TypeError, match="a function is wanted"):
            tracker(nothing)  # type: ignore[arg-type]  # that is what is refused


def test_one_object_is_used_by_fifty_threads_at_once(tracker: Tracker, moved: Callable[[], Any]) -> None:
    start = Barrier(50)

    @tracker
    def decorated() -> None:
        with tracker, tracker:
            pass

    def use() -> None:
        start.wait(30)
        for _ in range(40):
            decorated()

    with moved() as moves, ThreadPoolExecutor(50) as pool:
        for done in [pool.submit(use) for _ in range(50)]:
            done.result(60)
    assert told(moves) == 50 * 40 * 3
    assert not moves.of(metrics.http_requests_in_progress)
    assert tracker._open == {}


def test_one_object_is_used_by_fifty_tasks_at_once(tracker: Tracker, moved: Callable[[], Any]) -> None:
    @tracker
    async def decorated() -> None:
        async with tracker:
            await asyncio.sleep(0)
        with tracker:
            await asyncio.sleep(0)

    async def all_of_them() -> None:
        await asyncio.gather(*(decorated() for _ in range(50)))

    with moved() as moves:
        asyncio.run(all_of_them())
    assert told(moves) == 150
    assert not moves.of(metrics.http_requests_in_progress)
    assert tracker._open == {}


def test_each_of_several_tasks_is_timed_from_its_own_start() -> None:
    observed: list[float] = []
    tracker = timed(cast("HistogramChild", SimpleNamespace(observe=observed.append)))

    async def wait(seconds: float) -> None:
        async with tracker:
            await asyncio.sleep(seconds)

    async def both() -> None:
        long = asyncio.create_task(wait(1.5))
        await asyncio.sleep(1)
        await wait(0)
        await long

    asyncio.run(both())
    short, long = observed
    assert short < 0.9
    assert long > 1.4


def test_a_block_within_a_block_of_the_same_object_is_told_for_itself(
    tracker: Tracker, moved: Callable[[], Any]
) -> None:
    with moved() as moves:
        with tracker as same, tracker:
            assert same is tracker
        with pytest.raises(LookupError), tracker:
            raise LookupError
    assert told(moves) == 3
    assert tracker._open == {}


def test_a_block_that_ends_in_another_thread_than_it_began_in_is_told(
    tracker: Tracker, moved: Callable[[], Any]
) -> None:
    """As a generator's may that a server drives from a pool."""

    def parts() -> Iterator[int]:
        with tracker:
            yield 1
            yield 2

    with moved() as moves, ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as another:
        going = parts()
        one.submit(next, going).result(60)
        another.submit(list, going).result(60)
    assert told(moves) == 1
    assert tracker._open == {}


def test_a_cancelled_task_is_told_and_cancelled(tracker: Tracker, moved: Callable[[], Any]) -> None:
    @tracker
    async def wait() -> None:
        await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with moved() as moves:
        asyncio.run(cancel())
    assert told(moves) == 1
    assert not moves.of(metrics.errors), "who went away did not fail"
    assert not moves.of(metrics.http_requests_in_progress)


def test_sync_code_in_a_thread_of_an_async_request_is_told(tracker: Tracker, moved: Callable[[], Any]) -> None:
    @tracker
    def work() -> int:
        with tracker:
            return 5

    with moved() as moves:
        assert asyncio.run(sync_to_async(work)()) == 5  # type: ignore[arg-type]  # a coroutine, which asgiref does not say
    assert told(moves) == 2


def test_a_fork_while_another_thread_tracks_is_not_stuck(tmp_path: Path) -> None:
    code = """
from observability import track_db_query
query = track_db_query("select", "warehouse")
sys.setswitchinterval(1e-5)
def busy():
    while True:
        with query:
            pass
for _ in range(3):
    threading.Thread(target=busy, daemon=True).start()
for _ in range(150):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        with query, query:
            pass
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
os._exit(0)
"""
    run(code, tmp_path)
