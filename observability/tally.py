"""What one request has done so far, for metrics that are told once it ends; every context has its own."""

from __future__ import annotations

from contextvars import ContextVar


class Tally:
    """Counts of one request. Its thread pool's work counts into it too, since contexts are copied by reference."""

    __slots__ = ("queries",)

    def __init__(self) -> None:
        self.queries = 0


current: ContextVar[Tally | None] = ContextVar("observability_tally", default=None)
