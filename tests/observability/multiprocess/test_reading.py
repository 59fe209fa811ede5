"""What the page says of several processes is what prometheus_client says of the same files, and more carefully."""

from __future__ import annotations

import time
from pathlib import Path
from threading import RLock
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.utils import floatToGoString

from observability.cells import key_of
from observability.multiprocess.files import FileCells
from observability.multiprocess.reading import Parser, Reading, read_folder
from observability.multiprocess.slots import take_slot

BOUNDS = (0.1, 1.0, float("inf"))


class Process:
    """Writes as one process would, under a slot that it holds or has held."""

    def __init__(self, folder: Path, *, lives: bool = True) -> None:
        self._slot = take_slot(folder)
        self._files: dict[str, FileCells] = {}
        self._lives = lives

    def write(self, kind: str, key: bytes, value: float, set_at: float = 0.0) -> None:
        path = self._slot.folder / f"{kind}_{self._slot.number}.db"
        cells = self._files.setdefault(kind, FileCells(path, RLock())) if kind not in self._files else self._files[kind]
        place = cells.index_of(key)
        cells.view[place], cells.view[place + 1] = value, set_at

    def die(self) -> None:
        self._slot.leave()


def samples(reading: Reading) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in reading.families.values()
        for sample in family.samples
    }


def by_prometheus_client(folder: Path) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    collector: Any = MultiProcessCollector(CollectorRegistry(), path=str(folder))
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


numbers = some.integers(0, 10**9)  # whose sums do not depend on the order
series = some.sampled_from(["a", "b", 'c"\n\\'])
written = some.one_of(
    some.tuples(some.just("counter"), series, numbers),
    some.tuples(some.sampled_from(["gauge_sum", "gauge_livesum", "gauge_max", "gauge_livemin"]), series, numbers),
    some.tuples(some.just("histogram"), series, some.lists(some.integers(0, 9), min_size=3, max_size=3)),
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(some.lists(some.lists(written, max_size=8), min_size=1, max_size=4))
def test_living_processes_are_merged_as_prometheus_client_does(
    tmp_path_factory: pytest.TempPathFactory, processes: list[list[tuple[str, str, Any]]]
) -> None:
    folder = tmp_path_factory.mktemp("metrics")
    living = [Process(folder) for _ in processes]
    for process, writes in zip(living, processes, strict=True):
        for kind, label, value in writes:
            _write(process, kind, {"x": label}, value)
    assert samples(read_folder(folder, Parser())) == by_prometheus_client(folder)
    for process in living:
        process.die()


def _write(process: Process, kind: str, labels: dict[str, str], value: Any) -> None:
    if kind == "histogram":
        for bound, count in zip(BOUNDS, value, strict=True):
            name = {**labels, "le": floatToGoString(bound)}
            process.write(kind, key_of("h", "h_bucket", name), count)
        process.write(kind, key_of("h", "h_sum", labels), sum(value))
    elif kind == "counter":
        process.write(kind, key_of("c", "c_total", labels), value)
    else:
        process.write(kind, key_of(kind, kind, labels), value, set_at=1.0)


def test_the_most_recent_of_all_is_taken(tmp_path: Path) -> None:
    old, new = Process(tmp_path), Process(tmp_path)
    new.write("gauge_mostrecent", key_of("g", "g", {}), 2, set_at=200)
    old.write("gauge_mostrecent", key_of("g", "g", {}), 1, set_at=100)
    assert samples(read_folder(tmp_path, Parser())) == {("g", frozenset()): 2}


def test_the_counters_of_the_dead_count_and_what_they_said_of_themselves_does_not(tmp_path: Path) -> None:
    dead, alive = Process(tmp_path), Process(tmp_path)
    for process in (dead, alive):
        process.write("counter", key_of("c", "c_total", {}), 3)
        process.write("gauge_livesum", key_of("g", "g", {}), 3, set_at=1)
        process.write("gauge_sum", key_of("s", "s", {}), 3, set_at=1)
    dead.die()
    assert samples(read_folder(tmp_path, Parser())) == {
        ("c_total", frozenset()): 6,
        ("g", frozenset()): 3,
        ("s", frozenset()): 6,
    }


def test_a_least_value_is_of_those_that_have_set_it(tmp_path: Path) -> None:
    silent, telling = Process(tmp_path), Process(tmp_path)
    silent.write("gauge_livemin", key_of("up", "up", {}), 0, set_at=0)
    telling.write("gauge_livemin", key_of("up", "up", {}), 1, set_at=1)
    assert samples(read_folder(tmp_path, Parser())) == {("up", frozenset()): 1}
    silent.write("gauge_livemin", key_of("up", "up", {}), 0, set_at=2)
    assert samples(read_folder(tmp_path, Parser())) == {("up", frozenset()): 0}


def test_one_series_with_two_help_texts_is_one_series(tmp_path: Path) -> None:
    """Of two versions of a library, in one folder."""
    old, new = Process(tmp_path), Process(tmp_path)
    for process, help_text in ((old, "As it was."), (new, "As it is.")):
        process.write("counter", key_of("c", "c_total", {"x": "a"}, help_text), 5)
        for bound, count in zip(BOUNDS, (1, 2, 3), strict=True):
            process.write("histogram", key_of("h", "h_bucket", {"le": floatToGoString(bound)}, help_text), count)
        process.write("histogram", key_of("h", "h_sum", {}, help_text), 7)
    reading = read_folder(tmp_path, Parser())
    assert samples(reading) == by_prometheus_client(tmp_path)
    assert len(reading.families["c"].samples) == 1
    assert len(reading.families["h"].samples) == 5


def test_what_was_of_another_kind_once_is_left_out(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.write("gauge_livesum", key_of("stock", "stock", {}), 2, set_at=1)
    process.write("gauge_max", key_of("stock", "stock", {}), 7, set_at=1)
    assert samples(read_folder(tmp_path, Parser(), {"stock": "gauge_max"})) == {("stock", frozenset()): 7}
    assert len(read_folder(tmp_path, Parser()).families["stock"].samples) == 1


@pytest.mark.parametrize("mode", ["all", "liveall"])
def test_a_gauge_that_is_not_made_one_is_shown_for_each_slot(tmp_path: Path, mode: str) -> None:
    """prometheus_client's default."""
    dead, alive = Process(tmp_path), Process(tmp_path)
    for process, value in ((dead, 5), (alive, 6)):
        process.write(f"gauge_{mode}", key_of("queue", "queue", {}), value)
    dead.die()
    ours, theirs = samples(read_folder(tmp_path, Parser())), by_prometheus_client(tmp_path)
    if mode == "liveall":
        del theirs["queue", frozenset({("pid", "0")})]  # to it, slot 0 is a process that may live
    assert ours == theirs


def test_what_was_set_before_a_clock_was_put_right_is_not_the_most_recent(tmp_path: Path) -> None:
    ahead, right = Process(tmp_path), Process(tmp_path)
    ahead.write("gauge_mostrecent", key_of("g", "g", {}), 111, set_at=time.time() + 365 * 24 * 3600)
    right.write("gauge_mostrecent", key_of("g", "g", {}), 222, set_at=time.time())
    assert samples(read_folder(tmp_path, Parser())) == {("g", frozenset()): 222}


@pytest.mark.parametrize("content", [b"", b"\x01\x02", b"\xff" * 200, b"\x40\x00\x00\x00\x00\x00\x00\x00" + b"[]" * 28])
def test_a_file_that_cannot_be_read_is_skipped_and_counted(tmp_path: Path, content: bytes) -> None:
    process = Process(tmp_path)
    process.write("counter", key_of("c", "c_total", {}), 3)
    (tmp_path / "counter_9.db").write_bytes(content)
    (tmp_path / "README.db").write_text("no file of ours")
    (tmp_path / "counter_8.db").mkdir()
    reading = read_folder(tmp_path, Parser())
    assert samples(reading) == {("c_total", frozenset()): 3}
    assert reading.skipped_files == 2


def test_a_key_that_is_none_spoils_its_file_only(tmp_path: Path) -> None:
    good, bad = Process(tmp_path), Process(tmp_path)
    good.write("counter", key_of("c", "c_total", {}), 3)
    for number, key in enumerate((b"[1, 2, 3]", b'["a", "a", [], ""]', b'["h", "h_bucket", {}, ""]', b'["a"')):
        bad.write("counter", key + b"]" * (number == 3), 1)
    reading = read_folder(tmp_path, Parser())
    assert samples(reading) == {("c_total", frozenset()): 3}
    assert reading.skipped_files == 1


def test_what_a_parser_remembers_is_bounded() -> None:
    parser = Parser()
    for number in range(Parser.MOST + 10):
        parser.parse(key_of("c", "c_total", {"x": str(number)}))
    assert len(parser._parsed) <= Parser.MOST
