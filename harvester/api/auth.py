"""Who asks: anybody may read; writing takes a member of staff, by session and CSRF token or by a key of theirs.

A key that is sent has to verify, on reads too, so that nobody is silently anonymous. ``request.api_key`` is what the
rate limiter has made of it.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from harvester.api.problems import CSRF_FAILED, KEY_NOT_VERIFIED, NOT_PERMITTED, SIGN_IN_REQUIRED, ProblemError
from harvester.models import User
from ratelimit import VerifiedKey

REALM = "Signal Harvester"


def require_good_key(request: HttpRequest) -> None:
    """401 for whoever sends a key, in X-API-Key or Authorization, that does not verify."""
    names_a_key = "X-API-Key" in request.headers or _is_key(request.headers.get("Authorization", ""))
    if names_a_key and _key(request) is None:
        challenge = f'Bearer realm="{REALM}", error="invalid_token"'
        raise ProblemError(KEY_NOT_VERIFIED, headers={"WWW-Authenticate": challenge})


def require_staff(request: HttpRequest) -> None:
    """Let staff write; ``request.user`` is then who writes, with a key as well.

    401 for whoever neither has a session nor sends a key; 403 for whoever is not staff, and for a key without the scope
    ``write``.
    """
    key = _key(request)
    if key is None:
        _require_staff_session(request)
    else:
        request.user = _staff_owner(key)


def _require_staff_session(request: HttpRequest) -> None:
    if not request.user.is_authenticated:
        raise ProblemError(SIGN_IN_REQUIRED, headers={"WWW-Authenticate": f'Bearer realm="{REALM}"'})
    if not request.user.is_staff:
        raise ProblemError(NOT_PERMITTED)


def _staff_owner(key: VerifiedKey) -> User:
    """As of now: what is known of the key may be some seconds old."""
    if not key.allows("write"):
        challenge = f'Bearer realm="{REALM}", error="insufficient_scope", scope="write"'
        raise ProblemError(NOT_PERMITTED, "This key may only read.", headers={"WWW-Authenticate": challenge})
    staff = User.objects.filter(is_active=True, is_staff=True)
    owner = staff.filter(pk=key.owner_id).first() if key.owner_id is not None else None
    if owner is None:
        raise ProblemError(NOT_PERMITTED, "This key belongs to nobody who is staff.")
    return owner


def require_csrf_token(request: HttpRequest) -> None:
    """403 without a CSRF token; the API's views are exempt from Django's own check, which answers with a page.

    A key needs none: no browser sends it by itself.
    """
    if _key(request) is not None:
        return
    check = _CsrfCheck(_unreachable)
    check.process_request(request)
    check.process_view(request, _unreachable, (), {})


def _key(request: HttpRequest) -> VerifiedKey | None:
    key: VerifiedKey | None = getattr(request, "api_key", None)
    return key


def _is_key(authorization: str) -> bool:
    """Anything but Basic, which belongs to a proxy in front of us and not to us."""
    return bool(authorization) and authorization.split(" ", 1)[0].lower() != "basic"


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:  # noqa: ARG002 - Django's signature
        raise ProblemError(CSRF_FAILED, f"{reason} {CSRF_FAILED.meaning}")


def _unreachable(request: HttpRequest) -> HttpResponse:
    raise AssertionError("the check never calls on")
