"""One refresh of a collector, of this process or of another, as whoever asks for a page waits for it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from time import monotonic, sleep

from observability.collectors.lines import Lines
from observability.collectors.sharing import Claim

_SHORTEST_PAUSE = 0.001
_LONGEST_PAUSE = 0.02


class Run:
    """``ended`` is set once its thread has nothing more to say; a page waits ``patience_seconds`` for it at least."""

    __slots__ = (
        "began_at",
        "claim",
        "deadline",
        "ended",
        "is_abandoned",
        "is_started",
        "is_watched",
        "lines",
        "patience_seconds",
        "told_at",
    )

    def __init__(
        self, began_at: float, timeout_seconds: float, patience_seconds: float = 0.0, claim: Claim | None = None
    ) -> None:
        self.began_at = began_at
        self.deadline = began_at + timeout_seconds
        self.patience_seconds = patience_seconds
        self.claim = claim
        self.told_at = 0.0
        self.ended = Event()
        self.is_abandoned = self.is_started = self.is_watched = False
        self.lines = Lines()

    def wait(self, seconds: float) -> None:
        """For its end, or that long."""
        self.ended.wait(seconds)


class OthersRun(Run):
    """What another process runs since ``claimed_at``, or a forgotten thread of this one; it begins when it is seen."""

    __slots__ = ("claimed_at", "look")

    def __init__(
        self, began_at: float, timeout_seconds: float, patience_seconds: float, look: Callable[[], bool]
    ) -> None:
        super().__init__(began_at, timeout_seconds, patience_seconds)
        self.look = look
        self.claimed_at: float | None = None
        self.is_started = self.is_watched = True  # by whoever runs it

    def wait(self, seconds: float) -> None:
        end, pause = monotonic() + seconds, _SHORTEST_PAUSE
        while not self.look():
            left = end - monotonic()
            if left <= 0:
                return
            sleep(min(left, pause))
            pause = min(2 * pause, _LONGEST_PAUSE)
