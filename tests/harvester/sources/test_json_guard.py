"""JSON is weighed before it is read."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.errors import FetchError, FetchFailure
from harvester.sources import json_guard
from harvester.sources.json_guard import parse_json

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_VALUES)
def test_what_is_json_is_read_as_such(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value


def test_what_stands_in_a_string_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_guard, "MAX_TOKENS", 3)
    assert parse_json('["[,:{ \\" ,,,"]')
    with pytest.raises(FetchError) as caught:
        parse_json("[1,2,3,4]")
    assert caught.value.reason == FetchFailure.TOO_LARGE


@pytest.mark.parametrize("piece", ['"', '\\"', "\\", "{", '{"a":'])
def test_hostile_json_takes_time_in_proportion_to_its_length(piece: str) -> None:
    started = time.perf_counter()
    with pytest.raises(FetchError):
        parse_json('"' + piece * 1_000_000)
    assert time.perf_counter() - started < 10  # what is quadratic takes hours
