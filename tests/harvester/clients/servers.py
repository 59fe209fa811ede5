"""Web servers on the loopback interface that send exactly the bytes a test wants."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

Answer = Callable[["Request"], Iterable[bytes]]


@dataclass(frozen=True)
class Request:
    """What a client sent: the path with its query, and the headers with names in lower case."""

    path: str
    headers: Mapping[str, str]

    @classmethod
    def read(cls, connection: socket.socket) -> Request | None:
        received = b""
        while b"\r\n\r\n" not in received:
            more = connection.recv(65536)
            if not more:
                return None
            received += more
        first, *rest = received.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        pairs = (line.partition(":") for line in rest)
        return cls(first.split(" ")[1], {name.lower(): value.strip() for name, _, value in pairs})


@dataclass
class Server:
    """A running server; ``ending`` is set when the test is over, so that no thread sleeps longer."""

    port: int
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    ending: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/"

    def drip(self, data: bytes, *, every_seconds: float = 0.05) -> Iterator[bytes]:
        """One byte at a time."""
        for byte in data:
            if self.ending.wait(every_seconds):
                return
            yield bytes([byte])


def reply(body: bytes = b"", *, status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole reply with its length."""
    lines = [f"HTTP/1.1 {status} Some reason"]
    lines += [f"{name}: {value}" for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def redirect(location: str, *, status: int = 302) -> bytes:
    return reply(status=status, headers={"Location": location})


@contextlib.contextmanager
def serve(answer: Answer, *, tls: ssl.SSLContext | None = None, listens: bool = True) -> Iterator[Server]:
    """Run a server whose ``answer`` yields the pieces to send for each request; it may talk without listening."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(listener.getsockname()[1])
        threads: list[threading.Thread] = []

        def talk(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                connection.settimeout(10)
                wrapped = tls.wrap_socket(connection, server_side=True) if tls else connection
                with wrapped:
                    request = Request.read(wrapped) if listens else Request("", {})
                    if request:
                        server.requests.append(request)
                        for piece in answer(request):
                            wrapped.sendall(piece)

        def accept() -> None:
            while True:
                connection, _ = listener.accept()
                if server.ending.is_set():
                    connection.close()
                    return
                server.connections += 1
                threads.append(threading.Thread(target=talk, args=[connection], daemon=True))
                threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            server.ending.set()
            socket.create_connection(("127.0.0.1", server.port)).close()  # wakes the thread that accepts
            for thread in itertools.chain([accepting], threads):
                thread.join(5)


def always(*pieces: bytes) -> Answer:
    """The same pieces for every request."""
    return lambda _request: pieces


def in_turn(*replies: bytes) -> Answer:
    """One reply after the other, the last one for ever."""
    waiting = list(replies)
    return lambda _request: [waiting.pop(0) if len(waiting) > 1 else waiting[0]]
