"""The script, and how a call of it looks on the wire.

RESP2: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha1
from pathlib import Path

SCRIPT = Path(__file__).with_name("take.lua").read_bytes()
DIGEST = sha1(SCRIPT, usedforsecurity=False).hexdigest()  # Redis names scripts so
_BY_DIGEST = b"$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % DIGEST.encode()
_IN_FULL = b"$4\r\nEVAL\r\n$%d\r\n%b\r\n" % (len(SCRIPT), SCRIPT)

MOST_US = 10**15  # above every capacity there is, so that whatever costs as much never fits


def script_call_of_one(key: str, capacity_us: int, added_us: int) -> bytes:
    """``script_call`` for a single key, which almost every call has."""
    return _CALL_OF_ONE % (len(key), key.encode("ascii"), _pair(capacity_us, added_us))


def script_call(keys: Sequence[str], numbers: Sequence[int]) -> bytes:
    """EVALSHA of the script with two numbers for each key: capacity and addition in microseconds."""
    head = b"*%d\r\n" % (3 + len(keys) + len(numbers)) + _BY_DIGEST
    return head + _bulk(len(keys)) + b"".join(map(_bulk, keys)) + b"".join(map(_bulk, numbers))


def _bulk(value: str | int) -> bytes:
    text = str(value).encode("ascii")
    return b"$%d\r\n%b\r\n" % (len(text), text)


_CALL_OF_ONE = b"*6\r\n" + _BY_DIGEST + _bulk(1) + b"$%d\r\n%b\r\n%b"


@lru_cache(256)
def _pair(capacity_us: int, added_us: int) -> bytes:
    """Of a handful of limits; only keys are new with each request."""
    return _bulk(capacity_us) + _bulk(added_us)


def in_full(call: bytes) -> bytes:
    """The same call as EVAL, for a server that does not know the script; from then on it does."""
    return call.replace(_BY_DIGEST, _IN_FULL, 1)


def deletion(keys: Sequence[str]) -> bytes:
    """DEL of all the keys."""
    return b"*%d\r\n$3\r\nDEL\r\n" % (1 + len(keys)) + b"".join(map(_bulk, keys))


def is_whole(reply: bytes, lines: int) -> bool:
    """Whether all has arrived of an answer of this many lines, or of an error. Raises ValueError if it is neither."""
    if not reply.endswith(b"\r\n"):
        return False
    if reply.count(b"\r\n") >= lines or reply.startswith(b"-"):
        return True
    if reply.startswith(b"*"):
        return False
    raise ValueError("neither numbers nor an error")


def three_numbers_in(reply: bytes) -> tuple[int, int, int]:
    """``numbers_in`` of a reply about one bucket, which almost every reply is. Raises ValueError."""
    head, now_us, fits, arrival_us = reply.split(b"\r\n:")  # not four parts: ValueError
    if head != b"*3":
        raise ValueError("not the numbers expected")
    return int(now_us), int(fits), int(arrival_us)


def numbers_in(reply: bytes, count: int) -> list[int]:
    """The whole numbers of a flat array of ``count``. Raises ValueError."""
    parts = reply.split(b"\r\n:")
    if len(parts) != count + 1 or parts[0] != b"*%d" % count:
        raise ValueError("not the numbers expected")
    return [int(part) for part in parts[1:]]
