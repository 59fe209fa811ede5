"""Redis while it answers, this process's memory while it does not: the breaker between them.

The first failure opens the breaker. From then on no request connects or waits: memory decides at once, and a thread
beside the requests asks Redis once a second. Its first answer closes the breaker. What memory knows stays: buckets
refill by themselves, and a Redis that comes and goes every second would else hand out a full one each time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Event, RLock, Thread
from time import monotonic
from typing import TypeVar, TypeVarTuple

from ratelimit.bucket import Limit
from ratelimit.errors import StoreError
from ratelimit.signals import backend_changed
from ratelimit.stores.base import Charge, Store, StoreState, Verdict
from ratelimit.stores.forks import tell_after_fork
from ratelimit.stores.memory import MemoryStore

logger = logging.getLogger(__name__)

_AS_WANTED = frozenset({"first_use", "recovered", "locmem"})
_PROBE_LIMIT = Limit(10_000, window_seconds=1)  # its bucket is full again, and gone, after a millisecond

Question = TypeVarTuple("Question")
Answer = TypeVar("Answer")


class FallbackStore:
    """Decides with ``primary``, or with ``memory`` while that fails. Threads, event loops and forks may share it.

    None of the methods raises but ``reset``. ``probe_key`` names a bucket that is nobody's: the probe charges it, so
    that a server which answers but cannot write is not taken for healthy.

    Every change is logged once and sent once as ``backend_changed``, the first decision of a process included.
    """

    def __init__(
        self, primary: Store, memory: MemoryStore, probe_key: str, probe_interval_seconds: float = 1.0
    ) -> None:
        self.name = primary.name
        self._primary = primary
        self._memory = memory
        self._probe_key = probe_key
        self._probe_interval_seconds = probe_interval_seconds
        self._current = ""
        self._reason = ""
        self._end_of_probe = Event()
        self._lock = RLock()  # for changes only; re-entrant, as a listener may ask for a decision
        tell_after_fork(self)

    @property
    def current(self) -> str:
        """Who decides now: ``redis``, ``memory``, or nobody (empty) before a process's first decision."""
        return self._current

    def take_one(self, key: str, limit: Limit, cost: int = 1) -> Verdict:
        # _ask, written out for the path of almost every request
        if self._current != "memory":
            try:
                verdict = self._primary.take_one(key, limit, cost)
            except StoreError as error:
                self._lose(error.reason)
            else:
                if not self._current:
                    self._begin()
                return verdict
        return self._memory.take_one(key, limit, cost)

    def take(self, charges: Sequence[Charge]) -> list[Verdict]:
        return self._ask(self._primary.take, self._memory.take, charges)

    def peek(self, charges: Sequence[Charge]) -> list[Verdict]:
        return self._ask(self._primary.peek, self._memory.peek, charges)

    async def atake(self, charges: Sequence[Charge]) -> list[Verdict]:
        if self._current != self._memory.name:
            try:
                verdicts = await self._primary.atake(charges)
            except StoreError as error:
                self._lose(error.reason)
            else:
                if not self._current:
                    self._begin()
                return verdicts
        return self._memory.take(charges)

    def refund(self, charges: Sequence[Charge], backend: str) -> None:
        """What cannot be given back is lost: too few tokens are safe."""
        if backend == self._memory.name:
            self._memory.refund(charges, backend)
        elif self._current != self._memory.name:
            try:
                self._primary.refund(charges, backend)
            except StoreError as error:
                self._lose(error.reason)

    async def arefund(self, charges: Sequence[Charge], backend: str) -> None:
        if backend == self._memory.name:
            self._memory.refund(charges, backend)
        elif self._current != self._memory.name:
            try:
                await self._primary.arefund(charges, backend)
            except StoreError as error:
                self._lose(error.reason)

    def reset(self, keys: Sequence[str]) -> int:
        """Raises StoreError while the primary is away: its buckets are still as they were."""
        self._memory.reset(keys)
        if self._current == self._memory.name:
            raise StoreError(self._reason)
        try:
            return self._primary.reset(keys)
        except StoreError as error:
            self._lose(error.reason)
            raise

    def state(self) -> StoreState:
        reason = self._reason if self._current == self._memory.name else ""
        return StoreState(self._current, reason, len(self._memory))

    def count(self, patience_seconds: float) -> int | None:
        """Of the primary; while that is away, of this process's memory."""
        if self._current != self._memory.name:
            try:
                return self._primary.count(patience_seconds)
            except StoreError as error:
                self._lose(error.reason)
        return self._memory.count(patience_seconds)

    def close(self) -> None:
        with self._lock:
            self._end_of_probe.set()
            self._current = ""
        self._primary.close()
        self._memory.close()

    def after_fork(self) -> None:
        self._lock = RLock()
        self._end_of_probe = Event()
        self._current = ""  # the probe stayed with the parent: this process finds out for itself

    def _ask(
        self, primary: Callable[[*Question], Answer], memory: Callable[[*Question], Answer], *question: *Question
    ) -> Answer:
        if self._current != self._memory.name:
            try:
                answer = primary(*question)
            except StoreError as error:
                self._lose(error.reason)
            else:
                if not self._current:
                    self._begin()
                return answer
        return memory(*question)

    # --- changes of state --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        with self._lock:
            if not self._current:
                self._current = self.name
                announce(self, "", self.name, "first_use")

    def _lose(self, reason: str) -> None:
        with self._lock:
            previous = self._current
            if previous == self._memory.name:
                return  # one of those that were under way when another found out
            end = Event()
            probe = Thread(target=self._probe, args=(end,), name="ratelimit-probe", daemon=True)
            self._current, self._reason, self._end_of_probe = self._memory.name, reason, end
            try:
                probe.start()
            except RuntimeError:  # no more threads: nobody would ever find the way back
                self._current = previous
                return
            announce(self, previous, self._memory.name, reason)

    def _regain(self, end: Event) -> None:
        with self._lock:
            if end.is_set():
                return
            self._current = self.name
            announce(self, self._memory.name, self.name, "recovered")

    def _probe(self, end: Event) -> None:
        """From start to start it is one interval, however long a try takes."""
        due = monotonic() + self._probe_interval_seconds
        while not end.wait(max(due - monotonic(), 0.0)):
            due = max(due, monotonic()) + self._probe_interval_seconds
            if self._primary_answers():
                self._regain(end)
                return

    def _primary_answers(self) -> bool:
        try:
            self._primary.take_one(self._probe_key, _PROBE_LIMIT)
        except StoreError:
            return False
        except Exception:  # a mistake of ours, but without this thread there is no way back
            logger.exception("the probe failed in a way it should not")
            return False
        return True


def announce(store: Store, previous: str, current: str, reason: str) -> None:
    """One log line and one signal for one change. It is a warning wherever Redis was wanted and does not decide."""
    level = logging.INFO if reason in _AS_WANTED else logging.WARNING
    logger.log(level, "rate limit backend changed: %s -> %s (%s)", previous or "none", current, reason)
    backend_changed.send_robust(sender=type(store), previous=previous, current=current, reason=reason)
