"""Who is told of a fork."""

from __future__ import annotations

import gc
import os

import pytest

from ratelimit.stores import forks

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


class Listener:
    def __init__(self) -> None:
        self.heard = 0

    def after_fork(self) -> None:
        self.heard += 1


def heard_in_child(listener: Listener) -> int:
    child = os.fork()
    if child == 0:
        os._exit(listener.heard)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_is_told_once_and_the_parent_is_not() -> None:
    listener = Listener()
    forks.tell_after_fork(listener)
    assert heard_in_child(listener) == 1
    assert listener.heard == 0


def test_who_is_gone_is_not_kept_for_it() -> None:
    listener = Listener()
    forks.tell_after_fork(listener)
    kept = len(forks._aware)
    del listener
    gc.collect()
    assert len(forks._aware) < kept
