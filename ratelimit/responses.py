"""The 429: problem details for programs, a small page for browsers."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from ratelimit.bucket import Decision
from ratelimit.headers import retry_after

TITLE = "Too many requests"
_PROBLEM, _JSON, _HTML = "application/problem+json", "application/json", "text/html"
_TEMPLATE = "ratelimit/429.html"


def denied(request: HttpRequest, decision: Decision) -> HttpResponse:
    """The answer to a denied request, without the limit's headers, which the middleware adds.

    Browsers, that is whoever would rather have text/html than JSON, get ``ratelimit/429.html``; everybody else gets
    problem details (RFC 9457).
    """
    wants_page = request.get_preferred_type([_PROBLEM, _JSON, _HTML]) == _HTML
    response = _page(request, decision) if wants_page else _problem(decision)
    response["Cache-Control"] = "no-store"
    if request.method == "HEAD":  # the length of what GET would bring, and nothing of it (RFC 9110, 9.3.2)
        response["Content-Length"] = str(len(response.content))
        response.content = b""
    return response


def detail(decision: Decision) -> str:
    """What happened and what to do, in a sentence."""
    seconds = retry_after(decision)
    wait = f"Try again in {seconds:,} second{'s' if seconds > 1 else ''}."
    return f"The limit of {decision.limit:,} requests every {_window(decision)} is used up. {wait}"


def _problem(decision: Decision) -> HttpResponse:
    body = {
        "type": "about:blank",  # RFC 9457, 4.2.1: nothing to add to what the status says
        "title": TITLE,
        "status": 429,
        "detail": detail(decision),
        "limit": decision.limit,
        "retry_after": retry_after(decision),
    }
    return HttpResponse(json.dumps(body), status=429, content_type=_PROBLEM)


def _page(request: HttpRequest, decision: Decision) -> HttpResponse:
    context = {"title": TITLE, "detail": detail(decision), "retry_after": retry_after(decision)}
    return HttpResponse(render_to_string(_TEMPLATE, context, request), status=429)


def _window(decision: Decision) -> str:
    seconds = decision.spec.window_seconds if decision.spec is not None else 0
    for length, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds and seconds % length == 0:
            count = seconds // length
            return unit if count == 1 else f"{count:,} {unit}s"
    return "second" if seconds == 1 else f"{seconds:,} seconds"
