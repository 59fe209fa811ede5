"""A second grip on a connection's socket, by which another thread ends whatever waits on it."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from threading import Lock


class Line:
    """To one server. ``cut`` may come from any thread at any time; the rest is for the thread that uses the line.

    The grip is a duplicate of the socket: the original's number may be another file's by the time it is needed.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._grip: socket.socket | None = None
        self._was_cut = False

    @property
    def was_cut(self) -> bool:
        return self._was_cut

    def begin(self) -> None:
        """Whatever was cut, the next connection is not."""
        with self._lock:
            self._was_cut = False

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
