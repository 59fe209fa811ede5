"""What goes wrong on the way to a server, and what it leaves behind in this process."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

import psutil
import pytest

Result = TypeVar("Result")


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """The port of one where connections are accepted, by the kernel, and nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def open_files() -> int:
    """Of this process, sockets and their duplicates among them."""
    return psutil.Process().num_fds()


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process of a server on this machine, which must let us do so."""
    try:
        os.kill(pid, signal.SIGSTOP)
    except (PermissionError, ProcessLookupError):
        pytest.skip("the server's processes are not ours to stop")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def in_background(work: Callable[[], Result]) -> Future[Result]:
    """In a thread that a hung test does not wait for."""
    outcome: Future[Result] = Future()

    def do() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            outcome.set_exception(error)

    Thread(target=do, daemon=True).start()
    return outcome


def until(is_so: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)
