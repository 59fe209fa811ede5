"""Servers that misbehave, and a private PostgreSQL whose processes may be stopped."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Iterator

import psycopg

from tests import services


class Silent:
    """Accepts, never answers, and counts: ``total`` connections ever, and the ``most`` at once."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.total = self.most = 0
        self._open: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_closing = True
        self._thread.join()
        for one in [self._listener, *self._open]:
            one.close()

    def _run(self) -> None:
        while not self._is_closing:
            for key, _ in self._selector.select(0.1):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.fileobj)  # type: ignore[arg-type]  # sockets only

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        self._open.add(connection)
        self.total += 1
        self.most = max(self.most, len(self._open))
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if connection.recv(4096):
                return
        self._selector.unregister(connection)
        self._open.discard(connection)
        connection.close()


@contextlib.contextmanager
def silent() -> Iterator[Silent]:
    server = Silent()
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port whose queue of connections is full, so that the kernel drops whatever else comes."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port: int = listener.getsockname()[1]
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        time.sleep(0.2)
        yield port


class Postgresql:
    """A private one. Servers tell it their name, so that their backends can be told apart."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.port = int(url.rpartition(":")[2].partition("/")[0])

    def url(self, name: str, port: int = 0) -> str:
        """As the server called ``name`` sees it, through a relay at ``port`` perhaps."""
        return postgresql_url(port or self.port, name)

    def backends(self, name: str) -> list[int]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            rows = connection.execute("select pid from pg_stat_activity where application_name = %s", [name])
            return [pid for (pid,) in rows]

    @contextlib.contextmanager
    def stopped(self, pids: list[int]) -> Iterator[None]:
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def postgresql_url(port: int, name: str = "bench") -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/postgres?application_name={name}"


def redis_url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


def private_postgresql() -> Postgresql | None:
    url = services.start_postgresql()
    return None if url is None else Postgresql(url)
