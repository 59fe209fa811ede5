"""Where this process is in its life: whether it has started, and whether it was told to stop.

Needs no settings: a server's own process reads and writes this before Django is there.
"""

from __future__ import annotations

import mmap
import os
import time

_DRAINING = 0  # where in the shared page


class Lifecycle:
    """Of one process; the draining flag is one for it and all that it forks from now on."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)  # anonymous and shared: parent and children see the same byte
        self._has_started = False
        self._began_at = time.monotonic()

    @property
    def has_started(self) -> bool:
        """Whether one full pass of all checks has succeeded in this process: from then on it stays so."""
        return self._has_started

    def started(self) -> None:
        self._has_started = True

    @property
    def uptime_seconds(self) -> float:
        """Since this process was forked or this module was imported."""
        return time.monotonic() - self._began_at

    @property
    def is_draining(self) -> bool:
        """Whether the server is about to stop, so that no new traffic may come."""
        return self._shared[_DRAINING] != 0

    def drain(self) -> None:
        """From now on this process and those it shares the flag with are not ready. Safe in a signal handler."""
        self._shared[_DRAINING] = 1

    def after_fork(self) -> None:
        """A child starts anew, but is draining when its parent is."""
        self._has_started = False
        self._began_at = time.monotonic()


lifecycle = Lifecycle()
os.register_at_fork(after_in_child=lifecycle.after_fork)
