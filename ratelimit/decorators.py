"""What a single view costs, and limits of its own beside the tier's.

    @rate_limit(cost=5)                                a request takes five tokens of the tier's limit
    @rate_limit(scope="search", limit="20/m")          and one of twenty searches a minute that each client has

The middleware has taken one token before the view was known; this takes the rest, in one further call, or gives the one
back and refuses. Without the middleware it asks for everything itself. So nothing is charged twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views import View

from ratelimit.bucket import Decision, Limit
from ratelimit.exemptions import exempt
from ratelimit.gate import Passage, admit, aidentify, identify, refuse, tell
from ratelimit.limiter import Scope, get_rate_limiter

__all__ = ["exempt", "rate_limit"]

AnyView = TypeVar("AnyView", bound=Callable[..., Any])

_scopes: dict[str, Limit] = {}


def rate_limit(*, cost: int = 1, scope: str = "", limit: str | Limit | None = None) -> Callable[[AnyView], AnyView]:
    """What a request to a view takes: ``cost`` tokens of its tier, and one of ``limit`` of the scope.

    For functions, coroutines, class-based views (the class, its ``dispatch`` or a handler, with or without
    ``method_decorator``) and django-ninja operations, where it stands below the router's decorator. ``limit`` is a
    Limit or a text such as ``20/m``; views with the same scope share one bucket for each client. An exempt request and
    an unlimited tier take nothing. A refusal is the 429 of RATELIMIT_DENIED_VIEW.

    Raises ValueError (InvalidLimitError for the limit) where it is written: for a cost below 1, a scope without a limit
    or a limit without a scope, and a scope that stands elsewhere with another limit.
    """
    if type(cost) is not int or cost < 1:
        raise ValueError(f"A cost is a whole number of tokens, at least 1, and not {cost!r}.")
    scopes = _scopes_of(scope, limit)

    def decorate(view: AnyView) -> AnyView:
        if inspect.isclass(view):
            view.dispatch = _limited(view.dispatch, cost, scopes)  # type: ignore[attr-defined]  # of a class-based view
            return view
        return cast("AnyView", _limited(view, cost, scopes))

    return decorate


def _scopes_of(scope: str, limit: str | Limit | None) -> tuple[Scope, ...]:
    if bool(scope) != bool(limit):
        raise ValueError('A scope and its limit come together: rate_limit(scope="search", limit="20/m").')
    if not limit:
        return ()
    parsed = Limit.parse(limit) if isinstance(limit, str) else limit
    if _scopes.setdefault(scope, parsed) != parsed:
        raise ValueError(f"The scope “{scope}” has the limit {_scopes[scope]} elsewhere; one scope has one limit.")
    return (Scope(scope, parsed),)


def _limited(view: Callable[..., Any], cost: int, scopes: Sequence[Scope]) -> Callable[..., Any]:
    async def limited_on_loop(*arguments: Any, **named: Any) -> Any:
        request = _request_of(arguments)
        refusal = await _apass_on(request, cost, scopes)
        if refusal is not None:
            return refusal
        answer = view(*arguments, **named)
        return _told(request, await answer if inspect.isawaitable(answer) else answer)

    def limited(*arguments: Any, **named: Any) -> Any:
        if _dispatches_async(view, arguments):
            return limited_on_loop(*arguments, **named)
        request = _request_of(arguments)
        refusal = _pass_on(request, cost, scopes)
        return refusal if refusal is not None else _told(request, view(*arguments, **named))

    if iscoroutinefunction(view):
        return _looking_like(view, markcoroutinefunction(limited_on_loop))
    return _looking_like(view, limited)


def _looking_like(view: Callable[..., Any], limited: Callable[..., Any]) -> Callable[..., Any]:
    """With its name, and a signature whose annotations are resolved: django-ninja would look for their names here."""
    wrapped = wraps(view)(limited)
    try:
        wrapped.__signature__ = inspect.signature(view, eval_str=True)  # type: ignore[attr-defined]  # PEP 362 reads it
    except (NameError, TypeError, ValueError):
        return wrapped  # a name that only type checkers know, or a callable without a signature: as wraps leaves it
    return wrapped


def _dispatches_async(view: Callable[..., Any], arguments: Sequence[Any]) -> bool:
    """Whether this is ``dispatch`` of a class-based view with async handlers: a plain method that returns a coroutine.

    ``method_decorator`` hands it over as a partial of the bound method.
    """
    owner = arguments[0] if arguments and isinstance(arguments[0], View) else None
    owner = owner or getattr(getattr(view, "func", None), "__self__", None)
    return isinstance(owner, View) and owner.view_is_async and view.__name__ == "dispatch"


def _request_of(arguments: Sequence[Any]) -> HttpRequest:
    """The first argument, or the second of a method."""
    for argument in arguments[:2]:
        if hasattr(argument, "META"):
            return cast("HttpRequest", argument)
    raise TypeError("rate_limit is for views: their first argument is the request.")


# --- passing on -------------------------------------------------------------------------------------------------------


def _pass_on(request: HttpRequest, cost: int, scopes: Sequence[Scope]) -> HttpResponseBase | None:
    """The refusal; None where the request may go on."""
    if not hasattr(request, "rate_limit"):  # no middleware
        identity = identify(request)
        return _entered(request, admit(request, identity, get_rate_limiter().check(identity, cost, scopes)))
    passage: Passage | None = request.rate_limit
    if passage is None:
        return None
    decision = get_rate_limiter().check_further(passage.identity, passage.charged, cost, scopes)
    return _passed(request, passage, decision, cost)


async def _apass_on(request: HttpRequest, cost: int, scopes: Sequence[Scope]) -> HttpResponseBase | None:
    if not hasattr(request, "rate_limit"):
        identity = await aidentify(request)
        return _entered(request, admit(request, identity, await get_rate_limiter().acheck(identity, cost, scopes)))
    passage: Passage | None = request.rate_limit
    if passage is None:
        return None
    decision = await get_rate_limiter().acheck_further(passage.identity, passage.charged, cost, scopes)
    return _passed(request, passage, decision, cost)


def _entered(request: HttpRequest, passage: Passage) -> HttpResponseBase | None:
    return None if passage.decision.allowed else refuse(request, passage.decision)


def _passed(request: HttpRequest, passage: Passage, decision: Decision, cost: int) -> HttpResponseBase | None:
    passage.decision = decision
    if not decision.allowed:
        return refuse(request, decision)
    passage.charged = passage.charged._replace(cost=passage.charged.cost + cost - 1)
    return None


def _told(request: HttpRequest, answer: Awaitable[Any] | Any) -> Any:
    """The view's answer with the limit's headers; the middleware, where there is one, writes the same."""
    passage: Passage | None = getattr(request, "rate_limit", None)
    if passage is not None:
        tell(answer, passage.decision)
    return answer
