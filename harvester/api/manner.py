"""The order in which every request is judged, and how every answer leaves."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from types import MethodType
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt
from ninja.operation import Operation

from harvester.api.auth import require_csrf_token, require_good_key, require_staff
from harvester.api.bodies import MEDIA_TYPE, prepare_body
from harvester.api.conditional import with_validator
from harvester.api.parameters import refuse_unknown
from harvester.api.problems import MEDIA_TYPE as PROBLEM_MEDIA_TYPE
from harvester.api.problems import METHOD_NOT_ALLOWED, NOT_ACCEPTABLE, ProblemError, not_found, problem_response

View = Callable[..., HttpResponse]

_REFUSAL = re.compile(r"q\s*=\s*0(\.0*)?")
_OUR_TYPES = frozenset({MEDIA_TYPE, PROBLEM_MEDIA_TYPE, "application/*", "*/*"})


def in_our_manner(view: View) -> View:
    """Around a whole address: JSON only (406), HEAD like GET, 405 as a problem, ETag and cache headers."""

    @csrf_exempt  # session writers prove themselves in ``judged``, where the refusal is a problem and no page
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not _accepts_json(request):
            return with_validator(request, problem_response(ProblemError(NOT_ACCEPTABLE)))
        asked = request.method
        if asked == "HEAD":
            request.method = "GET"
        try:
            response = view(request, *args, **kwargs)
        except Http404:
            response = not_found(request)
        request.method = asked
        if isinstance(response, HttpResponseNotAllowed):
            response = _not_allowed(response)
        return with_validator(request, response)

    return answer


def judged(run: MethodType) -> View:
    """Around one operation: who asks (401, 403), what is sent (411, 415), what is unknown (422); then ninja's own."""
    operation = run.__self__
    if not isinstance(operation, Operation):
        raise TypeError("judged goes around the run method of an operation, innermost")
    known = _query_names(operation)
    writes = "POST" in operation.methods

    @wraps(run)
    def judge(request: HttpRequest, **path_values: Any) -> HttpResponse:
        try:
            require_good_key(request)
            if writes:
                require_staff(request)
                prepare_body(request)
                require_csrf_token(request)
            refuse_unknown(request, known)
        except ProblemError as problem:
            return problem_response(problem)
        response: HttpResponse = run(request, **path_values)
        return response

    return judge


def _accepts_json(request: HttpRequest) -> bool:
    """By media type alone: Django's own ``accepts()`` refuses who names a charset, and breaks on an unknown one."""
    header = request.headers.get("Accept", "")
    return not header.strip() or any(_names_our_type(choice) for choice in header.split(","))


def _names_our_type(choice: str) -> bool:
    media_type, *parameters = (part.strip().lower() for part in choice.split(";"))
    return media_type in _OUR_TYPES and not any(_REFUSAL.fullmatch(parameter) for parameter in parameters)


def _not_allowed(response: HttpResponse) -> HttpResponse:
    allowed = set(response["Allow"].split(", "))
    if "GET" in allowed:
        allowed.add("HEAD")
    return problem_response(ProblemError(METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(sorted(allowed))}))


def _query_names(operation: Operation) -> frozenset[str]:
    return frozenset(
        name
        for model in operation.models
        if model.__ninja_param_source__ == "query"
        for name in model.__ninja_flatten_map__
    )
