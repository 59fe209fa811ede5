"""A second grip on a connection's socket, by which another thread ends whatever waits on it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from threading import Lock
from time import monotonic

_ECHO_SECONDS = 0.1  # whoever finds a run hung needs no longer to cut it, and no hung run is so young


class Line:
    """To one server. ``cut`` may come from any thread at any time; the rest is for the thread that uses the line.

    The grip is a duplicate of the socket: the original's number may be another file's by the time it is needed.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._grip: socket.socket | None = None
        self._was_cut = False
        self._uses = 0
        self._left_at = -inf

    @property
    def was_cut(self) -> bool:
        return self._was_cut

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """For one run, with whose end a cut ends; within it, for each of its parts.

        A cut that comes before is for the run to come, whose thread may be late on a busy machine. One that comes just
        after is for the run that has ended, and harms no other.
        """
        with self._lock:
            self._uses += 1
        try:
            yield
        finally:
            with self._lock:
                self._uses -= 1
                if not self._uses:
                    self._was_cut = False
                    self._left_at = monotonic()

    def hold(self, fileno: int) -> None:
        """Of a new connection; one that comes after the cut is cut at once."""
        self.let_go()
        grip = socket.socket(fileno=os.dup(fileno))
        with self._lock:
            self._grip = grip
            if self._was_cut:
                _shut(grip)

    def cut(self) -> None:
        """Whoever waits on the socket wakes up to its end. Neither waits nor raises."""
        with self._lock:
            if not self._uses and monotonic() - self._left_at < _ECHO_SECONDS:
                return
            self._was_cut = True
            if self._grip is not None:
                _shut(self._grip)

    def let_go(self) -> None:
        with self._lock:
            grip, self._grip = self._grip, None
        if grip is not None:
            grip.close()


def _shut(grip: socket.socket) -> None:
    with suppress(OSError):  # the other side was faster
        grip.shutdown(socket.SHUT_RDWR)
