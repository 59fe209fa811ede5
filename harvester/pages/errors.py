"""Error pages in the dress of the product: what happened, the id of the request, and a way on."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django_guid import get_guid

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mishap:
    """What an error page says. ``offers_sign_in`` adds that way on for those who have not signed in."""

    status: int
    title: str
    sentence: str
    offers_sign_in: bool = False


BAD_REQUEST = Mishap(400, "This request cannot be read", "Something in the address or in what was sent is malformed.")
FORBIDDEN = Mishap(
    403,
    "This is not open to you",
    "It takes an account that may do this, such as a staff account.",
    offers_sign_in=True,
)
FORM_EXPIRED = Mishap(
    403,
    "This form has expired",
    "Nothing was changed. Go back, load the page again and send the form once more. Cookies must be allowed for it.",
)
NOT_FOUND = Mishap(404, "There is nothing here", "The address is mistyped, or what was here has been removed.")
TOO_LARGE = Mishap(413, "That was too much at once", "The request is larger than this site accepts. Send less.")
BROKEN = Mishap(
    500, "Something broke on our side", "The error has been logged under the id below. Trying again may help."
)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400, and 413 for a body beyond the limit. Rendered without the request, which is what cannot be trusted here."""
    if isinstance(exception, RequestDataTooBig | TooManyFieldsSent | TooManyFilesSent):
        return _page(TOO_LARGE)
    return _page(BAD_REQUEST)


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(FORBIDDEN, request)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _page(FORM_EXPIRED, request)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(NOT_FOUND, request)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, without a query and without anything that may be what broke."""
    try:
        return _page(BROKEN)
    except Exception:
        logger.exception("error page failed")
        return HttpResponse(
            f"{BROKEN.title}. Request id: {get_guid()}", status=BROKEN.status, content_type="text/plain; charset=utf-8"
        )


def _page(mishap: Mishap, request: HttpRequest | None = None) -> HttpResponse:
    """With a request the page knows who is signed in; without, no context processor runs."""
    context = {"mishap": mishap, "request_id": get_guid()}
    return HttpResponse(render_to_string("errors/mishap.html", context, request), status=mishap.status)
