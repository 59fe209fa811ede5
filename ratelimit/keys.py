"""API keys as text: how they are made, recognised without asking anybody, and remembered without being kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class KeyScope(StrEnum):
    """What a key may; a key never may more than its owner may at that moment."""

    READ = "read"
    WRITE = "write"


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
