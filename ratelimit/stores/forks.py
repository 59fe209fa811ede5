"""Tells objects with locks, threads or connections that they live in a forked child now.

A child has the forking thread only: a lock held by another thread stays locked for ever, other threads are gone, and a
connection shared with the parent mixes up both processes' answers.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class ForkAware(Protocol):
    def after_fork(self) -> None:
        """Begin anew, in the child; nothing of the parent's may be closed, waited for or locked."""


_aware: WeakSet[ForkAware] = WeakSet()


def tell_after_fork(one: ForkAware) -> None:
    """Calls ``one.after_fork()`` in every child forked while ``one`` lives."""
    _aware.add(one)


def _tell_all() -> None:
    for one in list(_aware):
        one.after_fork()


os.register_at_fork(after_in_child=_tell_all)
