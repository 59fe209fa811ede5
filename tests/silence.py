"""Servers as they are when something is wrong: one that refuses, one that accepts and never says a word."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from tests.services import free_port


@contextlib.contextmanager
def refusing() -> Iterator[int]:
    """A port of this machine where nobody listens."""
    yield free_port()


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port where the connection is made (by the system, from its backlog) and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        port: int = server.getsockname()[1]
        yield port


BROKEN = [refusing, silent]
