"""How a request waits for a row: in a thread or on an event loop, and never for long; and what asking costs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar

from asgiref.sync import sync_to_async

from ratelimit.identity.shelf import Unanswered

Fact = TypeVar("Fact")
Answer_co = TypeVar("Answer_co", covariant=True)
Answer_contra = TypeVar("Answer_contra", contravariant=True)


class Question(Protocol[Answer_co]):
    """Either way of waiting gives an answer and never raises."""

    def wait(self) -> Answer_co: ...

    async def wait_async(self) -> Answer_co: ...


class Turn(Protocol[Answer_contra]):
    """What a look-up costs whoever causes it: taken before it, settled by its answer. Neither may wait or raise."""

    def take(self) -> bool:
        """Whether there may be one."""

    def settle(self, answer: Answer_contra | Unanswered) -> None: ...


class FreeTurn:
    """Costs nothing."""

    def take(self) -> bool:
        return True

    def settle(self, answer: object) -> None:
        pass


class Asked(Generic[Fact]):
    """Another thread will answer; ``give_up`` says what holds when it does not in ``seconds``, or cannot."""

    def __init__(self, answer: Future[Fact | Unanswered], seconds: float, give_up: Callable[[str], Fact]) -> None:
        self._answer = answer
        self._seconds = seconds
        self._give_up = give_up

    def wait(self) -> Fact:
        try:
            return self._read(self._answer.result(self._seconds))
        except TimeoutError:
            return self._give_up("lookup_timeout")

    async def wait_async(self) -> Fact:
        waiter = asyncio.wrap_future(self._answer)
        try:
            await asyncio.wait({waiter}, timeout=self._seconds)
        finally:
            waiter.cancel()  # ends this waiting only: others may wait for the same answer
        return self._read(self._answer.result()) if self._answer.done() else self._give_up("lookup_timeout")

    def _read(self, answer: Fact | Unanswered) -> Fact:
        return self._give_up(answer.reason) if isinstance(answer, Unanswered) else answer


class AskedNow(Generic[Fact]):
    """Whoever waits reads it."""

    def __init__(self, read: Callable[[], Fact]) -> None:
        self._read = read

    def wait(self) -> Fact:
        return self._read()

    async def wait_async(self) -> Fact:
        return await sync_to_async(self._read)()
