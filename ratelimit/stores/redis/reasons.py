"""What went wrong with Redis, in one word of ours: nothing from outside gets into logs and signals."""

from __future__ import annotations

import socket

from redis import exceptions

_SERVER_WORDS = frozenset(
    {"ask", "busy", "clusterdown", "crossslot", "loading", "masterdown", "misconf", "moved", "noauth", "noperm"}
    | {"noreplicas", "noscript", "oom", "readonly", "tryagain", "wrongpass", "wrongtype"}
)
_KINDS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (  # the first that fits
    ((TimeoutError, BlockingIOError, exceptions.TimeoutError), "timeout"),  # the second is the kernel's own timeout
    (ConnectionRefusedError, "refused"),
    (socket.gaierror, "dns"),
    (exceptions.AuthenticationError, "auth"),
    (exceptions.MaxConnectionsError, "connections"),
    ((OSError, exceptions.ConnectionError), "closed"),
    ((ValueError, exceptions.InvalidResponse), "garbage"),
)


def reason_of(error: Exception) -> str:
    """What a server said first, such as ``readonly``; else the kind of failure; else ``error``."""
    said = word_of(getattr(error, "status_code", None) or str(error))
    if isinstance(error, exceptions.RedisError) and said != "error":
        return said
    cause = error.__context__
    if isinstance(error, exceptions.ConnectionError) and isinstance(cause, OSError):  # wrapped by the library
        return reason_of(cause)
    if isinstance(error, exceptions.RedisClusterException) and isinstance(error.__cause__, Exception):
        return reason_of(error.__cause__)  # of the last node that was asked
    return next((reason for kinds, reason in _KINDS if isinstance(error, kinds)), "error")


def word_of(message: str) -> str:
    """The kind of error a server names first, such as ``readonly``; ``error`` if we know no such kind."""
    word = message.partition(" ")[0].lower()
    return word if word in _SERVER_WORDS else "error"
