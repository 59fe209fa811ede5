"""What a decision tells the client, as response headers.

``RateLimit`` and ``RateLimit-Policy`` are those of draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4;
``X-RateLimit-*`` have no specification and keep to what most services mean by them.

``t`` is the seconds over which to spread the ``r`` requests that are left. Section 4.1.2 calls it the time within which
the client can use no more than r, and section 6 asks servers to cap r ÷ t: a bucket that is nearly full must not say
“99 requests, for 1 second”. So it is the time in which the limit's own rate grants r requests; with nothing left the
time until a token is there; and on a denial Retry-After, which should not point to an earlier time than t (section 6).
"""

from __future__ import annotations

from math import ceil

from django.http.response import HttpResponseBase

from ratelimit.bucket import SECOND, Decision, Limit

Headers = dict[str, tuple[str, str]]
"""Name in lower case → name, value: as Django's responses keep them, so that stamping is one step."""


def limit_headers(decision: Decision, unix_now: float) -> Headers:
    """What every limited response carries; nothing for an unlimited tier.

    ``unix_now``: seconds since 1970, to which X-RateLimit-Reset (when the bucket is full again) refers.
    """
    allowed, limit, arrival_us, now_us, _, _, _, policy, _ = decision
    if limit is None:
        return {}
    # Decision's properties would tell the same, but every response comes along here and calls are not free.
    ahead_us = arrival_us - now_us if arrival_us > now_us else 0
    interval_us = limit.interval_us
    left_us = limit.capacity_us - ahead_us
    remaining = left_us // interval_us if left_us > 0 else 0
    window = -(-remaining * interval_us // SECOND) if allowed and remaining else _window_without_tokens(decision, limit)
    requests = limit.requests
    return {
        "x-ratelimit-limit": ("X-RateLimit-Limit", f"{requests}"),
        "x-ratelimit-remaining": ("X-RateLimit-Remaining", f"{remaining}"),
        "x-ratelimit-reset": ("X-RateLimit-Reset", f"{ceil(unix_now + ahead_us / SECOND)}"),
        "ratelimit-policy": ("RateLimit-Policy", f'"{policy}";q={requests};w={limit.window_seconds}'),
        "ratelimit": ("RateLimit", f'"{policy}";r={remaining};t={window}'),
    }


def denial_headers(decision: Decision, unix_now: float) -> Headers:
    """``limit_headers`` and Retry-After."""
    return limit_headers(decision, unix_now) | {"retry-after": ("Retry-After", str(retry_after(decision)))}


def stamp(response: HttpResponseBase, headers: Headers) -> None:
    """Set them, whatever was there before.

    They are ASCII without line breaks. Having Django make sure of that, one by one, would take longer than deciding.
    """
    response.headers._store.update(headers)  # noqa: SLF001 - see above


def retry_after(decision: Decision) -> int:
    """Whole seconds until the request would be admitted, rounded up, at least 1 (RFC 9110, 10.2.3)."""
    return max(1, ceil(decision.retry_after_seconds))


def _window_without_tokens(decision: Decision, limit: Limit) -> int:
    if not decision.allowed:
        return retry_after(decision)
    return -(-(decision.arrival_us - limit.capacity_us + limit.interval_us - decision.now_us) // SECOND)
