"""The 429: problem details for programs, a small page for browsers."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse
from django.template import TemplateDoesNotExist
from django.template.loader import render_to_string

from ratelimit.bucket import Decision
from ratelimit.headers import retry_after

TITLE = "Too many requests"
_PROBLEM_TYPE = "https://iana.org/assignments/http-problem-types#quota-exceeded"
"""draft-ietf-httpapi-ratelimit-headers-11, 5.1; with its extension member ``violated-policies``."""
_PROBLEM, _JSON, _HTML = "application/problem+json", "application/json", "text/html"
_TEMPLATE = "ratelimit/429.html"
_LONGEST_ACCEPT = 500  # browsers send less than 200 characters; a longer list is not worth the time to weigh it


def denied(request: HttpRequest, decision: Decision) -> HttpResponse:
    """The 429 without the limit's headers, which the middleware adds.

    Browsers, that is whoever would rather have text/html than JSON, get the template ``ratelimit/429.html``; all others
    get problem details.
    """
    response = _page(decision) if _prefers_page(request) else problem(decision)
    return without_body(response) if request.method == "HEAD" else response


def problem(decision: Decision) -> HttpResponse:
    """The 429 as problem details (RFC 9457). ``retry_after`` is the integer of the header."""
    body = {
        "type": _PROBLEM_TYPE,
        "title": TITLE,
        "status": 429,
        "detail": detail(decision),
        "limit": decision.limit,
        "retry_after": retry_after(decision),
        "violated-policies": [decision.policy],
    }
    return _uncached(HttpResponse(json.dumps(body), status=429, content_type=_PROBLEM))


def without_body(response: HttpResponse) -> HttpResponse:
    """For HEAD: the length of what GET would bring, and nothing of it (RFC 9110, 9.3.2)."""
    response["Content-Length"] = str(len(response.content))
    response.content = b""
    return response


def detail(decision: Decision) -> str:
    """What happened and what to do, in two sentences."""
    seconds = retry_after(decision)
    wait = f"Try again in {seconds:,} second{'s' if seconds > 1 else ''}."
    if decision.backend == "none":
        return f"Requests cannot be counted at the moment, and uncounted ones are not answered. {wait}"
    requests = f"{decision.limit:,} request{'s' if decision.limit > 1 else ''}"
    return f"The limit of {requests} every {_window(decision)} is used up. {wait}"


def _prefers_page(request: HttpRequest) -> bool:
    if len(request.META.get("HTTP_ACCEPT", "")) > _LONGEST_ACCEPT:
        return False
    try:
        return request.get_preferred_type([_PROBLEM, _JSON, _HTML]) == _HTML
    except (LookupError, ValueError):  # Django meets a parameter in a charset that nobody knows
        return False


def _page(decision: Decision) -> HttpResponse:
    """Rendered without the request: no context processor shall ask a database for somebody who is refused."""
    context = {"title": TITLE, "detail": detail(decision), "retry_after": retry_after(decision)}
    try:
        page = render_to_string(_TEMPLATE, context)
    except TemplateDoesNotExist:  # a project that has no pages
        return problem(decision)
    return _uncached(HttpResponse(page, status=429))


def _uncached(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    return response


def _window(decision: Decision) -> str:
    seconds = decision.spec.window_seconds if decision.spec is not None else 0
    for length, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds and seconds % length == 0:
            count = seconds // length
            return unit if count == 1 else f"{count:,} {unit}s"
    return "second" if seconds == 1 else f"{seconds:,} seconds"
