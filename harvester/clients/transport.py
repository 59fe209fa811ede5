"""One GET over one connection to a judged address, within a deadline and a size."""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, cast

from urllib3 import HTTPResponse
from urllib3 import exceptions as urllib3_errors
from urllib3.connection import HTTPConnection

from harvester.clients.addresses import Target
from harvester.errors import FetchError, FetchFailure

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

READ_BYTES = 64 * 1024  # decompressed at once; what a bomb can blow up between two looks at the size
MAX_HEAD_BYTES = 256 * 1024  # the standard library alone would read 100 headers of 64 KB, and copy them often
UNDERSTOOD_ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much. ``connect_seconds`` also bounds the resolution of the name."""

    connect_seconds: float = 5.0
    total_seconds: float = 30.0
    body_bytes: int = 8 * 1024 * 1024

    def require_size(self, size: int, host: str) -> None:
        """Raise FetchError when a body of ``size`` bytes is too large."""
        if size > self.body_bytes:
            megabytes = self.body_bytes / 1024**2
            raise FetchError(
                FetchFailure.TOO_LARGE, f"The reply of {host} is larger than the {megabytes:.3g} MB that are read."
            )


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of a monotonic ``clock``, in seconds."""

    ends_at: float
    clock: Callable[[], float]

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float]) -> Deadline:
        return cls(clock() + seconds, clock)

    def or_after(self, seconds: float) -> Deadline:
        """The sooner of this and a new one."""
        return Deadline(min(self.ends_at, self.clock() + seconds), self.clock)

    def seconds_left(self) -> float:
        """Never less than nothing."""
        return max(0.0, self.ends_at - self.clock())

    def require_time(self) -> float:
        """The seconds left; raises TimeoutError when there are none, which for a socket would mean “do not wait”."""
        left = self.seconds_left()
        if not left:
            raise TimeoutError
        return left


class Answer:
    """A reply whose body is still on the wire. Header names are in lower case, repeated ones joined by commas."""

    def __init__(self, response: HTTPResponse, host: str, limits: Limits) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.itermerged()}
        self._response = response
        self._host = host
        self._limits = limits

    def read(self) -> bytes:
        """The decompressed body; raises FetchError, also when it is larger than the limits allow."""
        with _told_plainly(self._host, f"did not finish its reply within {self._limits.total_seconds:g} s"):
            self._require_readable()
            body = io.BytesIO()
            while chunk := self._response.read1(READ_BYTES):
                body.write(chunk)
                self._limits.require_size(body.tell(), self._host)
            return body.getvalue()  # shares its memory: no second copy of a large body

    def _require_readable(self) -> None:
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding not in UNDERSTOOD_ENCODINGS:  # nor any two of them, which is how a small bomb becomes a large one
            raise FetchError(
                FetchFailure.MALFORMED, f"The reply of {self._host} is compressed in a way that was not asked for."
            )
        self._response.headers["content-encoding"] = encoding  # urllib3 knows it only in this form
        if self.headers.get("transfer-encoding", "chunked").strip().lower() != "chunked":
            raise FetchError(FetchFailure.MALFORMED, f"The reply of {self._host} is framed in an unknown way.")
        self._limits.require_size(self._response.length_remaining or 0, self._host)


@contextmanager
def ask(
    target: Target,
    addresses: Sequence[str],
    headers: Mapping[str, str],
    *,
    limits: Limits,
    deadline: Deadline,
    tls: ssl.SSLContext | None,
) -> Iterator[Answer]:
    """Send one GET to the first address that accepts and yield its answer; raises FetchError.

    The name is not resolved again. With ``tls``, the certificate must bear the target's name. Environment proxies are
    not asked. Every connection serves one request and is closed after it, so nothing leaks from one source to another.
    """
    with _told_plainly(target.host, f"did not accept a connection within {limits.connect_seconds:g} s"):
        opened = _open(target, addresses, deadline.or_after(limits.connect_seconds), tls)
    connection = HTTPConnection(target.server_name, target.port)
    with closing(opened), closing(connection):
        bounded = _BoundedSocket(opened, deadline)
        connection.sock = cast("socket.socket", bounded)
        with _told_plainly(target.host, f"did not answer within {limits.total_seconds:g} s"):
            written = {name.title(): value for name, value in headers.items()}  # some filters distrust lower case
            connection.request("GET", target.path, headers=written, preload_content=False)
            response = connection.getresponse()
            bounded.is_reading_head = False
        with closing(response):
            yield Answer(response, target.host, limits)


def _open(target: Target, addresses: Sequence[str], deadline: Deadline, tls: ssl.SSLContext | None) -> socket.socket:
    opened = _connect(addresses, target.port, deadline)
    if tls is None:
        return opened
    try:
        opened.settimeout(deadline.require_time())
        return tls.wrap_socket(opened, server_hostname=target.server_name)
    except BaseException:
        opened.close()
        raise


def _connect(addresses: Sequence[str], port: int, deadline: Deadline) -> socket.socket:
    *others, last = addresses
    for address in others:
        try:
            # Half of what is left: an address that swallows packets must leave time for the next.
            return socket.create_connection((address, port), timeout=deadline.require_time() / 2)
        except OSError:
            continue  # the last address tells what is wrong
    return socket.create_connection((last, port), timeout=deadline.require_time())


class _BoundedSocket(io.RawIOBase):
    """The part of a socket that an HTTP connection uses, bounded by a deadline and, for the head, by a size.

    A socket's own timeout starts anew with each byte, so it is set before each read to what is left.
    """

    def __init__(self, opened: socket.socket, deadline: Deadline) -> None:
        self._opened = opened
        self._deadline = deadline
        self._bytes_read = 0
        self.is_reading_head = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self.is_reading_head and self._bytes_read >= MAX_HEAD_BYTES:
            raise HTTPException("the head of the reply is too long")
        self._opened.settimeout(self._deadline.require_time())
        count = self._opened.recv_into(buffer)
        self._bytes_read += count
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, READ_BYTES)

    def sendall(self, data: bytes) -> None:
        self._opened.settimeout(self._deadline.require_time())
        self._opened.sendall(data)

    def settimeout(self, seconds: float | None) -> None:
        """The deadline alone decides."""

    def close(self) -> None:
        """Who opened it closes it: the connection would do so while the body is still to be read."""


@contextmanager
def _told_plainly(host: str, too_late: str) -> Iterator[None]:
    """Turn what the libraries raise into a FetchError with one sentence; ``too_late`` says which time ran out."""
    try:
        yield
    except (TimeoutError, urllib3_errors.ReadTimeoutError) as error:
        raise FetchError(FetchFailure.TIMED_OUT, f"{host} {too_late}.") from error
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message.rstrip(".")
        raise FetchError(FetchFailure.TLS_FAILED, f"The certificate of {host} is not trusted: {why}.") from error
    except (ssl.SSLError, urllib3_errors.SSLError) as error:
        raise FetchError(FetchFailure.TLS_FAILED, f"No secure connection to {host} could be made or kept.") from error
    except OSError as error:
        why = error.strerror or "the connection was closed without an answer"
        raise FetchError(FetchFailure.CONNECTION_FAILED, f"{host} cannot be reached: {why}.") from error
    except urllib3_errors.ProtocolError as error:
        raise FetchError(FetchFailure.CONNECTION_FAILED, f"{host} broke off in the middle of its reply.") from error
    except (HTTPException, urllib3_errors.HTTPError, ValueError) as error:
        raise FetchError(FetchFailure.MALFORMED, f"What {host} sent is not proper HTTP.") from error
