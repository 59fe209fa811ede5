"""Every error the API answers with, as problem details (RFC 9457): what kinds there are, and how one is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django_guid import get_guid

from harvester.errors import HarvesterError
from ratelimit import Decision
from ratelimit.headers import retry_after
from ratelimit.responses import detail, without_body

MEDIA_TYPE = "application/problem+json"
DOCUMENTATION = "/about/api"

Place = Literal["path", "query", "header", "body"]


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of error; ``meaning`` tells a reader of the documentation what to do about it."""

    slug: str
    status: int
    title: str
    meaning: str

    @property
    def address(self) -> str:
        """The problem's ``type``: a link to its explanation."""
        return f"{DOCUMENTATION}#{self.slug}"


MALFORMED = ProblemType(
    "malformed",
    400,
    "The request cannot be read",
    "Its body is not JSON in UTF-8, its host is none of ours, or it broke off.",
)
SIGN_IN_REQUIRED = ProblemType(
    "sign-in-required", 401, "Who are you?", "This operation needs a session or a key, and none was sent."
)
KEY_NOT_VERIFIED = ProblemType(
    "key-not-verified", 401, "The key does not verify", "A key was sent that is unknown, expired or revoked."
)
NOT_PERMITTED = ProblemType(
    "not-permitted",
    403,
    "This is not open to you",
    "You are known, but this takes a staff account, or a key of one with the scope write.",
)
CSRF_FAILED = ProblemType(
    "csrf-failed",
    403,
    "The request is not proven to be yours",
    "With a session, send the CSRF token (the cookie csrftoken) in the header X-CSRFToken, from a page of this site.",
)
NOT_FOUND = ProblemType("not-found", 404, "There is nothing here", "The address or the id is unknown.")
METHOD_NOT_ALLOWED = ProblemType(
    "method-not-allowed", 405, "This address does not take this method", "The header Allow lists those it takes."
)
NOT_ACCEPTABLE = ProblemType(
    "not-acceptable", 406, "The API speaks JSON only", "Accept application/json, or leave the header Accept out."
)
LENGTH_REQUIRED = ProblemType(
    "length-required", 411, "How long is the body?", "Send the body with Content-Length, not chunked."
)
TOO_LARGE = ProblemType("too-large", 413, "That is too much at once", "A body has at most 1,000,000 bytes.")
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    "unsupported-media-type", 415, "The body has to be JSON", "Send Content-Type: application/json."
)
INVALID = ProblemType(
    "invalid",
    422,
    "Something in the request cannot be used",
    "“errors” names each field, where it was (path, query, header or body) and what is wrong with it.",
)
TOO_MANY_REQUESTS = ProblemType(
    "too-many-requests", 429, "Too many requests", "Wait as many seconds as the header Retry-After says."
)
BROKEN = ProblemType(
    "broken",
    500,
    "Something broke on our side",
    "It has been logged under the id in “instance”. Trying again may help.",
)

PROBLEM_TYPES = (
    MALFORMED,
    SIGN_IN_REQUIRED,
    KEY_NOT_VERIFIED,
    NOT_PERMITTED,
    CSRF_FAILED,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    LENGTH_REQUIRED,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    INVALID,
    TOO_MANY_REQUESTS,
    BROKEN,
)


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of the request."""

    field: str
    place: Place
    message: str


class ProblemError(HarvesterError):
    """Ends a request with a problem. ``headers`` go with the response."""

    def __init__(
        self,
        kind: ProblemType,
        detail: str = "",
        *,
        errors: tuple[FieldError, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or kind.meaning)
        self.kind = kind
        self.detail = detail or kind.meaning
        self.errors = errors
        self.headers = headers or {}

    @classmethod
    def about(cls, field: str, place: Place, message: str) -> ProblemError:
        """The 422 for a single field."""
        return cls(INVALID, errors=(FieldError(field, place, message),))


def problem_response(problem: ProblemError, **more: int) -> HttpResponse:
    """``more`` stands in the body beside what every problem has."""
    kind = problem.kind
    body = {
        "type": kind.address,
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "instance": get_guid() or "",
        "errors": [{"field": error.field, "in": error.place, "message": error.message} for error in problem.errors],
        **more,
    }
    return HttpResponse(
        json.dumps(body),
        status=kind.status,
        content_type=MEDIA_TYPE,
        headers={"Cache-Control": "private, no-cache", **problem.headers},
    )


def too_many_requests(request: HttpRequest, decision: Decision) -> HttpResponse:
    """For whom the limiter refuses; it adds the headers."""
    problem = ProblemError(TOO_MANY_REQUESTS, detail(decision), headers={"Cache-Control": "no-store"})
    response = problem_response(problem, limit=decision.limit, retry_after=retry_after(decision))
    return without_body(response) if request.method == "HEAD" else response


# --- Django's error handlers for paths of the API -------------------------------------------------------------------


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return problem_response(ProblemError(TOO_LARGE if isinstance(exception, RequestDataTooBig) else MALFORMED))


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return problem_response(ProblemError(NOT_PERMITTED))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return problem_response(ProblemError(NOT_FOUND))


def server_error(request: HttpRequest) -> HttpResponse:
    return problem_response(ProblemError(BROKEN))
