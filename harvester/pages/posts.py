"""What every form that changes something shares: staff only, sent once, answered with 303."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_POST

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]

_TOKEN = re.compile(r"[\w-]{16,64}", re.ASCII)


class SeeOther(HttpResponseRedirect):
    """303: the answer to a POST that did something is found elsewhere (RFC 9110, 15.4.4)."""

    status_code = 303


def staff_post(view: View[P]) -> View[P]:
    """POST only (else 405), by staff only (else 403)."""

    @require_POST
    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not (request.user.is_active and request.user.is_staff):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


def new_token() -> str:
    """For a hidden field ``once``, so that a form sent twice by an impatient finger acts once."""
    return secrets.token_urlsafe(16)


def token_of(request: HttpRequest) -> str | None:
    """The token the form came with; None where there is none or it cannot be one of ours."""
    written = request.POST.get("once", "")
    return written if _TOKEN.fullmatch(written) else None
