"""Families are written as prometheus_client writes them, letter by letter, whatever is in their labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    StateSetMetricFamily,
    SummaryMetricFamily,
    UnknownMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strictly_parsed
from prometheus_client.parser import text_string_to_metric_families as parsed
from prometheus_client.samples import Exemplar, Sample, Timestamp

from observability import page
from observability.negotiation import format_for
from observability.page import Format, written
from observability.registry import Page as Registry

ACCEPTS = [
    "text/plain;version=0.0.4",
    "text/plain;version=1.0.0;escaping=allow-utf-8",
    "text/plain;version=1.0.0;escaping=dots",
    "text/plain;version=1.0.0;escaping=values",
    "application/openmetrics-text",
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
    "application/openmetrics-text;version=1.0.0;escaping=dots",
]
TEXTS = st.text(st.one_of(st.sampled_from('\\"\n\r\t{},= #é\u2028\U0001f600'), st.characters(codec="utf-8")))
NUMBERS = st.one_of(
    st.floats(), st.integers(-(10**18), 10**18), st.sampled_from([0.0, -0.0, 1e6, 999_999.5, -1e6, 1e-7, 1e22, True])
)
NAMES = st.sampled_from(["a", "b_seconds", "a:b", "http.requests", "größe", "__meta", "x_created", "x_total", "x"])
LABELS = st.dictionaries(st.sampled_from(["method", "endpoint", "a.b", "le", "__name", "größe"]), TEXTS, max_size=3)


@st.composite
def families(draw: Callable[[Any], Any]) -> Family:
    kind = draw(st.sampled_from(["counter", "gauge", "histogram", "summary", "unknown", "info", "stateset"]))
    family = Family(draw(NAMES), draw(TEXTS), kind)
    suffixes = st.sampled_from(["", "_total", "_bucket", "_sum", "_count", "_created", "_gsum"])
    for _ in range(draw(st.integers(0, 4))):
        family.add_sample(
            family.name + draw(suffixes),
            draw(LABELS),
            draw(NUMBERS),
            timestamp=draw(st.sampled_from([None, None, None, 1_700_000_000.25])),
        )
    return family


def by_the_library(family: Family, form: Format) -> bytes:
    return form.encode(Registry([family])).removesuffix(form.end)


@settings(max_examples=1000, deadline=None)
@given(family=families(), accept=st.sampled_from(ACCEPTS))
def test_every_family_is_written_as_prometheus_client_writes_it(family: Family, accept: str) -> None:
    form = format_for(accept)
    expected = by_the_library(family, form)
    assert written(family, form) == expected
    assert written(family, form) == expected, "from what is remembered"


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize(
    "family",
    [
        CounterMetricFamily("c", "With a time of its making.", value=1, created=123.4),
        CounterMetricFamily("a:b", "Of a recording rule, with a colon.", value=1),
        GaugeMetricFamily("a:b", "Of a recording rule, with a colon.", value=1),
        CounterMetricFamily("c", "With an exemplar.", value=1, exemplar=Exemplar({"trace": "x"}, 1.0)),
        GaugeMetricFamily("g_bytes", "With a unit.", value=1, unit="bytes"),
        HistogramMetricFamily("h", "Spread.", buckets=[("0.1", 1), ("+Inf", 2)], sum_value=3),
        SummaryMetricFamily("s", "Summed up.", count_value=1, sum_value=2),
        InfoMetricFamily("i", "Facts.", value={"version": "1"}),
        StateSetMetricFamily("st", "States.", value={"on": True, "off": False}),
        GaugeHistogramMetricFamily("gh", "Spread now.", buckets=[("0.1", 1), ("+Inf", 2)], gsum_value=3),
        UnknownMetricFamily("u", 'Said in "quotes"\nand \\ more.', value=1),
    ],
    ids=lambda family: str(family.type),
)
def test_every_kind_of_family_is_written_as_prometheus_client_writes_it(family: Family, accept: str) -> None:
    form = format_for(accept)
    assert written(family, form) == by_the_library(family, form)


def test_a_time_of_its_own_is_written_too() -> None:
    family = GaugeMetricFamily("g", "Of an hour ago.")
    family.add_metric([], 1, timestamp=Timestamp(1_700_000_000, 5))  # type: ignore[arg-type]  # the stub is too narrow
    form = format_for("application/openmetrics-text")
    assert written(family, form) == by_the_library(family, form)


@settings(max_examples=300, deadline=None)
@given(value=TEXTS)
def test_what_is_in_a_label_comes_back_from_a_parser(value: str) -> None:
    family = CounterMetricFamily("c", "Hostile.", labels=["method"])
    family.add_metric([value], 7.0)
    plain = written(family, format_for("")).decode()
    strict = (written(family, format_for("application/openmetrics-text")) + b"# EOF\n").decode()
    expected = [Sample("c_total", {"method": value}, 7.0)]
    assert [sample for one in strictly_parsed(strict) for sample in one.samples] == expected
    if not set(value) & set("\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"):  # at which the plain parser alone splits lines
        assert [sample for one in parsed(plain) for sample in one.samples] == expected


def test_half_a_surrogate_costs_one_letter_and_not_the_family() -> None:
    family = CounterMetricFamily("c", "Half.", labels=["method"])
    family.add_metric(["G\ud800T"], 1.0)
    assert b'c_total{method="G?T"} 1.0\n' in written(family, format_for(""))


@pytest.mark.parametrize("bad", [Sample("g", {"method": 5}, 1.0), Sample("g", {}, "much"), Sample("g", {}, None)])  # type: ignore[dict-item, arg-type]  # which is what is tried
def test_what_is_no_label_or_no_number_is_an_error(bad: Sample) -> None:
    family = GaugeMetricFamily("g", "Bad.")
    family.samples.append(bad)
    with pytest.raises((AttributeError, TypeError, ValueError)):
        written(family, format_for(""))


def test_no_more_heads_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_MOST_HEADS", 10)
    page._heads.clear()
    for number in range(100):
        family = GaugeMetricFamily("g", "Many.", labels=["n"])
        family.add_metric([str(number)], 1.0)
        assert f'g{{n="{number}"}} 1.0'.encode() in written(family, format_for(""))
        assert len(page._heads) <= 10
