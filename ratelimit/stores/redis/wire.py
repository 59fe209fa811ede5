"""The script, and how a call of it looks on the wire (RESP2, https://redis.io/docs/latest/develop/reference/protocol-spec)."""

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


@lru_cache(128)
def _call_of(keys: int) -> bytes:
    """A call with this many keys, ready for ``%``: the length and text of each key, then the numbers.

    Numbers are padded to one width, so that no length has to be counted.
    """
    head = b"*%d\r\n" % (3 + 3 * keys) + _BY_DIGEST + b"$%d\r\n%d\r\n" % (len(str(keys)), keys)
    return head + b"$%d\r\n%b\r\n" * keys + b"$17\r\n%017d\r\n" * (2 * keys)


def script_call(keys: Sequence[str], numbers: Sequence[int]) -> bytes:
    """EVALSHA of the script with two numbers for each key: capacity and addition in microseconds, within ±MOST_US."""
    if len(keys) == 1:
        key = keys[0].encode("ascii")
        return _call_of(1) % (len(key), key, *numbers)
    texts: list[int | bytes] = []
    for text in keys:
        texts += (len(text), text.encode("ascii"))
    return _call_of(len(keys)) % (*texts, *numbers)


def in_full(call: bytes) -> bytes:
    """The same call as EVAL, for a server that does not know the script; from then on it does."""
    return call.replace(_BY_DIGEST, _IN_FULL, 1)


def deletion(keys: Sequence[str]) -> bytes:
    """DEL of all the keys."""
    texts = [text.encode("ascii") for text in keys]
    return b"*%d\r\n$3\r\nDEL\r\n" % (1 + len(texts)) + b"".join(b"$%d\r\n%b\r\n" % (len(text), text) for text in texts)


def is_whole(reply: bytes, lines: int) -> bool:
    """Whether all has arrived of an answer of this many lines, or of an error. Raises ValueError if it is neither."""
    if not reply.endswith(b"\r\n"):
        return False
    if reply.count(b"\r\n") >= lines or reply.startswith(b"-"):
        return True
    if reply.startswith(b"*"):
        return False
    raise ValueError("neither numbers nor an error")


def numbers_in(reply: bytes, count: int) -> list[int]:
    """The whole numbers of a flat array of ``count``. Raises ValueError."""
    parts = reply.split(b"\r\n:")
    if len(parts) != count + 1 or parts[0] != b"*%d" % count:
        raise ValueError("not the numbers expected")
    return [int(part) for part in parts[1:]]
