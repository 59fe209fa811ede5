"""Counts exceptions that nobody has caught: a request's, each once, whoever hears of it first."""

from __future__ import annotations

import sys
from contextlib import suppress
from time import perf_counter
from typing import Any

from django.core.signals import got_request_exception

from observability.catalogue import OTHER
from observability.metrics import errors, exceptions_unhandled

_COUNTED_AT = "_observability_counted_at"


def install() -> None:
    """Listen to Django's handlers. Again is the same as once."""
    got_request_exception.connect(_on_request_exception, dispatch_uid="observability.exceptions")


def count_unhandled(exception: BaseException, kind: str, since: float = 0.0) -> None:
    """Count an exception that leaves what was tracked, unless it was counted ``since`` already, and note that it was.

    ``kind`` is the error's type, such as ``request``. The class's name is told and never the message, which may hold
    anything.
    """
    if getattr(exception, _COUNTED_AT, -1.0) < since:
        tell_unhandled(exception, kind)
        with suppress(AttributeError, TypeError):  # a class of its own making may refuse
            setattr(exception, _COUNTED_AT, perf_counter())


def tell_unhandled(exception: BaseException | None, kind: str) -> None:
    """Count it, whether it was counted already or not."""
    exceptions_unhandled.at(OTHER if exception is None else type(exception).__name__).inc()
    errors.at(kind, "error").inc()


def was_counted(exception: BaseException | None) -> bool:
    """Whether ``count_unhandled`` has counted it; asked once, since the same object may be raised again."""
    if getattr(exception, _COUNTED_AT, None) is None:
        return False
    with suppress(AttributeError):
        delattr(exception, _COUNTED_AT)
    return True


def _on_request_exception(request: Any = None, **_: Any) -> None:
    """Sent again for the same request, by every layer around it, where the page for errors fails too."""
    if getattr(request, _COUNTED_AT, None) is None:
        with suppress(AttributeError):
            setattr(request, _COUNTED_AT, perf_counter())
        exception = sys.exc_info()[1]
        if not was_counted(exception):
            tell_unhandled(exception, "request")
