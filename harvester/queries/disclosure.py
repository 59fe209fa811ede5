"""What of a source is told to whom: staff sees all, anybody else nothing that maps our network or holds a token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from harvester.errors import FetchFailure
from harvester.models import Source

#: Every reason a fetch can fail for, as an operator would say it.
FAILURE_WORDS: dict[str, str] = {
    FetchFailure.ADDRESS_REFUSED: "its address is not public, so it is not called",
    FetchFailure.NAME_NOT_RESOLVED: "its host name is unknown",
    FetchFailure.CONNECTION_FAILED: "no connection could be made",
    FetchFailure.TLS_FAILED: "the secure connection failed",
    FetchFailure.TIMED_OUT: "it took too long to answer",
    FetchFailure.TOO_LARGE: "the answer was too large",
    FetchFailure.TOO_MANY_REDIRECTS: "it redirects too often",
    FetchFailure.HTTP_STATUS: "it answered with an error",
    FetchFailure.NOT_A_FEED: "what it answered is no feed",
    FetchFailure.MALFORMED: "its answer could not be read",
    FetchFailure.QUERY_REJECTED: "it does not accept the query",
    FetchFailure.UNEXPECTED: "something unexpected happened; the log has the details",
}


def failure_in_words(source: Source) -> str:
    """The reason from the closed list; empty where the last fetch went well."""
    if not source.consecutive_failures:
        return ""
    return FAILURE_WORDS.get(source.failure_reason, FAILURE_WORDS[FetchFailure.UNEXPECTED])


def shown_failure_detail(source: Source, *, is_staff: bool) -> str:
    """What went wrong in one sentence; to others than staff no more than the reason.

    Whoever owns a feed chooses where it redirects to, and the detail would tell them what our resolver answers there.
    """
    return source.failure_detail if is_staff else failure_in_words(source)


def shown_url(source: Source, *, is_staff: bool) -> str:
    """The address; to others than staff without user name, query and fragment, which are where tokens stand."""
    if is_staff:
        return source.url
    try:
        parts = urlsplit(source.url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def shown_messages(report: Mapping[str, Any], *, is_staff: bool) -> list[str]:
    """The messages of one source's report in a run; to others than staff none where the fetch itself failed."""
    if not is_staff and report.get("outcome") == "failed":
        return []
    return list(report.get("messages", ()))
