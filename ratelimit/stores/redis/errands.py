"""Work that may take longer than anybody would wait for it, done in threads beside the requests.

Nobody can interrupt a look-up of a host's name, and a client library that connects by itself keeps its own time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from functools import partial
from threading import Lock, Thread
from typing import Any, TypeVar

from ratelimit.errors import StoreError
from ratelimit.stores.forks import tell_after_fork

MOST_LATE = 8  # threads nobody waits for any longer; with the breaker open one more may come each second

Found = TypeVar("Found")


class Errands:
    """Runs work in a thread of its own and waits ``seconds`` for it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.after_fork()
        tell_after_fork(self)

    def run(self, work: Callable[[], Found], too_late: Callable[[Found], object]) -> Found:
        """What ``work`` returns or raises.

        Raises StoreError ("timeout") when the time is over, or at once while too many are still under way from before;
        what the work brings home after that is handed to ``too_late``.
        """
        errand = self._begin(work)
        try:
            return self._outcome(errand)
        except BaseException:  # a signal's too
            errand.add_done_callback(lambda done: done.exception() or too_late(done.result()))
            raise

    def run_shared(self, name: Hashable, work: Callable[[], Found]) -> Found:
        """As ``run``, once for all who ask for the same at once. ``work`` keeps what it finds, even too late."""
        return self._outcome(self.begin_shared(name, work))

    async def arun_shared(self, name: Hashable, work: Callable[[], Found]) -> Found:
        """As ``run_shared``, without holding up the loop."""
        errand = self.begin_shared(name, work)
        answer = asyncio.wrap_future(errand)
        try:
            await asyncio.wait([answer], timeout=self._seconds)
            if answer.done():
                return answer.result()
            raise StoreError("timeout")
        finally:
            answer.cancel()  # and not the errand, which may be another's too
            self._count_if_late(errand)

    def begin_shared(self, name: Hashable, work: Callable[[], Found]) -> Future[Found]:
        """As ``run_shared``, and nobody waits."""
        with self._lock:
            errand = self._shared.get(name)
            if errand is None or errand in self._late:
                errand = self._shared[name] = self._begin(work)
                errand.add_done_callback(partial(self._forget, name))
        return errand

    def after_fork(self) -> None:
        self._lock = Lock()
        self._late: set[Future[Any]] = set()  # those threads stayed with the parent
        self._shared: dict[Hashable, Future[Any]] = {}

    def _begin(self, work: Callable[[], Found]) -> Future[Found]:
        if len(self._late) >= MOST_LATE:
            raise StoreError("timeout")
        errand: Future[Found] = Future()
        errand.set_running_or_notify_cancel()  # from now on nobody cancels it
        try:
            Thread(target=_do, args=(work, errand), name="ratelimit-connect", daemon=True).start()
        except RuntimeError as error:  # no more threads
            raise StoreError("threads") from error
        return errand

    def _outcome(self, errand: Future[Found]) -> Found:
        try:
            errand.exception(self._seconds)  # does not raise what the work raised, which may be a TimeoutError too
        except TimeoutError as error:
            raise StoreError("timeout") from error
        finally:
            self._count_if_late(errand)
        return errand.result()

    def _forget(self, name: Hashable, errand: Future[Any]) -> None:
        if self._shared.get(name) is errand:  # and not the next one
            del self._shared[name]

    def _count_if_late(self, errand: Future[Any]) -> None:
        if not errand.done():
            self._late.add(errand)
            errand.add_done_callback(self._late.discard)


def _do(work: Callable[[], Found], errand: Future[Found]) -> None:
    try:
        found = work()
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits
        errand.set_exception(error)
    else:
        errand.set_result(found)
