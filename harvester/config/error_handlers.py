"""Who words an error that no view has answered: the API in problems, everybody else in pages."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from harvester.api import problems
from harvester.pages import errors
from ratelimit import Decision
from ratelimit.responses import denied


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return problems.bad_request(request, exception) if _is_api(request) else errors.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if _is_api(request):
        return problems.permission_denied(request, exception)
    return errors.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return problems.not_found(request, exception) if _is_api(request) else errors.not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    return problems.server_error(request) if _is_api(request) else errors.server_error(request)


def too_many_requests(request: HttpRequest, decision: Decision) -> HttpResponse:
    """RATELIMIT_DENIED_VIEW. Pages have theirs as the template ``ratelimit/429.html``."""
    return problems.too_many_requests(request, decision) if _is_api(request) else denied(request, decision)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
