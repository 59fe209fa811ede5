"""What a request meets at the limiter, by middleware or decorator: who it is, how it passed, how it is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import time

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from ratelimit.bucket import Decision
from ratelimit.conf import conf, settled
from ratelimit.headers import denial_headers, limit_headers, stamp
from ratelimit.identity import Identity, aresolve, resolve
from ratelimit.identity.identities import address_identity
from ratelimit.limiter import Scope
from ratelimit.responses import problem

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Passage:
    """How a request passed; views find it as ``request.rate_limit`` (None where it is exempt)."""

    identity: Identity
    charged: Decision | None
    """The admission by the tier's limit; its ``cost`` is all that has been taken of the tier for this request.

    None where a refusal has given it back, and while more is being asked for.
    """
    decision: Decision
    """What the client is told."""
    scopes: tuple[Scope, ...] = ()
    """The limits beside the tier's that were charged for this request."""
    has_middleware: bool = False
    """Whether the middleware writes the headers; else a decorator does."""


def identify(request: HttpRequest) -> Identity:
    """As ``resolve``; the address of the connection counts where even that fails."""
    try:
        return resolve(request)
    except Exception as error:  # noqa: BLE001 - told there; a request must not fail because it is to be limited
        return _by_address(request, error)


async def aidentify(request: HttpRequest) -> Identity:
    """As ``identify``, waiting without blocking the event loop."""
    try:
        return await aresolve(request)
    except Exception as error:  # noqa: BLE001 - as above
        return _by_address(request, error)


def admit(
    request: HttpRequest,
    identity: Identity,
    decision: Decision,
    scopes: tuple[Scope, ...] = (),
    *,
    has_middleware: bool = False,
) -> Passage:
    """Note how the request passed."""
    charged = decision if decision.allowed else None
    passage = Passage(identity, charged, decision, scopes if decision.allowed else (), has_middleware)
    request.rate_limit = passage  # type: ignore[attr-defined]  # the attribute is this app's gift to views
    return passage


def pass_freely(request: HttpRequest) -> None:
    """Note that the request is exempt: nobody looks who asks, so ``request.api_key`` is None whatever it brought."""
    request.rate_limit = None  # type: ignore[attr-defined]  # as in admit
    request.api_key = None  # type: ignore[attr-defined]  # a view that asks for it must not fail


def refuse(request: HttpRequest, decision: Decision) -> HttpResponseBase:
    """The 429, as RATELIMIT_DENIED_VIEW words it, with its headers."""
    try:
        response: HttpResponseBase = _denied_view()(request, decision)
    except Exception:
        logger.exception("RATELIMIT_DENIED_VIEW failed; the plain answer was sent")
        response = problem(decision)
    stamp(response, denial_headers(decision, time()))
    return response


def tell(response: object, decision: Decision) -> None:
    """Tell the client how it stands, where there is a response to write it on."""
    if isinstance(response, HttpResponseBase):
        stamp(response, limit_headers(decision, time()))


def _by_address(request: HttpRequest, error: Exception) -> Identity:
    logger.error("Who asks could not be told; the address of the connection counts", exc_info=error)
    return address_identity(request.META.get("REMOTE_ADDR") or "")


@settled
def _denied_view() -> Callable[[HttpRequest, Decision], HttpResponseBase]:
    view: Callable[[HttpRequest, Decision], HttpResponseBase] = import_string(conf.denied_view)
    return view
