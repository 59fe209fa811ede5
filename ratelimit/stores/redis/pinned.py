"""One connection for each thread, kept for as long as the thread lives, and spoken to directly.

Half of what a decision costs through the client library is its command wrapper and its pool. Neither is needed here:
one command, one answer of whole numbers. The library still connects, authenticates and encrypts, in a short-lived
thread beside: the connect timeout bounds all of it, the look-up of the name included.

Nothing is ever sent twice: once a byte is out, a failure closes the connection and is reported, because the script may
have run. What is looked at before sending is whether the server has hung up meanwhile (idle for too long, CLIENT KILL,
a restart); then nothing has been sent, and a new connection is opened.

A limit we accept: the system's read timeout begins anew with each signal that Python handles, so that a timer which
repeats faster than the timeout (``ITIMER_REAL``) makes its thread wait for a hung server for as long as that hangs.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, TypeVar

from redis.connection import AbstractConnection

from ratelimit.errors import StoreError
from ratelimit.stores.forks import tell_after_fork
from ratelimit.stores.redis.errands import Errands
from ratelimit.stores.redis.reasons import reason_of, word_of
from ratelimit.stores.redis.wire import (
    deletion,
    in_full,
    is_whole,
    numbers_in,
    script_call,
    script_call_of_one,
    three_numbers_in,
)

_Answer = TypeVar("_Answer")
_ERROR = ord("-")
_READ_BYTES = 4096
_LONGEST_REPLY = 64 * 1024  # of 100 keys it is below 4 KiB
_ESTABLISHED = b"\x01"  # the first byte of Linux's struct tcp_info


class PinnedConnections:
    """Runs the script on the calling thread's own connection. Raises StoreError and nothing else.

    ``connection_kwargs`` bring their own timeouts and no retry.
    """

    def __init__(self, connection_class: type[AbstractConnection], connection_kwargs: Mapping[str, Any]) -> None:
        self._connection_class = connection_class
        self._connection_kwargs = connection_kwargs
        self._held = _Held()
        self._errands = Errands(connection_kwargs["socket_connect_timeout"])
        tell_after_fork(self)

    def run(self, keys: Sequence[str], numbers: Sequence[int]) -> list[int]:
        """The script's answer; see take.lua."""
        lines = 2 + 2 * len(keys)
        return self._ask(script_call(keys, numbers), lines, lambda reply: numbers_in(reply, lines - 1))

    def run_one(self, key: str, capacity_us: int, added_us: int) -> tuple[int, int, int]:
        """``run`` for a single key: the server's clock, 1 or 0 (it fits), the arrival time."""
        return self._ask(script_call_of_one(key, capacity_us, added_us), 4, three_numbers_in)

    def _ask(self, call: bytes, lines: int, read: Callable[[bytes], _Answer]) -> _Answer:
        line = self._held.line
        if line is None or not line.is_open():
            line = self._line()
        try:
            reply = line.ask(call, lines)
            if reply[0] == _ERROR:
                if reply.startswith(b"-NOSCRIPT"):  # a new server, or SCRIPT FLUSH: nothing has run
                    reply = line.ask(in_full(call), lines)
                _unless_error(reply)
            return read(reply)
        except (OSError, ValueError) as error:
            self._hang_up()
            raise StoreError(reason_of(error)) from error
        except BaseException:  # a signal's too: half an answer may be on its way
            self._hang_up()
            raise

    def delete(self, keys: Sequence[str]) -> int:
        """How many there were."""
        call = deletion(keys)
        line = self._line()
        try:
            return int(_unless_error(line.ask(call, 1)).removeprefix(b":"))
        except (OSError, ValueError) as error:
            self._hang_up()
            raise StoreError(reason_of(error)) from error
        except BaseException:
            self._hang_up()
            raise

    def close(self) -> None:
        """Every thread's connection goes, as soon as the thread no longer uses it."""
        self._held = _Held()

    def after_fork(self) -> None:
        self._held = _Held()  # the library sees the new process and closes its copy without a word to the server

    def _line(self) -> _Line:
        line = self._held.line
        if line is not None and line.is_open():
            return line
        self._hang_up()
        try:
            line = self._held.line = self._errands.run(self._connect, _Line.close)
        except StoreError:
            raise
        except Exception as error:  # also what a credential provider raises
            raise StoreError(reason_of(error)) from error
        return line

    def _connect(self) -> _Line:
        connection = self._connection_class(**self._connection_kwargs)
        try:
            connection.connect()
            return _Line(connection)
        except BaseException:
            connection.disconnect()
            raise

    def _hang_up(self) -> None:
        line, self._held.line = self._held.line, None
        if line is not None:
            line.close()


class _Line:
    """A connection and its socket, ready to talk."""

    def __init__(self, connection: AbstractConnection) -> None:
        sock: Any = connection._sock  # noqa: SLF001 - it has no public name
        self._connection = connection
        self._socket: socket.socket = sock
        self._timeout_seconds = connection.socket_timeout or 0.001  # to the kernel, 0 would be for ever
        self._has_hung_up = _watch(sock)
        self._wait_in_the_kernel()

    def is_open(self) -> bool:
        try:
            return not self._has_hung_up()
        except OSError:  # our own descriptor was closed, as programs do that become daemons
            return False

    def ask(self, call: bytes, lines: int) -> bytes:
        """The whole reply of so many lines, or of an error. Raises OSError and ValueError."""
        self._socket.sendall(call)
        reply = self._socket.recv(_READ_BYTES)
        if reply.count(b"\n") == lines and reply.endswith(b"\r\n"):
            return reply
        return self._rest(reply, lines)

    def close(self) -> None:
        self._connection.disconnect()

    def _rest(self, reply: bytes, lines: int) -> bytes:
        deadline = monotonic() + self._timeout_seconds
        while not is_whole(reply, lines):
            self._socket.settimeout(max(deadline - monotonic(), 0.001))
            more = self._socket.recv(_READ_BYTES)
            if not more:
                raise ConnectionResetError
            reply += more
            if len(reply) > _LONGEST_REPLY:
                raise ValueError("a reply without an end")
        self._wait_in_the_kernel()
        return reply

    def _wait_in_the_kernel(self) -> None:
        """Let the system keep the timeout where it can: with Python's, each send and each read costs a poll besides.

        What encrypts, or belongs to an event loop (gevent), buffers or does not block by itself and keeps Python's.
        """
        self._socket.settimeout(None)
        if isinstance(self._socket, ssl.SSLSocket) or not os.get_blocking(self._socket.fileno()):
            self._socket.settimeout(self._timeout_seconds)
            return
        seconds, rest = divmod(self._timeout_seconds, 1)
        timeval = struct.pack("@ll", int(seconds), int(rest * 1_000_000))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)


class _Held(threading.local):
    """Each thread's own line. It goes with its thread, and the library closes a connection that goes."""

    line: _Line | None = None


def _watch(sock: socket.socket) -> Callable[[], bool]:
    """Asks whether the other side has hung up, without waiting.

    Linux tells the state of a TCP connection with the interpreter's lock kept; a poll lets it go, and under load
    another thread then keeps it for 5 ms. Where neither works it is found out by sending.
    """
    try:
        if sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == _ESTABLISHED:
            return lambda: sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != _ESTABLISHED
    except (AttributeError, OSError):
        pass  # another system, or a Unix socket
    if isinstance(sock, ssl.SSLSocket):  # what can be read may be the protocol's own
        return lambda: False
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return lambda: bool(poller.poll(0))


def _unless_error(reply: bytes) -> bytes:
    if reply.startswith(b"-"):
        raise StoreError(word_of(reply[1:].decode("ascii", "replace")))
    return reply
