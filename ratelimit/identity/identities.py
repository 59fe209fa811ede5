"""Whose bucket it is, under a name that tells nobody who that is."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from ratelimit.conf import conf, on_change, settled
from ratelimit.keys import VerifiedKey
from ratelimit.tiers import RateLimitTier, limit_for

Kind = Literal["address", "user", "api_key", "name"]

_DIGEST_LENGTH = 32  # hexadecimal characters, so 128 bits
# Remembered in each process, because a digest costs 2 µs and finding one 0.05 (about 0.5 kB each).
_RECENT = 4096


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose bucket it is. Equal requests give equal identities in every process that shares the secret."""

    kind: Kind
    digest: str
    """32 hexadecimal characters of an HMAC-SHA-256: what stands in bucket names. Never an address, key or user id."""
    tier: str
    """A tier that ``tiers.limit_for`` knows."""
    key: VerifiedKey | None = None
    bucket: str = field(init=False, compare=False)
    """Its bucket of the tier's limit: ``{digest}:tier``. The braces put all buckets of a client in one Cluster slot."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "bucket", f"{{{self.digest}}}:{self.tier}")

    @classmethod
    def of(cls, name: str, tier: str = RateLimitTier.API_KEY) -> Identity:
        """Of work without a request, by whatever name: ``Identity.of("worker-7", tier="premium")``.

        Raises UnknownTierError.
        """
        limit_for(tier)
        return cls("name", digest_of("name", name), str(tier))


@lru_cache(_RECENT)
def address_identity(address: str) -> Identity:
    """``address`` as ``proxies.client_address`` writes it."""
    return Identity("address", digest_of("address", address), RateLimitTier.ANONYMOUS.value)


@lru_cache(_RECENT)
def user_identity(user_id: str, tier: str) -> Identity:
    """``user_id``: the primary key as text."""
    return Identity("user", digest_of("user", user_id), tier)


def key_identity(key: VerifiedKey, tier: str) -> Identity:
    return Identity("api_key", digest_of("api_key", str(key.id)), tier, key)


def digest_of(kind: Kind, subject: str) -> str:
    """A bare hash of an address could be reversed by hashing all of them; this one needs the secret too."""
    message = f"{kind}:{subject}".encode("utf-8", "surrogatepass")
    return hmac.digest(_secret(), message, "sha256").hex()[:_DIGEST_LENGTH]


@settled
def _secret() -> bytes:
    """Derived, so that what is made of it says nothing of SECRET_KEY and fits nothing else that is signed with it."""
    return hmac.digest(conf.secret.encode(), b"ratelimit.identity", "sha256")


on_change(address_identity.cache_clear)
on_change(user_identity.cache_clear)
