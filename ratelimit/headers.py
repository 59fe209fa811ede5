"""What a decision tells the client, as response headers.

``RateLimit`` and ``RateLimit-Policy`` are those of draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4;
``X-RateLimit-*`` have no specification and keep to what most services mean by them.
"""

from __future__ import annotations

import math

from django.http.response import HttpResponseBase

from ratelimit.bucket import SECOND, Decision, Limit

Headers = dict[str, str]


def limit_headers(decision: Decision, unix_now: float) -> Headers:
    """What every limited response carries; nothing for an unlimited tier.

    ``unix_now``: seconds since 1970, to which X-RateLimit-Reset (when the bucket is full again) refers.
    """
    limit = decision.spec
    if limit is None:
        return {}
    requests, remaining, policy = limit.requests, decision.remaining, decision.policy
    return {
        "X-RateLimit-Limit": f"{requests}",
        "X-RateLimit-Remaining": f"{remaining}",
        "X-RateLimit-Reset": f"{math.ceil(unix_now + decision.reset_after_seconds)}",
        "RateLimit-Policy": f'"{policy}";q={requests};w={limit.window_seconds}',
        "RateLimit": f'"{policy}";r={remaining};t={_effective_window_seconds(decision, limit, remaining)}',
    }


def stamp(response: HttpResponseBase, headers: Headers) -> None:
    """Set them, whatever was there before.

    They are ASCII without line breaks. To have Django make sure of that, one by one, would cost more than the decision.
    """
    kept = response.headers._store  # noqa: SLF001 - see above
    for name, value in headers.items():
        kept[name.lower()] = (name, value)


def denial_headers(decision: Decision, unix_now: float) -> Headers:
    """``limit_headers`` and Retry-After."""
    return {**limit_headers(decision, unix_now), "Retry-After": str(retry_after(decision))}


def retry_after(decision: Decision) -> int:
    """Whole seconds until the request would be admitted, rounded up, at least 1 (RFC 9110, 10.2.3)."""
    return max(1, math.ceil(decision.retry_after_seconds))


def _effective_window_seconds(decision: Decision, limit: Limit, remaining: int) -> int:
    """``t``: the seconds over which to spread the ``r`` requests that are left.

    The draft's section 4.1.2 calls it the time within which the client can use no more than r, and section 6 asks
    servers to cap r ÷ t: a bucket that is nearly full must not tell “99 requests, for 1 second”. So t is the time in
    which the limit's own rate grants r requests; with nothing left it is the time until a token is there, and on a
    denial it is Retry-After, which should not point to an earlier time than t does (section 6).
    """
    if not decision.allowed:
        return retry_after(decision)
    if remaining:
        return -(-remaining * limit.interval_us // SECOND)
    return -(-(decision.arrival_us - limit.capacity_us + limit.interval_us - decision.now_us) // SECOND)
