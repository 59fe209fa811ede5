"""The page has what there is, in the format that is wanted, and loses no more than what is broken."""

from __future__ import annotations

import gzip
import logging
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strictly_parsed
from prometheus_client.parser import text_string_to_metric_families as parsed

from observability import exposition, metrics
from observability.cells import key_of
from observability.exposition import get_metrics, render
from observability.negotiation import accepts_gzip, format_for
from tests.observability.processes import run

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
PLAIN_1 = "text/plain; version=1.0.0; charset=utf-8; escaping="
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROMETHEUS_WITH_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6," + PROMETHEUS_2
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/*", PLAIN),
        ("text/plain", PLAIN),
        ("text/plain;version=0.0.4", PLAIN),
        ("text/plain;version=1.0.0", PLAIN_1 + "underscores"),
        ("application/openmetrics-text", OPEN),
        ("Application/OpenMetrics-Text; Version=1.0.0", OPEN + "; escaping=underscores"),
        ("application/openmetrics-text;version=0.0.1", PLAIN),
        ("application/openmetrics-text;version=2.0.0", PLAIN),
        ("application/openmetrics-text;version=klingon", PLAIN),
        ("application/openmetrics-text;version=1.0.0\r\nX: y", PLAIN),
        ("application/openmetrics-text;version=1.0.0;escaping=klingon", OPEN + "; escaping=underscores"),
        ("application/openmetrics-text;q=0", PLAIN),
        ("application/openmetrics-text;q=0.1,text/plain;q=0.9", PLAIN),
        ("application/openmetrics-text;q=0.9,text/plain;q=0.1", OPEN),
        ("text/plain;q=0.1,application/openmetrics-text;q=0.9", OPEN),
        (PROMETHEUS_2, OPEN + "; escaping=underscores"),
        (PROMETHEUS_3, OPEN + "; escaping=allow-utf-8"),
        (PROMETHEUS_WITH_PROTOBUF, OPEN + "; escaping=underscores"),
        (BROWSER, PLAIN),
        ("image/png", PLAIN),
        ("text/plain;version*=klingon''x", PLAIN),
        (",;,=;q=,q=1;;", PLAIN),
    ],
)
def test_the_format_is_the_one_that_is_wanted_most(accept: str, content_type: str) -> None:
    page = render(accept)
    assert page.content_type == content_type
    text = page.body.decode()
    if "openmetrics" in content_type:
        assert text.endswith("\n# EOF\n")
        assert list(strictly_parsed(text))
    else:
        assert "# EOF" not in text
        assert list(parsed(text))


@settings(max_examples=1000, deadline=None)
@given(
    header=st.one_of(
        st.text(),
        st.text(st.sampled_from("aptexlingm/*;=,. q01\"'\\")),
        st.lists(st.sampled_from([*PROMETHEUS_3.split(","), "q=nan", ";q=inf", "*", '"', "gzip"])).map(",".join),
    )
)
def test_whatever_is_wanted_there_is_an_answer(header: str) -> None:
    assert format_for(header).content_type.startswith(
        ("text/plain; version=", "application/openmetrics-text; version=")
    )
    assert accepts_gzip(header) in (True, False)


@pytest.mark.parametrize(
    "header", ["gzip", "GZip", "deflate, gzip", "gzip;q=0.1", "br;q=1.0, gzip;q=0.8, *;q=0.1", "*", "*;q=0.5, identity"]
)
def test_gzip_is_sent_where_it_is_admitted(header: str) -> None:
    plain, packed = render(""), render("", (), header)
    assert packed.content_encoding == "gzip"
    assert len(packed.body) * 3 < len(plain.body)
    assert gzip.decompress(packed.body).startswith(plain.body[:100])


@pytest.mark.parametrize(
    "header", ["", "identity", "br", "gzip;q=0", "gzip;q=0.0, *", "*;q=0", "gzipped", "x;gzip", "gzip;q=nan"]
)
def test_gzip_is_not_sent_where_it_is_not(header: str) -> None:
    assert render("", (), header).content_encoding == ""


def test_a_short_page_is_sent_as_it_is() -> None:
    assert render("", ["metrics_scrape_samples"], "gzip").content_encoding == ""


# --- what is on it ----------------------------------------------------------------------------------------------------


def test_what_was_counted_is_there() -> None:
    metrics.errors.at("of this test", "warning").inc(3)
    text = get_metrics().decode()
    assert 'errors_total{severity="warning",type="of this test"} 3.0\n' in text
    assert "# TYPE errors_total counter\n" in text


def test_the_page_is_in_the_order_of_the_catalogue() -> None:
    metrics.http_requests.at("GET", "/", "200").inc()
    text = get_metrics().decode()
    places = [
        text.index(f"# TYPE {name} ") for name in ("http_requests_total", "errors_total", "metrics_scrape_samples")
    ]
    assert places == sorted(places)


def test_no_family_is_there_twice() -> None:
    lines = [line for line in get_metrics().decode().splitlines() if line.startswith("# TYPE")]
    assert len(lines) == len({line.split()[2] for line in lines})


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["errors"], {"errors_total"}),
        (["errors_total"], {"errors_total"}),
        (["metrics_scrape_duration_seconds_count"], {"metrics_scrape_duration_seconds_count"}),
        (["metrics_scrape_size_bytes", "errors"], {"metrics_scrape_size_bytes", "errors_total"}),
        (["no_such"], set()),
        (["", "no_such"], set()),
    ],
)
def test_only_what_is_named_is_there(names: list[str], found: set[str]) -> None:
    metrics.errors.at("of this test", "warning").inc()
    get_metrics()
    text = render("", names).body.decode()
    assert {sample.name for family in parsed(text) for sample in family.samples} == found


def test_a_named_histogram_is_there_whole() -> None:
    get_metrics()
    text = render("application/openmetrics-text", ["metrics_scrape_duration_seconds"]).body.decode()
    (family,) = strictly_parsed(text)
    assert {sample.name.rpartition("_")[2] for sample in family.samples} == {"bucket", "count", "sum"}


def test_a_named_sample_takes_nothing_from_the_next_page() -> None:
    before = [line.split(" ")[0] for line in get_metrics().decode().splitlines()]
    render("", ["metrics_scrape_duration_seconds_count"])
    assert [line.split(" ")[0] for line in get_metrics().decode().splitlines()] == before


def test_each_page_tells_of_the_one_before(moved: Callable[[], Any]) -> None:
    with moved() as moves:
        first = render("").body
    assert moves.of(metrics.scrape_duration) == {(): 1}
    second = render("").body.decode()
    samples = sum(not line.startswith("#") for line in first.decode().splitlines())
    assert f"\nmetrics_scrape_size_bytes {float(len(first))}\n" in second
    assert f"\nmetrics_scrape_samples {float(samples)}\n" in second


def test_processes_python_and_this_very_process_are_told_of_once_only() -> None:
    assert get_metrics().decode().count("# TYPE python_info ") <= 1


# --- what is broken ---------------------------------------------------------------------------------------------------


class _Registered:
    def __init__(self, collect: Callable[[], Iterator[Family]]) -> None:
        self.collect = collect


@pytest.fixture
def register() -> Iterator[Callable[[Callable[[], Any]], None]]:
    """A collector of somebody else's, until the test ends."""
    registered: list[Any] = []

    def add(collect: Callable[[], Any]) -> None:
        collector: Any = _Registered(lambda: iter(()))
        REGISTRY.register(collector)
        collector.collect = collect
        registered.append(collector)

    exposition._told.clear()
    yield add
    for collector in registered:
        REGISTRY.unregister(collector)


def _good() -> Iterator[Family]:
    yield GaugeMetricFamily("of_others", "Good.", value=1)


def _raising() -> Iterator[Family]:
    yield GaugeMetricFamily("of_others_before", "Good.", value=1)
    raise ConnectionError("the server is away")


def _unwritable() -> Iterator[Family]:
    family = GaugeMetricFamily("of_others_bad", "Bad.", labels=["a"])
    family.add_metric([5], 1)  # type: ignore[list-item]  # which is what is wrong with it
    yield family
    yield GaugeMetricFamily("of_others_after", "Good.", value=1)


def test_what_others_have_registered_is_there(register: Callable[[Any], None]) -> None:
    register(_good)
    assert "\nof_others 1.0\n" in get_metrics().decode()


@pytest.mark.parametrize("accept", ["", PROMETHEUS_3])
def test_a_family_that_cannot_be_written_is_left_out_counted_and_told_once(
    register: Callable[[Any], None], moved: Callable[[], Any], caplog: pytest.LogCaptureFixture, accept: str
) -> None:
    register(_unwritable)
    register(_good)
    with moved() as moves, caplog.at_level(logging.ERROR):
        text = render(accept).body.decode()
        render(accept)
    assert "of_others_bad" not in text
    assert "\nof_others 1.0\n" in text
    assert "\nof_others_after 1.0\n" in text
    assert moves.of(metrics.errors)["exposition", "error"] == 2
    (record,) = [record for record in caplog.records if record.name == "observability.exposition"]
    assert record.getMessage() == "A family of metrics cannot be written."
    assert record.metric == "of_others_bad"  # type: ignore[attr-defined]  # from ``extra``


@pytest.mark.parametrize("error", [RuntimeError("x"), MemoryError(), RecursionError(), KeyError("\ud800")])
def test_a_collector_that_fails_takes_nobody_with_it(
    register: Callable[[Any], None], moved: Callable[[], Any], error: Exception
) -> None:
    def failing() -> Iterator[Family]:
        yield GaugeMetricFamily("of_others_half", "Half.", value=1)
        raise error

    register(failing)
    register(_good)
    with moved() as moves:
        text = get_metrics().decode()
    assert "of_others_half" not in text
    assert "\nof_others 1.0\n" in text
    assert moves.of(metrics.errors)["collector", "error"] >= 1  # others have collectors, too


@pytest.mark.parametrize("nonsense", [None, 5, ["text"], [None]])
def test_a_collector_that_returns_nonsense_costs_the_registered_ones_at_most(
    register: Callable[[Any], None], nonsense: Any
) -> None:
    register(lambda: nonsense)
    assert "\nmetrics_skipped_files 0.0\n" in get_metrics().decode()


@pytest.mark.parametrize("source", ["read_counted", "read_registered", "read_collected"])
def test_a_source_that_fails_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, register: Callable[[Any], None], moved: Callable[[], Any], source: str
) -> None:
    def failing() -> Any:
        raise OSError("away")

    register(_good)
    monkeypatch.setattr(exposition, source, failing)
    with moved() as moves:
        text = get_metrics().decode()
    assert ("\nof_others 1.0\n" in text) == (source != "read_registered")
    assert ("# TYPE errors_total" in text) == (source != "read_counted")
    assert moves.of(metrics.errors)["exposition", "error"] == 1


def test_of_two_families_with_one_name_the_first_stays(register: Callable[[Any], None]) -> None:
    register(lambda: iter([CounterMetricFamily("errors", "Not ours.", value=99)]))
    text = get_metrics().decode()
    assert text.count("# TYPE errors_total counter") == 1
    assert "errors_total 99.0" not in text


# --- files that are broken --------------------------------------------------------------------------------------------


def _entry(key: bytes, value: float = 1.0) -> bytes:
    padded = key + b" " * (8 - (len(key) + 4) % 8)
    return struct.pack("i", len(key)) + padded + struct.pack("dd", value, 0.0)


def _file(*entries: bytes, used: int | None = None) -> bytes:
    body = b"".join(entries)
    return struct.pack("ii", 8 + len(body) if used is None else used, 0) + body + bytes(256)


GOOD = _entry(key_of("others", "others_total", {"a": "b"}, "Good."), 5.0)
BROKEN = {
    "zero length": b"",
    "a torn header": b"\x08\x00\x00",
    "rubbish": os.urandom(4096),
    "text": b"this is not a file of metrics, and whoever wrote it will not be found" * 9,
    "half of an entry": _file(GOOD, GOOD[: len(GOOD) // 2]),
    "more than there is": _file(GOOD, used=100_000),
    "two gigabytes": _file(GOOD, used=0x7FFFFFFF),
    "less than nothing": _file(GOOD, used=-5),
    "a key without end": _file(struct.pack("i", 0x7FFFFFF0) + GOOD[4:]),
    "a key of less than nothing": _file(struct.pack("i", -8) + GOOD[4:]),
    "a key that is no list": _file(_entry(b"{}")),
    "a key that is half a list": _file(_entry(b'["a", ]')),
    "a key of brackets": _file(_entry(b"[" * 20_000 + b"]" * 20_000)),
    "a key of another shape": _file(_entry(b'["a"]')),
    "a key of other types": _file(_entry(b"[1, 2, 3, 4]")),
    "a key that is not UTF-8": _file(_entry(b'["\xff", "\xff", {}, ""]')),
    "a key without a name": _file(_entry(b'["", "", {}, ""]')),
    "a key of half a surrogate": _file(_entry(b'["\\ud800", "x", {}, ""]')),
    "a bound that is none": _file(_entry(b'["h", "h_bucket", {"le": "much"}, ""]')),
    "a bound beyond all numbers": _file(_entry(b'["h", "h_bucket", {"le": 1' + b"0" * 400 + b'}, ""]')),
    "a bound that is missing": _file(_entry(b'["h", "h_bucket", {}, ""]')),
}
COUNT_AND_READ = """
from observability.exposition import get_metrics
metrics.errors.at("here", "warning").inc(2)
page = get_metrics().decode()
again = get_metrics().decode()
assert 'errors_total{severity="warning",type="here"} 2.0' in page, page
assert 'errors_total{severity="warning",type="here"} 2.0' in again, again
print([line.split()[1] for line in again.splitlines() if line.startswith("metrics_skipped_files ")][0])
"""


@pytest.mark.parametrize("kind", ["counter", "histogram"])
def test_broken_files_never_fail_the_page_and_are_counted(tmp_path: Path, kind: str) -> None:
    for number, content in enumerate(BROKEN.values(), start=100):
        (tmp_path / f"{kind}_{number}.db").write_bytes(content)
    (tmp_path / f"{kind}_99.db").mkdir()
    (tmp_path / f"{kind}_98.db").symlink_to(tmp_path / f"{kind}_98.db")
    assert run(COUNT_AND_READ, tmp_path, OBSERVABILITY_NAMESPACE="") == f"{float(len(BROKEN) + 2)}"


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_each_of_them_is_counted(tmp_path: Path, name: str) -> None:
    from observability.multiprocess.reading import Parser, read_folder

    (tmp_path / "counter_0.db").write_bytes(_file(GOOD))
    kind = "histogram" if "bound" in name else "counter"
    (tmp_path / f"{kind}_1.db").write_bytes(BROKEN[name])
    parser = Parser()
    for _ in range(2):
        reading = read_folder(tmp_path, parser)
        assert reading.skipped_files == 1
        assert [sample.value for sample in reading.families["others"].samples] == [5.0]


def test_a_file_of_an_unknown_kind_is_counted(tmp_path: Path) -> None:
    (tmp_path / "rubbish_1.db").write_bytes(_file(GOOD))
    assert run(COUNT_AND_READ, tmp_path) == "1.0"


def test_other_files_in_the_folder_are_none_of_our_business(tmp_path: Path) -> None:
    for name in ("notes.txt", "counter.db", "counter_x.db", "_1.db", "counter_1.db.bak", ".db"):
        (tmp_path / name).write_bytes(b"x")
    assert run(COUNT_AND_READ, tmp_path) == "0.0"


def test_a_file_that_changes_its_shape_is_read_anew(tmp_path: Path) -> None:
    from observability.multiprocess.reading import Parser, read_folder

    def value() -> list[float]:
        return [sample.value for family in read_folder(tmp_path, parser).families.values() for sample in family.samples]

    parser, file = Parser(), tmp_path / "counter_0.db"
    other, longer = key_of("more", "more_total", {}), key_of("others", "others_total", {"a": "c"})
    for content, expected in (
        (_file(GOOD), [5.0]),
        (_file(_entry(key_of("others", "others_total", {"a": "b"}, "Good."), 6.0)), [6.0]),
        (_file(GOOD, _entry(other, 7.0)), [5.0, 7.0]),
        (_file(_entry(longer, 8.0)), [8.0]),
        (b"", []),
        (_file(GOOD), [5.0]),
    ):
        file.write_bytes(content)
        assert value() == expected
    file.unlink()
    assert value() == []
    assert not parser._layouts


def test_another_series_of_a_name_as_long_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    from observability.multiprocess.reading import Parser, read_folder

    parser = Parser()
    for letter in "xyx":
        key = key_of("others", "others_total", {"a": letter})
        (tmp_path / "counter_0.db").write_bytes(_file(_entry(key, 5.0)))
        (sample,) = read_folder(tmp_path, parser).families["others"].samples
        assert (sample.labels, sample.value) == ({"a": letter}, 5.0)


def test_no_more_places_are_remembered_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from observability.multiprocess.reading import Parser, read_folder

    monkeypatch.setattr(Parser, "MOST_PLACES", 2)
    parser = Parser()
    for number in range(5):
        (tmp_path / f"counter_{number}.db").write_bytes(_file(GOOD))
    for _ in range(2):
        assert [sample.value for sample in read_folder(tmp_path, parser).families["others"].samples] == [25.0]
        assert len(parser._layouts) == 2


def test_the_page_is_read_while_processes_write_and_die(tmp_path: Path) -> None:
    """Whatever moment a reader meets, it meets no half of anything, and no count goes down."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER], env=os.environ | {"FOLDER": str(tmp_path), "SLOT": str(number)}
        )
        for number in range(2)
    ]
    from observability.multiprocess.reading import Parser, read_folder

    parser, last, seen = Parser(), 0.0, 0
    try:
        while any(writer.poll() is None for writer in writers):
            reading = read_folder(tmp_path, parser)
            total = sum(sample.value for family in reading.families.values() for sample in family.samples)
            assert total >= last
            last, seen = total, seen + 1
    finally:
        for writer in writers:
            writer.kill()
            writer.wait(10)
    assert seen > 5
    reading = read_folder(tmp_path, parser)
    assert sum(sample.value for family in reading.families.values() for sample in family.samples) == 2 * 20_000


_WRITER = """
import os
from pathlib import Path
from threading import RLock
from observability.cells import key_of
from observability.multiprocess.files import FileCells
cells = FileCells(Path(os.environ["FOLDER"]) / f"counter_{os.environ['SLOT']}.db", RLock())
for number in range(20_000):
    index = cells.index_of(key_of("others", "others_total", {"a": str(number % 2_000)}))
    cells.view[index] += 1
"""
