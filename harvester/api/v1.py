"""Version 1 of the API, put together: its operations, the errors that become problems, and its addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.urls import URLPattern
from django.views.decorators.http import require_safe
from ninja.errors import HttpError, ValidationError

from harvester.api import artifacts, discoveries, harvest, runs, sources
from harvester.api.addresses import NAMESPACE
from harvester.api.bodies import StrictJson
from harvester.api.docs_page import DocsPage
from harvester.api.document import DocumentedApi
from harvester.api.manner import in_our_manner, judged
from harvester.api.problems import (
    INVALID,
    MALFORMED,
    NOT_FOUND,
    TOO_LARGE,
    FieldError,
    Place,
    ProblemError,
    not_found,
    problem_response,
)
from harvester.errors import IdempotencyConflictError, InvalidCursorError, SourceConfigError, UnknownSourceError

_DOCS_PAGE = "openapi-view"

api = DocumentedApi(
    title="Signal Harvester API",
    version="1",
    description=(
        "Discoveries with their reasons, sources and runs. Reading is open; writing takes a member of staff, by "
        "session or key. Lists come in pages of at most 100: follow “next”. Every GET has an ETag. Errors are problem "
        "details (RFC 9457). Times are RFC 3339 in UTC; addresses are relative to this host."
    ),
    docs=DocsPage(),
    docs_decorator=require_safe,
    urls_namespace=NAMESPACE,
    parser=StrictJson(),
)
api.add_decorator(judged, mode="view")
for noun in (discoveries, artifacts, sources, runs, harvest):
    api.add_router("", noun.router)


# --- errors that become problems -------------------------------------------------------------------------------------


@api.exception_handler(ProblemError)
def _problem(request: HttpRequest, error: ProblemError) -> HttpResponse:
    return problem_response(error)


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    return problem_response(ProblemError(INVALID, errors=tuple(_field_errors(error.errors))))


@api.exception_handler(HttpError)
def _unreadable(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Ninja raises it where the body cannot be parsed, and nowhere else here."""
    return problem_response(ProblemError(MALFORMED))


@api.exception_handler(UnreadablePostError)
def _broken_off(request: HttpRequest, error: UnreadablePostError) -> HttpResponse:
    return problem_response(ProblemError(MALFORMED))


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return problem_response(ProblemError(TOO_LARGE))


@api.exception_handler(ObjectDoesNotExist)
def _no_such_id(request: HttpRequest, error: ObjectDoesNotExist) -> HttpResponse:
    return problem_response(ProblemError(NOT_FOUND, "There is nothing with this id; it may have been removed."))


@api.exception_handler(InvalidCursorError)
def _foreign_cursor(request: HttpRequest, error: InvalidCursorError) -> HttpResponse:
    return problem_response(ProblemError.about("cursor", "query", str(error)))


@api.exception_handler(UnknownSourceError)
def _no_such_source(request: HttpRequest, error: UnknownSourceError) -> HttpResponse:
    place: Place = "body" if request.method == "POST" else "query"
    return problem_response(ProblemError.about("source", place, str(error)))


@api.exception_handler(SourceConfigError)
def _impossible(request: HttpRequest, error: SourceConfigError) -> HttpResponse:
    return problem_response(ProblemError.about(error.field, "body", error.message))


@api.exception_handler(IdempotencyConflictError)
def _used_key(request: HttpRequest, error: IdempotencyConflictError) -> HttpResponse:
    return problem_response(ProblemError.about("Idempotency-Key", "header", str(error)))


def _field_errors(errors: Iterable[Mapping[str, Any]]) -> Iterator[FieldError]:
    """Ninja's errors, each with its field as the client wrote it."""
    for error in errors:
        place, *names = error["loc"]
        if place == "body":
            names = names[1:] or ["body"]  # the first is what our function calls the body
        yield FieldError(".".join(map(str, names)), place, error["msg"])


# --- addresses -------------------------------------------------------------------------------------------------------


def _patterns() -> Iterator[URLPattern]:
    """Ninja's, in our manner; only the docs page is for browsers and keeps to theirs."""
    for pattern in api.urls[0]:
        if not isinstance(pattern, URLPattern):
            raise TypeError("ninja has grown nested addresses; they need the same treatment")
        view = pattern.callback if pattern.name == _DOCS_PAGE else in_our_manner(pattern.callback)
        yield URLPattern(pattern.pattern, view, pattern.default_args, pattern.name)


urls = (list(_patterns()), "ninja", NAMESPACE)

#: For whatever else begins with the API's address.
nothing_here = in_our_manner(not_found)
