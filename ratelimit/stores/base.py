"""What every store promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ratelimit.bucket import Limit


class Charge(NamedTuple):
    """``cost`` tokens (0 or more) to take from the bucket at ``key``. Equal keys do not occur twice in one call."""

    key: str
    limit: Limit
    cost: int = 1


class Verdict(NamedTuple):
    """What became of one charge, with everything a Decision needs."""

    allowed: bool
    arrival_us: int
    """The bucket's arrival time afterwards; a denial leaves it as it was."""
    now_us: int
    """On the clock of the backend that decided; only differences to ``arrival_us`` mean anything elsewhere."""
    limit: Limit
    """The limit that was applied: the charge's own, or this process's share of it where the process decided alone."""
    backend: str
    """Who decided: ``redis`` or ``memory``."""


class StoreState(NamedTuple):
    """How a store stands in this process."""

    backend: str
    """Who decides now; empty before the first decision."""
    reason: str
    """Why it is not the one that should; else empty."""
    buckets_in_memory: int


class Store(Protocol):
    """Keeps buckets and decides atomically. Every method may raise StoreError and nothing else.

    A key is the name that a bucket has within the limiter (``{digest}:tier``, ``{digest}:tier:scope``). A store that
    shares its server with others puts a prefix before it, which nobody else sees.

    ``name`` is the backend that decides when all is well; a verdict of another one was made during an outage.
    Keys are ASCII without spaces, at most 300 characters.
    """

    @property
    def name(self) -> str: ...

    def take_one(self, key: str, limit: Limit, cost: int = 1) -> Verdict:
        """``take`` for a single charge, without the wrapping: the path of almost every request."""

    def take(self, charges: Sequence[Charge]) -> list[Verdict]:
        """Charge all buckets or, if any has too little, none; one verdict for each.

        Where nothing was charged, ``allowed`` tells which buckets would have had enough, and each arrival time is as it
        was before. All keys of one call share a hash tag.
        """

    async def atake(self, charges: Sequence[Charge]) -> list[Verdict]:
        """As ``take``, waiting without blocking the event loop."""

    def peek(self, charges: Sequence[Charge]) -> list[Verdict]:
        """What ``take`` would answer for each alone, with the arrival time as it is now; nothing is charged.

        Any number of charges with any hash tags, in a bounded number of round trips.
        """

    def refund(self, charges: Sequence[Charge], backend: str) -> None:
        """Give back what ``backend`` took; a bucket is never fuller than full.

        Where another backend decides by now nothing is given back: it knows nothing of that charge. All keys of one
        call share a hash tag.
        """

    async def arefund(self, charges: Sequence[Charge], backend: str) -> None:
        """As ``refund``."""

    def reset(self, keys: Sequence[str]) -> int:
        """Forget the buckets, so that they are full; how many were there."""

    def state(self) -> StoreState:
        """Asks no network and never raises."""

    def count(self, patience_seconds: float) -> int | None:
        """How many buckets are kept; None where counting would take longer than that."""

    def close(self) -> None:
        """Let go of connections and threads. A store that is asked again begins anew."""
