"""Asks the running server how it is: for exec probes and a container's HEALTHCHECK; only the standard library.

``python -m health.exec_probe [live|ready|startup]`` ends with 0 when the server answers 200, whole, 1 when it answers
anything else or does not answer in time, 2 when it was called wrongly, and prints one line. It needs no settings,
follows no redirect, knows no proxy and, like kubelet, does not verify certificates: it asks its own machine, and tells
it nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any, NamedTuple

MOST_BYTES = 64 * 1024  # of an answer; ours are below 1 kB
MOST_CHARACTERS = 200  # of the line; kubelet and Docker keep it in events
_MOST_IN_A_WORD = 40

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?(?P<path>/[\w.~/%-]*)?",
    re.ASCII,
)
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([^\r\n]*?)[ \t]*\r\n", re.IGNORECASE)
_MOST_DIGITS = 9


class Target(NamedTuple):  # not a dataclass: importing those takes a tenth of the whole run
    """Where the server listens, and under which path its probes are; ``unix`` is the path of a socket, or empty."""

    scheme: str
    host: str
    port: int
    path: str
    unix: str = ""

    def __str__(self) -> str:
        return self.unix or f"{self.host}:{self.port}"


class Answer(NamedTuple):
    status: int
    body: bytes
    is_whole: bool


class NoAnswerError(Exception):
    """What came is no answer of a web server."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    probe, target, timeout_seconds, is_quiet = _understood(arguments)
    try:
        answer = ask(target, probe, timeout_seconds)
    except TimeoutError:
        is_well, line = False, f"no answer from {target} within {timeout_seconds:g} s"
    except OSError as error:
        is_well, line = False, f"no answer from {target}: {error.strerror or 'it cannot be reached'}"
    except NoAnswerError as error:
        is_well, line = False, f"no answer from {target}: {error}"
    else:
        is_well, line = answer.status == 200 and answer.is_whole, said_in(answer)
    if not is_quiet:
        with contextlib.suppress(OSError):  # nobody may be reading
            sys.stdout.write(_printable(line, MOST_CHARACTERS) + "\n")
            sys.stdout.flush()
    return 0 if is_well else 1


def ask(target: Target, probe: str, timeout_seconds: float) -> Answer:
    """The server's answer, cut off after MOST_BYTES; OSError or NoAnswerError when there is none in time.

    The time is that of the whole exchange, however slowly it comes; only looking up a host's name has its own limit.
    """
    deadline = time.monotonic() + timeout_seconds
    # HTTP/1.0, so that the answer comes whole and not in chunks.
    request = (
        f"GET {target.path}/{probe} HTTP/1.0\r\nHost: {target.host}:{target.port}\r\nAccept: application/json\r\n"
        "User-Agent: health.exec_probe\r\nConnection: close\r\n\r\n"
    )
    received, is_whole = bytearray(), False
    with _connected(target, deadline) as connection:
        connection.settimeout(_left(deadline))
        connection.sendall(request.encode())
        while len(received) < MOST_BYTES and not is_whole:
            connection.settimeout(_left(deadline))
            part = connection.recv(MOST_BYTES)
            received += part
            is_whole = _is_whole(received, is_closed=not part)
            if not part:
                break
    found = _STATUS.match(received)
    if found is None:
        raise NoAnswerError("it does not speak HTTP" if received else "it closed the connection")
    return Answer(int(found[1]), bytes(received.partition(b"\r\n\r\n")[2]), is_whole)


def said_in(answer: Answer) -> str:
    """The status word and the components that are not healthy; only the status code where the body is not ours."""
    if answer.status == 200 and not answer.is_whole:
        return "HTTP 200, incomplete"
    import json  # not before there is something to read: every start pays for it

    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("status"), str):
        return f"HTTP {answer.status}"
    reason = told.get("reason")
    line = _word(told["status"]) + (f" ({_word(reason)})" if reason and isinstance(reason, str) else "")
    unwell = ", ".join(_unwell(told.get("components")))
    return f"{line}: {unwell}" if unwell else line


def _unwell(components: Any) -> Iterator[str]:
    for component in components if isinstance(components, list) else []:
        if isinstance(component, dict) and component.get("status") != "healthy":
            yield _word(str(component.get("name", "?")))


def _word(text: str) -> str:
    return _printable(text, _MOST_IN_A_WORD)


def _printable(text: str, most: int) -> str:
    """Without what could steer a terminal or forge a second line."""
    return re.sub(r"[^ -~]", "?", text[:most])


@contextlib.contextmanager
def _connected(target: Target, deadline: float) -> Iterator[socket.socket]:
    plain = _connect(target, deadline)
    with plain:
        if target.scheme == "http":
            yield plain
        else:
            import ssl

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            plain.settimeout(_left(deadline))
            with context.wrap_socket(plain, server_hostname=target.host.strip("[]")) as secured:
                yield secured


def _connect(target: Target, deadline: float) -> socket.socket:
    """To the first address of the host that accepts."""
    if target.unix:
        addresses: list[tuple[socket.AddressFamily, Any]] = [(socket.AF_UNIX, target.unix)]
    else:
        name = target.host.strip("[]").encode()  # as bytes, for which no tables of Unicode are loaded
        found = socket.getaddrinfo(name, target.port, type=socket.SOCK_STREAM)
        addresses = [(family, address) for family, _, _, _, address in found]
    for number, (family, address) in enumerate(addresses, start=1):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(_left(deadline))
            connection.connect(address)
        except OSError:
            connection.close()
            if number == len(addresses):
                raise
        else:
            return connection
    raise NoAnswerError("it has no address")


def _is_whole(received: bytearray, *, is_closed: bool) -> bool:
    """Whether as much has come as the server has announced; where it announced nothing, its closing is the end."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return False
    announced = _LENGTH.search(received, 0, end + 2)
    if announced is None:
        return is_closed
    digits = announced[1]
    return digits.isdigit() and len(digits) <= _MOST_DIGITS and len(received) >= end + 4 + int(digits)


def _left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _understood(arguments: Sequence[str] | None) -> tuple[str, Target, float, bool]:
    parser = argparse.ArgumentParser(
        prog="python -m health.exec_probe",
        description="Ask the running server how it is: exit code 0 when it answers 200, else 1; 2 for a wrong call.",
        # Asking the terminal how wide it is would import all that knows how to compress files.
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),
    )
    parser.add_argument("probe", nargs="?", choices=("live", "ready", "startup"), default="live", help="default: live")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--port", type=_port, help="on 127.0.0.1; default: PORT of the environment, else 8000")
    where.add_argument("--url", type=_url, help="above the probes, such as http://127.0.0.1:8000/health")
    parser.add_argument("--unix", default="", metavar="PATH", help="connect to this socket instead")
    parser.add_argument("--timeout", type=_seconds, default=4.0, metavar="SECONDS", help="for all of it; default 4")
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    given = parser.parse_args(arguments)
    target = given.url
    if target is None:
        port = given.port
        try:
            port = port or _port(os.environ.get("PORT") or "8000")
        except ValueError:
            parser.error("PORT of the environment is no port")
        target = Target("http", "127.0.0.1", port, "/health")
    if given.unix:
        target = target._replace(unix=given.unix)
    return given.probe, target, given.timeout, given.quiet


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65_536:
        raise ValueError(text)
    return port


def _url(text: str) -> Target:
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError(text)
    port = _port(found["port"] or ("443" if found["scheme"] == "https" else "80"))
    return Target(found["scheme"], found["host"], port, (found["path"] or "").rstrip("/"))


def _seconds(text: str) -> float:
    seconds = float(text)
    if not (isfinite(seconds) and 0 < seconds < 3600):
        raise ValueError(text)
    return seconds


_port.__name__, _url.__name__, _seconds.__name__ = "port", "URL", "number of seconds"  # as argparse names them

if __name__ == "__main__":
    sys.exit(main())
