"""The pause between two requests to a service that asks for one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Courtesy:
    """Keeps ``seconds`` between the requests of this process, whichever thread and source they come from."""

    def __init__(
        self,
        seconds: float,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._sleep = sleep
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._next_at = float("-inf")

    def wait(self) -> None:
        """Return when the next request may go out."""
        with self._lock:
            now = self._monotonic()
            turn = max(now, self._next_at)
            self._next_at = turn + self._seconds
        if turn > now:
            self._sleep(turn - now)
