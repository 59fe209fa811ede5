"""A server that greets like Redis and then says what a test tells it to."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread

GREETINGS = (b"CLIENT", b"AUTH", b"SELECT", b"HELLO")
SILENCE = b""

Reply = bytes | Sequence[bytes]
"""All at once, or in pieces with a moment between them; ``SILENCE`` says nothing. After the last piece of a sequence
the connection is closed, if that piece is ``CLOSE``."""
CLOSE = b"\x00close"


class Talker:
    """``replies`` are used up in order, over all connections; then it is silent."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self.replies = list(replies)
        self.asked: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for connection in self._sockets:
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._sockets.append(connection)
                Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while data := connection.recv(65536):
                if greetings := sum(data.count(b"\r\n" + word + b"\r\n") for word in GREETINGS):
                    connection.sendall(b"+OK\r\n" * greetings)
                    continue
                self.asked.append(data)
                reply = self.replies.pop(0) if self.replies else SILENCE
                for piece in [reply] if isinstance(reply, bytes) else reply:
                    if piece == CLOSE:
                        return
                    connection.sendall(piece)
                    time.sleep(0.005 if not isinstance(reply, bytes) else 0)


@contextmanager
def talker(*replies: Reply) -> Iterator[Talker]:
    server = Talker(replies)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def deaf_port() -> Iterator[int]:
    """Of a listener with a full queue of connections: the kernel drops what else comes."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
