"""What a single view costs, and limits of its own beside the tier's.

    @rate_limit(cost=5)                                a request takes five tokens of the tier's limit
    @rate_limit(scope="search", limit="20/m")          and one of twenty searches a minute that each client has

The middleware has taken one token before the view was known; this takes the rest, in one further call, or gives back
what the request has paid and refuses. Without the middleware it asks for everything itself. Nothing is charged twice.
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
from ratelimit.exemptions import exempt, is_exempt
from ratelimit.gate import Passage, admit, aidentify, identify, pass_freely, refuse, tell
from ratelimit.identity import Identity
from ratelimit.limiter import TIER_POLICY, Scope, get_rate_limiter

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
    made = Scope(scope, Limit.parse(limit) if isinstance(limit, str) else limit)
    if _scopes.setdefault(scope, made.limit) != made.limit:
        raise ValueError(f"The scope “{scope}” has the limit {_scopes[scope]} elsewhere; one scope has one limit.")
    return (made,)


def _limited(view: Callable[..., Any], cost: int, scopes: tuple[Scope, ...]) -> Callable[..., Any]:
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
    except Exception:  # noqa: BLE001 - annotations are any code, and names that only type checkers know
        return wrapped  # as wraps leaves it
    return wrapped


def _dispatches_async(view: Callable[..., Any], arguments: Sequence[Any]) -> bool:
    """Whether this is a method of a class-based view with async handlers: a plain one that returns a coroutine.

    ``method_decorator`` hands it over as a partial of the bound method, perhaps under other decorators.
    """
    owner = arguments[0] if arguments and isinstance(arguments[0], View) else None
    inner: Any = view
    while owner is None and inner is not None:
        bound_to = getattr(inner, "__self__", None)
        owner = bound_to if isinstance(bound_to, View) else None
        inner = getattr(inner, "func", None) or getattr(inner, "__wrapped__", None)
    return owner is not None and owner.view_is_async


def _request_of(arguments: Sequence[Any]) -> HttpRequest:
    """The first argument, or the second of a method."""
    for argument in arguments[:2]:
        if hasattr(argument, "META"):
            return cast("HttpRequest", argument)
    raise TypeError("rate_limit is for views: their first argument is the request.")


# --- passing on -------------------------------------------------------------------------------------------------------


def _pass_on(request: HttpRequest, cost: int, scopes: tuple[Scope, ...]) -> HttpResponseBase | None:
    """The refusal; None where the request may go on."""
    if _is_free(request):
        return None
    passage = _passage_of(request)
    if passage is None or passage.charged is None:
        identity = identify(request) if passage is None else passage.identity
        return _entered(request, passage, identity, get_rate_limiter().check(identity, cost, scopes), scopes)
    first, scopes = _begin(passage, scopes)
    decision = get_rate_limiter().check_further(passage.identity, first, cost, scopes, passage.scopes)
    return _passed(request, passage, first, decision, cost, scopes)


async def _apass_on(request: HttpRequest, cost: int, scopes: tuple[Scope, ...]) -> HttpResponseBase | None:
    if _is_free(request):
        return None
    passage = _passage_of(request)
    if passage is None or passage.charged is None:
        identity = await aidentify(request) if passage is None else passage.identity
        decision = await get_rate_limiter().acheck(identity, cost, scopes)
        return _entered(request, passage, identity, decision, scopes)
    first, scopes = _begin(passage, scopes)
    decision = await get_rate_limiter().acheck_further(passage.identity, first, cost, scopes, passage.scopes)
    return _passed(request, passage, first, decision, cost, scopes)


def _is_free(request: HttpRequest) -> bool:
    """Whether the request is exempt.

    A preflight that comes as far as a view with a limit has been answered by nobody in front, and is a request as any.
    """
    if hasattr(request, "rate_limit"):
        return request.rate_limit is None and request.method != "OPTIONS"
    if is_exempt(request) and request.method != "OPTIONS":
        pass_freely(request)
        return True
    return False


def _passage_of(request: HttpRequest) -> Passage | None:
    passage: Passage | None = getattr(request, "rate_limit", None)
    return passage


def _begin(passage: Passage, scopes: tuple[Scope, ...]) -> tuple[Decision, tuple[Scope, ...]]:
    """What the request has paid, which nobody else who asks meanwhile may give back too; and what is new to it."""
    first, passage.charged = passage.charged, None
    return cast("Decision", first), tuple(scope for scope in scopes if scope not in passage.scopes)


def _entered(
    request: HttpRequest,
    passage: Passage | None,
    identity: Identity,
    decision: Decision,
    scopes: tuple[Scope, ...],
) -> HttpResponseBase | None:
    """Everything was asked for at once: without the middleware, or after a refusal that gave everything back."""
    admit(request, identity, decision, scopes, has_middleware=passage is not None and passage.has_middleware)
    return None if decision.allowed else refuse(request, decision)


def _passed(
    request: HttpRequest,
    passage: Passage,
    first: Decision,
    decision: Decision,
    cost: int,
    scopes: tuple[Scope, ...],
) -> HttpResponseBase | None:
    if not decision.allowed:
        passage.decision, passage.scopes = decision, ()
        return refuse(request, decision)
    if decision is first:  # nothing more had to be asked for
        passage.charged = first
        return None
    was_taken = decision.backend == first.backend and not decision.shadow
    passage.charged = first._replace(cost=first.cost + cost - 1) if was_taken else first
    if was_taken:
        passage.scopes += scopes
    asked = {TIER_POLICY, *(scope.name for scope in scopes)} if cost > 1 else {scope.name for scope in scopes}
    told = passage.decision
    if told.policy in asked or told.spec is None or decision.remaining < told.remaining:
        passage.decision = decision
    return None


def _told(request: HttpRequest, answer: Awaitable[Any] | Any) -> Any:
    """The view's answer, with the limit's headers where no middleware writes them."""
    passage = _passage_of(request)
    if passage is not None and not passage.has_middleware:
        tell(answer, passage.decision)
    return answer
