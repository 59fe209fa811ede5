"""Who asks: anybody may read; writing takes a signed-in member of staff, with a CSRF token.

There are no API keys yet. One that is sent is refused all the same, on reads too, so that nobody is silently anonymous.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from harvester.api.problems import CSRF_FAILED, KEY_NOT_VERIFIED, NOT_PERMITTED, SIGN_IN_REQUIRED, ProblemError

REALM = "Signal Harvester"


def refuse_keys(request: HttpRequest) -> None:
    """401 for whoever sends a key, in X-API-Key or Authorization."""
    if "X-API-Key" in request.headers or _names_a_key(request.headers.get("Authorization", "")):
        challenge = f'Bearer realm="{REALM}", error="invalid_token"'
        raise ProblemError(KEY_NOT_VERIFIED, headers={"WWW-Authenticate": challenge})


def require_staff(request: HttpRequest) -> None:
    """401 for whoever is not signed in, 403 for whoever is not staff."""
    if not request.user.is_authenticated:
        raise ProblemError(SIGN_IN_REQUIRED, headers={"WWW-Authenticate": f'Bearer realm="{REALM}"'})
    if not request.user.is_staff:
        raise ProblemError(NOT_PERMITTED)


def require_csrf_token(request: HttpRequest) -> None:
    """403 without a CSRF token; the API's views are exempt from Django's own check, which answers with a page."""
    check = _CsrfCheck(_unreachable)
    check.process_request(request)
    check.process_view(request, _unreachable, (), {})


def _names_a_key(authorization: str) -> bool:
    """Anything but Basic, which belongs to a proxy in front of us and not to us."""
    return bool(authorization) and authorization.split(" ", 1)[0].lower() != "basic"


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:  # noqa: ARG002 - Django's signature
        raise ProblemError(CSRF_FAILED, f"{reason} {CSRF_FAILED.meaning}")


def _unreachable(request: HttpRequest) -> HttpResponse:
    raise AssertionError("the check never calls on")
