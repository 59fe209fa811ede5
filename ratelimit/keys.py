"""API keys as text: how they are made, recognised without asking anybody, and remembered without being kept.

    shk_ · 30 random characters · 6 characters of checksum            all of 0-9, A-Z, a-z

The first 8 random characters may be shown to tell keys apart; the other 22 are 131 bits that only the key's holder
knows. The checksum is the CRC-32 of the random characters in base 62, most significant digit first, so that a typing
error or a made-up key costs no query and a leaked one can be found by scanners.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

MARK = "shk_"
PREFIX_LENGTH = 8
_RANDOM_LENGTH = 30
_CHECKSUM_LENGTH = 6  # 62^6 > 2^32
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
# Made with 30; as few as 22 (131 bits) and as many as 64 are recognised, so that the length may change one day.
_SHAPE = re.compile(rf"{MARK}([0-9A-Za-z]{{22,64}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})", re.ASCII)
LONGEST_KEY = len(MARK) + 64 + _CHECKSUM_LENGTH


class KeyScope(StrEnum):
    """What a key may; a key never may more than its owner may at that moment."""

    READ = "read"
    WRITE = "write"

    @property
    def included(self) -> frozenset[str]:
        """All that a key of this scope carries: whoever may write may read."""
        return frozenset({KeyScope.READ.value, self.value})


@dataclass(frozen=True, slots=True)
class VerifiedKey:
    """A key that exists, is neither revoked nor expired, and whose owner, where it has one, is active.

    Views find it as ``request.api_key`` (None without a valid key).
    """

    id: int
    name: str
    prefix: str
    """The first characters of the secret part: enough to tell keys apart, useless for guessing them."""
    scopes: frozenset[str]
    owner_id: int | str | None
    """Primary key of the owning user; None for a key of the installation itself."""

    def allows(self, scope: str) -> bool:
        """Whether the key carries the scope (``read``, ``write``). What its owner may is the caller's to ask."""
        return scope in self.scopes


def new_key() -> str:
    """A key nobody has seen. Whoever calls this shows it once and keeps ``hash_of`` it."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    return f"{MARK}{random}{_checksum(random)}"


def fault_of(text: str) -> Literal["", "malformed", "checksum"]:
    """What is wrong with the text as a key; empty where it may be one."""
    match = _SHAPE.fullmatch(text) if len(text) <= LONGEST_KEY else None
    if match is None:
        return "malformed"
    return "" if _checksum(match[1]) == match[2] else "checksum"


def hash_of(key: str) -> str:
    """SHA-256, 64 hexadecimal characters: what is stored. Nobody can guess 131 random bits, so it need not be slow."""
    return hashlib.sha256(key.encode()).hexdigest()


def prefix_of(key: str) -> str:
    """The 8 characters that may be shown."""
    return key[len(MARK) : len(MARK) + PREFIX_LENGTH]


def _checksum(random: str) -> str:
    number = zlib.crc32(random.encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
