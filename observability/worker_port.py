"""The page on a port of its own, for processes without a web server, such as a Celery worker."""

from __future__ import annotations

import logging
import os
import select
import socket
import socketserver
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any
from urllib.parse import unquote
from weakref import WeakSet

from django.core.handlers.wsgi import WSGIRequest
from django.db import connections
from django.http import HttpResponse

from observability.conf import conf
from observability.views import answer

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
"""For a whole request, and again for taking the whole answer."""
_MOST_CONNECTIONS = 8
"""At once; whoever comes then takes the place of the one that has gone longest without saying what it wants."""
_MOMENT_SECONDS = 0.05
"""So long nobody is sent away: a client says what it wants in a packet of its own."""
_MOST_HEAD_BYTES = 16_384
_ENDS_OF_HEAD = (b"\r\n\r\n", b"\n\n")
_DEFAULT_PATH = "/metrics"


class Server:
    """Where the page is served; ``port`` is 0 where nothing is, and then there is nothing to close either."""

    def __init__(self, listener: _Listener | None = None) -> None:
        self._listener = listener
        self.port: int = listener.server_address[1] if listener else 0

    def close(self) -> None:
        """Stop listening. May be called twice."""
        listener, self._listener, self.port = self._listener, None, 0
        if listener is not None:
            listener.end()


def serve_in_background(host: str, port: int) -> Server:
    """Serve the page in a daemon thread. Never raises: a port that cannot be had is logged, and the process goes on."""
    if port == 0:
        return Server()
    try:
        listener = _Listener(host, port)
        threading.Thread(target=listener.serve_forever, name="metrics-port", daemon=True).start()
    except (OSError, OverflowError, UnicodeError, RuntimeError) as error:  # taken, not ours, no host, no more threads
        logger.error(  # noqa: TRY400 - a trace would say no more
            "The metrics of this process are not served: OBSERVABILITY_WORKER_PORT %s on %s cannot be had (%s).",
            port,
            host,
            getattr(error, "strerror", None) or type(error).__name__,
        )
        return Server()
    return Server(listener)


class _Listener(socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, host: str, port: int) -> None:
        found = socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        address: Any = (found[0][-1][0], port, *found[0][-1][2:])  # getaddrinfo would take 70000 for 4464
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._mute: dict[socket.socket, float] = {}
        self._places = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__(address, _Handler)
        _listeners.add(self)

    def end(self) -> None:
        if os.getpid() == self._owner:  # in a forked child no thread is there to be waited for
            self.shutdown()
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:
            time.sleep(0.1)  # out of file descriptors: asking again at once would take a whole core
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self._send_one_away()
            while not self._places.acquire(timeout=_MOMENT_SECONDS / 5):
                self._send_one_away()
        with self._lock:
            self._mute[request] = time.monotonic()
        try:
            threading.Thread(
                target=self._serve, args=(request, client_address), name="metrics-request", daemon=True
            ).start()
        except RuntimeError:  # no more threads
            self.has_spoken(request)
            self._places.release()
            raise

    def has_spoken(self, request: socket.socket) -> None:
        """From now on it keeps its place until it is answered."""
        with self._lock:
            self._mute.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's signature
        logger.debug("a request for metrics ended early", exc_info=True)  # noqa: LOG014 - called where one is caught

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
            connections.close_all()  # of this thread: a collector may have opened one
        except Exception:  # noqa: BLE001 - whoever asks may do anything
            self.handle_error(request, client_address)
        finally:
            self.has_spoken(request)
            self.shutdown_request(request)
            self._places.release()

    def _send_one_away(self) -> None:
        """The first of those that have had their moment and said nothing; what waits to be read is not nothing."""
        with self._lock:
            now = time.monotonic()
            for request, since in self._mute.items():
                if now - since >= _MOMENT_SECONDS and not _has_come(request):
                    del self._mute[request]
                    with suppress(OSError):
                        request.shutdown(socket.SHUT_RDWR)
                    return


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    timeout = PATIENCE_SECONDS

    def handle(self) -> None:
        head = _read_head(self.connection)
        self.server.has_spoken(self.connection)
        if not head:
            return
        self.connection.settimeout(PATIENCE_SECONDS)
        self.rfile.close()
        self.rfile = BytesIO(head)
        self.raw_requestline = self.rfile.readline()
        if self.parse_request() and self.request_version != "HTTP/0.9":  # which has no headers, nor a status
            self._send(self._answer() if self._is_understood() else _told("The headers are malformed.\n", 400))

    def _is_understood(self) -> bool:
        """Whether every header was read: at a line that is none the parser stops, and a proxy's may come after it."""
        return not (self.headers.defects or self.headers.get_payload() or self.headers.get_unixfrom())

    def _answer(self) -> HttpResponse:
        request = WSGIRequest(self._environ())
        if request.path_info != (conf.path or _DEFAULT_PATH):
            return _told("Not found.\n", 404)
        return answer(request)

    def _environ(self) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "REMOTE_ADDR": self.client_address[0],
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": self.request_version,
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
        }
        for name, value in self.headers.items():
            key = f"HTTP_{name.upper().replace('-', '_')}"
            environ[key] = f"{environ[key]},{value.strip()}" if key in environ else value.strip()
        return environ

    def _send(self, response: HttpResponse) -> None:
        self.send_response_only(response.status_code, response.reason_phrase)
        self.send_header("Date", self.date_time_string())
        for name, value in response.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(response.content)

    def version_string(self) -> str:
        return "metrics"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name for it
        logger.debug(format, *args)


def _told(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")


def _has_come(connection: socket.socket) -> bool:
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(0))


def _read_head(connection: socket.socket) -> bytes:
    """Up to the empty line; empty where it does not come in time, or in so many bytes."""
    head, deadline = b"", time.monotonic() + PATIENCE_SECONDS
    while len(head) < _MOST_HEAD_BYTES and (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            part = connection.recv(_MOST_HEAD_BYTES)
        except OSError:
            break
        if not part:
            break
        head += part
        if any(end in head for end in _ENDS_OF_HEAD):
            return head
    return b""


_listeners: WeakSet[_Listener] = WeakSet()


def _let_go_in_child() -> None:
    """Else the port would be taken for as long as a forked child outlives its parent."""
    for listener in list(_listeners):
        with suppress(OSError):
            listener.server_close()
    _listeners.clear()


os.register_at_fork(after_in_child=_let_go_in_child)
