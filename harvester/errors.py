"""What can go wrong in the harvester, as types that carry the facts."""

from __future__ import annotations

from enum import StrEnum


class HarvesterError(Exception):
    """Base of every error this product raises on purpose."""


class SourceConfigError(HarvesterError):
    """A source's URL or query cannot work; ``field`` names the culprit, the message says what to do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class UnknownSourceError(HarvesterError):
    """No source has this name; ``known`` lists those that exist."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        listed = ", ".join(known) if known else "none yet: add one with `manage.py source add`"
        super().__init__(f"There is no source named “{name}”. Known sources: {listed}.")
        self.name = name
        self.known = known


class RunTakenAwayError(HarvesterError):
    """The run was ended by somebody else: cancelled, or given up because its worker seemed dead."""


class ClaimLostError(HarvesterError):
    """The source was removed, edited or taken over while it was being fetched."""

    def __init__(self) -> None:
        super().__init__("The source was removed, edited or taken over while it was being fetched.")


class IdempotencyConflictError(HarvesterError):
    """The same Idempotency-Key came with a different request."""

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for a different request. Send a new key, or the same request.")


class InvalidCursorError(HarvesterError):
    """A page cursor that we did not make, or made for another list, order or filter."""

    def __init__(self) -> None:
        super().__init__(
            "This cursor does not belong to this list. Take the one from “next” of the page before, with the same "
            "filters and sort; or leave it out to begin anew."
        )


class FetchFailure(StrEnum):
    """The closed list of reasons a fetch can fail for; pages, API and metrics show these words."""

    ADDRESS_REFUSED = "address_refused"
    NAME_NOT_RESOLVED = "name_not_resolved"
    CONNECTION_FAILED = "connection_failed"
    TLS_FAILED = "tls_failed"
    TIMED_OUT = "timed_out"
    TOO_LARGE = "too_large"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    HTTP_STATUS = "http_status"
    NOT_A_FEED = "not_a_feed"
    MALFORMED = "malformed"
    QUERY_REJECTED = "query_rejected"
    UNEXPECTED = "unexpected"


class FetchError(HarvesterError):
    """One fetch failed.

    ``permanent`` means that asking again unchanged cannot help (a bad query, a page that is no feed).
    ``status`` is the HTTP status where there was one; ``retry_after_seconds`` what the server asked for.
    """

    def __init__(
        self,
        reason: FetchFailure,
        detail: str,
        *,
        permanent: bool = False,
        status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.permanent = permanent
        self.status = status
        self.retry_after_seconds = retry_after_seconds
