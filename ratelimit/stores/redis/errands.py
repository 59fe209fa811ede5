"""Work that may take longer than anybody would wait for it, done in threads beside the requests.

Nobody can interrupt a look-up of a host's name, and a client library that connects by itself keeps its own time.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

from ratelimit.errors import StoreError
from ratelimit.stores.forks import tell_after_fork

MOST_LATE = 8  # threads nobody waits for any longer; with the breaker open one more may come each second

Found = TypeVar("Found")


class Errands:
    """Runs work in a thread of its own and waits ``seconds`` for it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._late: set[Future[Any]] = set()
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

    def after_fork(self) -> None:
        self._late = set()  # those threads stayed with the parent

    def _begin(self, work: Callable[[], Found]) -> Future[Found]:
        if len(self._late) >= MOST_LATE:
            raise StoreError("timeout")
        errand: Future[Found] = Future()
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
            if not errand.done():
                self._late.add(errand)
                errand.add_done_callback(self._late.discard)
        return errand.result()


def _do(work: Callable[[], Found], errand: Future[Found]) -> None:
    try:
        found = work()
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits
        errand.set_exception(error)
    else:
        errand.set_result(found)
