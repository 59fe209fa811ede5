"""Answers a probe's request: what is asked, who asks, and in which form the answer goes out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse, QueryDict

from health import probes
from health.access import may_see_details
from health.body import as_json, in_one_line
from health.errors import UnknownComponentError, UnknownMethodError, UnknownPathError
from health.page import Page, as_page
from health.status import HealthCheckResponse, HealthStatus

logger = logging.getLogger(__name__)

FAILED = "failed"
"""The reason of an answer where even asking went wrong."""

_PATHS = ("live", "ready", "ready/<component>", "startup")
_METHODS = ("GET", "HEAD")
_JSON, _HTML = "application/json", "text/html"
_LONGEST_ACCEPT = 500  # browsers send less than 200 characters; a longer list is not worth the time to weigh it


@dataclass(frozen=True, slots=True)
class Question:
    """``kind`` is ``live``, ``ready``, ``startup``, or empty for a person who wants to see everything."""

    kind: str
    component: str = ""
    exclude: frozenset[str] = frozenset()


def answer(request: HttpRequest, path: str) -> HttpResponse:
    """The answer at ``path``, which is what follows HEALTH_PATH and a slash. Never raises."""
    try:
        question = _understand(request, path)
        return _tell(request, _ask(question))
    except Exception as error:  # noqa: BLE001 - a 500 would be Django's page, with all that it tells
        return _tell_of(request, error)


async def aanswer(request: HttpRequest, path: str) -> HttpResponse:
    """As ``answer``, on an event loop, which it never leaves."""
    try:
        question = _understand(request, path)
        return _tell(request, await _aask(question))
    except Exception as error:  # noqa: BLE001 - as above
        return _tell_of(request, error)


def view(request: HttpRequest, path: str, component: str = "") -> HttpResponse:
    """``answer`` for ``health.urls``."""
    return answer(request, f"{path}/{component}" if component else path)


# --- what is asked ----------------------------------------------------------------------------------------------------


def _understand(request: HttpRequest, path: str) -> Question:
    kind, _, component = path.removesuffix("/").partition("/")
    if kind not in ("", "live", "ready", "startup") or (component and kind != "ready"):
        raise UnknownPathError(path)
    if request.method not in _METHODS:
        raise UnknownMethodError(request.method or "")
    if kind in ("", "ready"):
        return Question(kind, component, _excluded(request))
    return Question(kind)


def _ask(question: Question) -> HealthCheckResponse:
    match question.kind:
        case "live":
            return probes.check_liveness()
        case "ready":
            return probes.check_readiness(question.exclude, question.component)
        case "startup":
            return probes.check_startup()
    return probes.check_everything(question.exclude)


async def _aask(question: Question) -> HealthCheckResponse:
    match question.kind:
        case "live":
            return probes.check_liveness()
        case "ready":
            return await probes.acheck_readiness(question.exclude, question.component)
        case "startup":
            return await probes.acheck_startup()
    return await probes.acheck_everything(question.exclude)


def _excluded(request: HttpRequest) -> frozenset[str]:
    return frozenset(name.strip() for names in _query(request).getlist("exclude") for name in names.split(","))


def _query(request: HttpRequest) -> QueryDict:
    try:
        return request.GET
    except SuspiciousOperation:  # more fields than DATA_UPLOAD_MAX_NUMBER_FIELDS
        return QueryDict()


# --- what is told -----------------------------------------------------------------------------------------------------


def _tell(request: HttpRequest, found: HealthCheckResponse) -> HttpResponse:
    page = _page(request, found) if _prefers_page(request) else None
    if page is not None:
        response = _sent(request, page.html, 200 if found.is_passing else 503, _HTML)
        response["Content-Security-Policy"] = page.policy
        response["Referrer-Policy"] = "no-referrer"
    else:
        details = "verbose" in _query(request) and may_see_details(request)
        response = _sent(request, as_json(found, details=details), 200 if found.is_passing else 503)
    response["Vary"] = "Accept"
    return response


def _prefers_page(request: HttpRequest) -> bool:
    accept = request.META.get("HTTP_ACCEPT", "")
    if "text/html" not in accept.lower() or len(accept) > _LONGEST_ACCEPT:
        return False
    try:
        return request.get_preferred_type([_JSON, _HTML]) == _HTML
    except (LookupError, ValueError):  # Django meets a parameter in a charset that nobody knows
        return False


def _page(request: HttpRequest, found: HealthCheckResponse) -> Page | None:
    """None where it cannot be made: what was found is told all the same."""
    try:
        return as_page(found, details=may_see_details(request), is_renewing="refresh" in _query(request))
    except Exception as error:  # noqa: BLE001 - as for every answer
        logger.error("The health page could not be made (%s).", type(error).__name__)  # noqa: TRY400 - as below
        return None


def _tell_of(request: HttpRequest, error: Exception) -> HttpResponse:
    match error:
        case UnknownPathError():
            return _sent(request, in_one_line({"error": "unknown path", "paths": _PATHS}), 404)
        case UnknownComponentError():
            return _sent(request, in_one_line({"error": "unknown component", "components": error.known}), 404)
        case UnknownMethodError():
            response = _sent(request, in_one_line({"error": "unknown method", "methods": _METHODS}), 405)
            response["Allow"] = ", ".join(_METHODS)
            return response
    logger.error("A probe could not be answered (%s).", type(error).__name__)  # its text may hold a password
    return _sent(request, in_one_line({"status": HealthStatus.UNHEALTHY, "reason": FAILED, "components": []}), 503)


def _sent(request: HttpRequest, body: str, status: int, content_type: str = _JSON) -> HttpResponse:
    content = body.encode()
    response = HttpResponse(
        b"" if request.method == "HEAD" else content,  # RFC 9110, 9.3.2: all but the content
        status=status,
        content_type=f"{_HTML}; charset=utf-8" if content_type == _HTML else content_type,
        headers={
            "Cache-Control": "no-store",
            "Content-Length": str(len(content)),
            "X-Content-Type-Options": "nosniff",
        },
    )
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        # Django would log each as an error, and mail it to ADMINS: the engine has told of the change, once
        response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 - it has no public name
    return response
