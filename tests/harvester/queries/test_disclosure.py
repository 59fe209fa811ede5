"""What of a source is told to whom."""

from __future__ import annotations

import pytest

from harvester.errors import FetchFailure
from harvester.models import Source
from harvester.queries.disclosure import (
    FAILURE_WORDS,
    failure_in_words,
    shown_failure_detail,
    shown_messages,
    shown_url,
)

INSIDE = "localhost is not on the public internet (127.0.0.1)"


def failing(reason: str = FetchFailure.ADDRESS_REFUSED) -> Source:
    return Source(consecutive_failures=1, failure_reason=reason, failure_detail=INSIDE)


def test_every_reason_of_the_closed_list_has_words() -> None:
    assert set(FAILURE_WORDS) == set(FetchFailure)


def test_the_detail_is_for_staff_and_the_reason_for_everybody() -> None:
    assert shown_failure_detail(failing(), is_staff=True) == INSIDE
    assert shown_failure_detail(failing(), is_staff=False) == "its address is not public, so it is not called"
    assert failure_in_words(failing("a reason of a later version")) == FAILURE_WORDS[FetchFailure.UNEXPECTED]
    assert shown_failure_detail(Source(), is_staff=False) == ""


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://blog.example/feed.xml?token=secret&x=1#part", "https://blog.example/feed.xml"),
        ("https://anna:secret@blog.example:8443/feed", "https://blog.example:8443/feed"),
        ("https://blog.example", "https://blog.example"),
        ("https://[secret", ""),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_what_may_be_a_secret(url: str, public: str) -> None:
    assert shown_url(Source(url=url), is_staff=False) == public
    assert shown_url(Source(url=url), is_staff=True) == url


def test_the_messages_of_a_failed_fetch_are_for_staff() -> None:
    failed, fetched = {"outcome": "failed", "messages": [INSIDE]}, {"outcome": "fetched", "messages": ["It is empty."]}
    assert shown_messages(failed, is_staff=False) == []
    assert shown_messages(failed, is_staff=True) == [INSIDE]
    assert shown_messages(fetched, is_staff=False) == ["It is empty."]
