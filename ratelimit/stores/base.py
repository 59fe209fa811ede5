"""What every store promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ratelimit.bucket import Limit, Taken


class Charge(NamedTuple):
    """``cost`` tokens to take from the bucket at ``key``. Equal keys do not occur twice in one call."""

    key: str
    limit: Limit
    cost: int = 1


class Store(Protocol):
    """Keeps buckets and decides atomically. Every method may raise StoreError and nothing else.

    ``name`` is what a Decision calls it. Keys are ASCII without spaces, at most 300 characters.
    """

    name: str

    def take(self, charges: Sequence[Charge]) -> list[Taken]:
        """Charge all buckets or, if any has too little, none; one Taken for each.

        Where nothing was charged, ``allowed`` tells which buckets would have had enough, and each arrival time is as it
        was before.
        """

    async def atake(self, charges: Sequence[Charge]) -> list[Taken]:
        """As ``take``, waiting without blocking the event loop."""

    def peek(self, charges: Sequence[Charge]) -> list[Taken]:
        """What ``take`` would answer for each alone; nothing is charged."""

    def refund(self, charges: Sequence[Charge]) -> None:
        """Give the tokens back; a bucket is never fuller than full."""

    async def arefund(self, charges: Sequence[Charge]) -> None:
        """As ``refund``."""

    def reset(self, keys: Sequence[str]) -> int:
        """Forget the buckets, so that they are full; how many were there."""
