"""Dates are read as sources write them, and absurd ones are unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.sources.moments import moment

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
MORNING = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2024-05-06T07:08:09Z",
        "2024-05-06T09:08:09+02:00",
        "2024-05-06T09:08:09+0200",
        "2024-05-06 09:08:09 +0200",
        "2024-05-06T07:08:09",
        "2024-05-06 07:08:09 UTC",
        "20240506T070809Z",
        "2024-05-06t07:08:09z",
        "Mon, 06 May 2024 07:08:09 GMT",
        "Mon, 6 May 2024 07:08:09 +0000",
        "06 May 2024 07:08:09 Z",
        "Mon, 06 May 2024 03:08:09 EDT",
        "Mon, 06 May 2024 09:08:09 CEST",
        "Mon, 06 May 24 07:08:09 GMT",
        "\n  Mon, 06 May 2024\t07:08:09 GMT ",
    ],
)
def test_a_date_is_read_as_feeds_write_it(written: str) -> None:
    assert moment(written, now=NOW) == MORNING


def test_a_date_without_time_is_its_first_moment_in_utc() -> None:
    assert moment("2024-05-06", now=NOW) == datetime(2024, 5, 6, tzinfo=UTC)
    assert moment("2024-05", now=NOW) == datetime(2024, 5, 1, tzinfo=UTC)
    assert moment("2024", now=NOW) == datetime(2024, 1, 1, tzinfo=UTC)
    assert moment("06 May 2024", now=NOW) == datetime(2024, 5, 6, tzinfo=UTC)


def test_fractions_of_a_second_are_kept() -> None:
    assert moment("2024-05-06T07:08:09.25Z", now=NOW) == MORNING + timedelta(milliseconds=250)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "yesterday",
        "0000-00-00T00:00:00Z",
        "2024-13-40",
        "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "2024-06-03T12:00:01Z",
        "Mon, 99 May 2024 07:08:09 GMT",
        "Mon, 06 May 2024 77:08:09 GMT",
        "12345678901234567890",
        "1" * 1000,
    ],
)
def test_what_is_no_date_or_an_absurd_one_is_unknown(written: str) -> None:
    assert moment(written, now=NOW) is None


def test_a_date_may_be_ahead_by_a_time_zone() -> None:
    assert moment("2024-06-02T11:59:59Z", now=NOW) is not None


@given(st.one_of(st.text(), st.text("0123456789-:T+Z ,.MayGMT", max_size=40)))
def test_no_text_makes_it_fail(written: str) -> None:
    found = moment(written, now=NOW)
    assert found is None or found.utcoffset() == timedelta(0)
