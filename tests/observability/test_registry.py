"""The page's families: in the catalogue's order, with its help, of today's shape, and once each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import prometheus_client
import pytest
from prometheus_client.core import Metric as Family

from observability import metrics
from observability.catalogue import catalogue
from observability.registry import in_order, read_counted, read_registered
from observability.storage import storage


def family(name: str, kind: str, *samples: tuple[str, dict[str, str], float]) -> Family:
    made = Family(name, "Of a test.", kind)
    for sample in samples:
        made.add_sample(*sample)
    return made


def test_families_come_in_the_order_of_their_declaration_and_others_by_name() -> None:
    metrics.http_requests.at("GET", "a/", 200).inc()
    others = [family(name, "gauge", (name, {}, 1)) for name in ("zebra", "ant")]
    names = [each.name for each in in_order(others, read_counted().families.values())]
    declared = [metric.name.removesuffix("_total") for metric in catalogue()]
    assert [name for name in names if name in declared] == [name for name in declared if name in names]
    assert names[-2:] == ["ant", "zebra"]


def test_of_two_families_of_one_name_there_is_one() -> None:
    first, second = family("ant", "gauge", ("ant", {}, 1)), family("ant", "gauge", ("ant", {}, 2))
    assert in_order([first], [second]) == [first]


def test_a_family_without_a_sample_is_left_out() -> None:
    assert in_order([family("ant", "gauge")]) == []


def test_series_of_another_shape_than_todays_are_left_out() -> None:
    """Files outlive deployments."""
    old = family(
        "http_requests",
        "counter",
        ("http_requests_total", {"method": "GET", "endpoint": "a/", "status": "200"}, 3),
        ("http_requests_total", {"method": "GET", "view": "a"}, 2),
    )
    (kept,) = in_order([old])
    assert [sample.value for sample in kept.samples] == [3]
    assert kept.documentation == metrics.http_requests.metric.help


def test_buckets_of_former_bounds_are_left_out_and_the_others_stay_cumulative() -> None:
    labels = {"method": "GET", "endpoint": "a/"}
    name = "http_request_duration_seconds"
    buckets = [("0.005", 1), ("0.007", 2), ("0.01", 3), ("+Inf", 4)]
    old = family(
        name,
        "histogram",
        *((f"{name}_bucket", {**labels, "le": bound}, value) for bound, value in buckets),
        (f"{name}_count", labels, 4),
        (f"{name}_sum", labels, 1.0),
    )
    (kept,) = in_order([old])
    assert [sample.labels.get("le") for sample in kept.samples] == ["0.005", "0.01", "+Inf", None, None]
    assert [sample.value for sample in kept.samples] == [1, 3, 4, 4, 1.0]


@pytest.fixture
def foreign() -> Iterator[prometheus_client.Counter]:
    counter = prometheus_client.Counter("of_a_library_total", "Of a library.")
    yield counter
    prometheus_client.REGISTRY.unregister(counter)


def test_what_others_have_registered_is_there_but_what_tells_of_one_process_alone(foreign: Any) -> None:
    foreign.inc(3)
    found = {each.name: each for each in read_registered()}
    assert found["of_a_library"].samples[0].value == 3
    assert not {"process_cpu_seconds", "python_info", "python_gc_objects_collected"} & found.keys()


def test_a_process_alone_reads_its_own_numbers() -> None:
    assert not storage.is_shared
    series = metrics.http_requests.at("GET", "read/", 200)
    series.inc(5)
    samples = read_counted().families["http_requests"].samples
    assert [sample.value for sample in samples if sample.labels["endpoint"] == "read/"] == [series.value()]
