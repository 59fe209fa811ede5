"""From a request to its identity: valid API key, then signed-in user, then client address."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.utils.functional import LazyObject, empty

from ratelimit import keys
from ratelimit.conf import conf, on_change, settled
from ratelimit.identity.directory import get_directory, refused_key
from ratelimit.identity.identities import Identity, address_identity, user_identity
from ratelimit.identity.questions import Question
from ratelimit.identity.rows import KnownKey
from ratelimit.identity.suspects import AddressTurn, Suspects
from ratelimit.proxies import TrustedProxies, client_address
from ratelimit.signals import identity_rejected
from ratelimit.tiers import RateLimitTier

logger = logging.getLogger(__name__)

_BEARER = "bearer "
_QUIET_SECONDS = 60.0
_LONGEST_REMEMBERED = 200  # characters of a forwarding header
_suspects = Suspects()


class _Unread:
    """Says once a minute that users cannot be read: during an outage every request with a session meets it."""

    def __init__(self) -> None:
        self._quiet_until = 0.0

    def tell(self, error: Exception) -> None:
        if monotonic() >= self._quiet_until:
            self._quiet_until = monotonic() + _QUIET_SECONDS
            logger.warning("Who is signed in cannot be read (%s): the address counts.", type(error).__name__)


_unread = _Unread()


def resolve(request: HttpRequest) -> Identity:
    """The request's identity; sets ``request.api_key`` (VerifiedKey or None). Never raises for what a client sends.

    A key is looked for in ``X-API-Key``, or else in ``Authorization: Bearer``; one that does not verify is told by
    ``identity_rejected`` and then passed over. Waits at most 50 ms for what this process does not know, and for the
    database never otherwise, except that finding out who is signed in costs what ``request.user`` costs.
    """
    presented = _begin(request)
    if presented is not None:
        question = _recall(request, presented)
        identity = _accept(request, question if isinstance(question, KnownKey) else question.wait())
        if identity is not None:
            return identity
    user = _user(request)
    if user is None:
        return _of_address(request)
    tier = _recall_tier(user)
    return user_identity(str(user.pk), tier if isinstance(tier, str) else tier.wait())


async def aresolve(request: HttpRequest) -> Identity:
    """As ``resolve``, waiting without blocking the event loop, and without a thread where nobody is signed in."""
    presented = _begin(request)
    if presented is not None:
        question = _recall(request, presented)
        identity = _accept(request, question if isinstance(question, KnownKey) else await question.wait_async())
        if identity is not None:
            return identity
    user = await _auser(request)
    if user is None:
        return _of_address(request)
    tier = _recall_tier(user)
    return user_identity(str(user.pk), tier if isinstance(tier, str) else await tier.wait_async())


# --- keys ------------------------------------------------------------------------------------------------------------


def _begin(request: HttpRequest) -> str | None:
    """The key that the request presents, whatever it may be; None where it presents none."""
    request.api_key = None  # type: ignore[attr-defined]  # the attribute is this app's gift to views
    presented: str | None = request.META.get("HTTP_X_API_KEY")
    if not presented:
        authorization: str = request.META.get("HTTP_AUTHORIZATION", "")
        if authorization[: len(_BEARER)].lower() != _BEARER:
            return None
        presented = authorization[len(_BEARER) :]
    return presented.strip()


def _recall(request: HttpRequest, presented: str) -> KnownKey | Question[KnownKey]:
    """What is known of the key without waiting, else a question to wait for."""
    if len(presented) > keys.LONGEST_KEY or not presented.isascii():
        return refused_key("malformed")
    key_hash = keys.hash_of(presented)
    directory = get_directory()
    known = directory.find_key(key_hash)
    if known is not None:
        return known
    fault = keys.fault_of(presented)
    if fault:
        return refused_key(fault)
    return directory.ask_key(key_hash, AddressTurn(_suspects, _of_address(request).digest))


def _accept(request: HttpRequest, known: KnownKey) -> Identity | None:
    """The key's identity where it is good, which the request then bears; else its refusal is told and counted."""
    rejection = known.refusal()
    if known.identity is not None and not rejection:
        request.api_key = known.identity.key  # type: ignore[attr-defined]  # as above
        return known.identity
    identity_rejected.send_robust(resolve, reason=rejection)
    return None


# --- users -----------------------------------------------------------------------------------------------------------


def _user(request: HttpRequest) -> Any | None:
    """The signed-in user, or None. Without a session nobody is, and finding that out must not touch the session."""
    user = getattr(request, "user", None)
    if _is_unread(user) and not _has_session(request):
        return None
    return _signed_in(user)


async def _auser(request: HttpRequest) -> Any | None:
    user = getattr(request, "user", None)
    if not _is_unread(user):
        return _signed_in(user)
    if not _has_session(request):
        return None
    read = getattr(request, "auser", None)
    if read is None:
        return await sync_to_async(_signed_in)(user)
    try:
        request.user = user = await read()  # or else a synchronous view would have it read again
    except Exception as error:  # noqa: BLE001 - as in _signed_in
        _unread.tell(error)
        return None
    return _signed_in(user)


def _is_unread(user: object) -> bool:
    """Whether looking at the user would read the session."""
    return isinstance(user, LazyObject) and user._wrapped is empty  # noqa: SLF001 - there is no other way to ask


def _has_session(request: HttpRequest) -> bool:
    session = getattr(request, "session", None)
    return session is None or session.session_key is not None


def _signed_in(user: Any) -> Any | None:
    try:
        return user if user is not None and user.is_authenticated and user.pk is not None else None
    except Exception as error:  # noqa: BLE001 - whatever the session or user store throws is for the view that needs it
        _unread.tell(error)
        return None


def _recall_tier(user: Any) -> str | Question[str]:
    if getattr(user, "is_superuser", False):
        return RateLimitTier.ADMIN.value
    if not isinstance(user, get_user_model()):  # somebody else's idea of a user has no row that could be assigned
        return RateLimitTier.API_KEY.value
    directory = get_directory()
    return directory.find_user_tier(user.pk) or directory.ask_user_tier(user.pk)


# --- addresses -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Trust:
    proxies: TrustedProxies
    header: str
    """In ``request.META``; empty where none is read."""
    ipv6_prefix: int


@settled
def _trust() -> _Trust:
    """Who is believed about addresses; nobody where the settings cannot be read, which the system checks tell."""
    try:
        proxies = TrustedProxies.parse(conf.trusted_proxies, conf.forwarded_header)
    except (TypeError, ValueError):
        logger.exception("RATELIMIT_TRUSTED_PROXIES is wrong, so that no proxy is trusted.")
        proxies = TrustedProxies()
    return _Trust(proxies, proxies.header_in_environ, conf.ipv6_prefix)


def _of_address(request: HttpRequest) -> Identity:
    meta = request.META
    remote_addr, said = meta.get("REMOTE_ADDR") or "", meta.get(_trust().header, "")
    return (_remembered_address if len(said) <= _LONGEST_REMEMBERED else _find_address)(remote_addr, said)


def _find_address(remote_addr: str, said: str) -> Identity:
    trust = _trust()
    return address_identity(client_address(remote_addr, said, trust.proxies, trust.ipv6_prefix))


_remembered_address = lru_cache(4096)(_find_address)  # finding an address costs 5 to 20 µs, remembering it 0.1
on_change(_remembered_address.cache_clear)
