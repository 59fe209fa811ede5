"""What the status of a reply means for the source that was asked."""

from __future__ import annotations

from http import HTTPStatus

from django.utils import timezone

from harvester.clients.http import Reply, retry_after_seconds
from harvester.errors import FetchError, FetchFailure

#: Of the statuses that blame the request, those that a later, equal request may not get again.
PASSING_CLIENT_ERRORS = frozenset(
    (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS),
)


def status_error(reply: Reply, *, permanent: bool, advice: str = "") -> FetchError:
    """The error for a reply whose status is not the hoped-for one; it carries the status and any Retry-After."""
    try:
        phrase = f" ({HTTPStatus(reply.status).phrase})"
    except ValueError:
        phrase = ""
    return FetchError(
        FetchFailure.HTTP_STATUS,
        f"The server answered {reply.status}{phrase}.{advice and ' '}{advice}",
        permanent=permanent,
        status=reply.status,
        retry_after_seconds=retry_after_seconds(reply, timezone.now()),
    )


def blames_the_request(status: int) -> bool:
    """Whether asking again unchanged cannot help."""
    return 400 <= status < 500 and status not in PASSING_CLIENT_ERRORS
