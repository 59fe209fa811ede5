"""A file of numbers is what prometheus_client's is, survives its owner, and is never trusted blindly."""

from __future__ import annotations

import os
import struct
import threading
import time
from pathlib import Path
from threading import RLock

import pytest
from hypothesis import given
from hypothesis import strategies as some
from prometheus_client.mmap_dict import MmapedDict

from observability.cells import Entry, key_of
from observability.errors import CorruptFileError
from observability.multiprocess.files import FileCells, read_file


def opened(path: Path) -> FileCells:
    return FileCells(path, RLock())


def key(number: int) -> bytes:
    return key_of("requests", "requests_total", {"endpoint": f"e{number}"})


def test_a_number_is_where_it_was_when_the_file_is_opened_again(tmp_path: Path) -> None:
    first = opened(tmp_path / "counter_0.db")
    first.view[first.index_of(key(1))] += 2.5
    second = opened(tmp_path / "counter_0.db")
    second.view[second.index_of(key(1))] += 1
    assert read_file(tmp_path / "counter_0.db") == [Entry(key(1), 3.5, 0.0)]


def test_a_file_grows_and_loses_nothing(tmp_path: Path) -> None:
    cells = opened(tmp_path / "counter_0.db")
    for number in range(5_000):
        place = cells.index_of(key(number))
        cells.view[place] += number
    entries = read_file(tmp_path / "counter_0.db")
    assert [entry.value for entry in entries] == list(range(5_000))
    assert [entry.key for entry in entries] == [key(number) for number in range(5_000)]


def test_a_view_from_before_the_growth_still_writes_into_the_file(tmp_path: Path) -> None:
    cells = opened(tmp_path / "counter_0.db")
    place, view = cells.index_of(key(0)), cells.view
    for number in range(5_000):
        cells.index_of(key(number))
    view[place] += 7
    assert cells.view[place] == 7
    assert read_file(tmp_path / "counter_0.db")[0].value == 7


@given(
    some.lists(
        some.tuples(some.text(max_size=40), some.floats(allow_nan=False), some.floats(0, 2e9)),
        max_size=20,
        unique_by=lambda each: each[0],
    )
)
def test_prometheus_client_reads_what_we_write_and_we_what_it_writes(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[tuple[str, float, float]]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    ours = opened(folder / "gauge_max_0.db")
    theirs = MmapedDict(str(folder / "gauge_max_1.db"))
    for text, value, set_at in numbers:
        name = key_of("a", "a", {"text": text})
        place = ours.index_of(name)
        ours.view[place], ours.view[place + 1] = value, set_at
        theirs.write_value(name.decode(), value, set_at)
    theirs.close()
    expected = [Entry(key_of("a", "a", {"text": text}), value, set_at) for text, value, set_at in numbers]
    assert read_file(folder / "gauge_max_0.db") == expected
    assert read_file(folder / "gauge_max_1.db") == expected
    read = MmapedDict.read_all_values_from_file(str(folder / "gauge_max_0.db"))
    assert [(name.encode(), value, set_at) for name, value, set_at, _ in read] == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01",
        b"\x00" * 7,
        struct.pack("ii", 1_000_000, 0),
        struct.pack("ii", -5, 0),
        struct.pack("iii", 12, 0, 0),
        struct.pack("iii", 12, 0, 2**31 - 1),
        struct.pack("iii", 40, 0, 4) + b"abcd" * 7,
        b"\xff" * 4096,
    ],
)
def test_a_file_of_another_shape_is_told_and_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "counter_0.db"
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="counter_0"):
        read_file(path)
    cells = opened(path)
    cells.view[cells.index_of(key(1))] += 1
    assert read_file(path) == [Entry(key(1), 1.0, 0.0)]


@pytest.mark.parametrize("rubbish", [b'["a" ', b"[" * 30, b'["a", "a", {"x": [1]}, ""]', b"[1, 2]", b"\xff\xfe[]"])
def test_a_file_with_a_key_that_is_none_is_begun_anew(tmp_path: Path, rubbish: bytes) -> None:
    path = tmp_path / "counter_0.db"
    key_length = len(key(1))
    cells = opened(path)
    cells.view[cells.index_of(key(1))] += 1
    content = bytearray(path.read_bytes())
    content[12 : 12 + key_length] = (b"[" + rubbish[1:-1].ljust(key_length - 2) + b"]")[:key_length]
    path.write_bytes(content)
    again = opened(path)
    again.view[again.index_of(key(2))] += 1
    assert read_file(path) == [Entry(key(2), 1.0, 0.0)]


def test_a_file_of_an_odd_length_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "counter_0.db"
    path.write_bytes(b"\x00" * 70_001)
    cells = opened(path)
    cells.view[cells.index_of(key(1))] += 1
    assert read_file(path) == [Entry(key(1), 1.0, 0.0)]


def test_a_file_that_has_taken_the_name_is_not_written(tmp_path: Path) -> None:
    """Somebody has removed the folder, and another process has made it anew."""
    path = tmp_path / "counter_0.db"
    cells = opened(path)
    path.unlink()
    others = opened(path)
    others.view[others.index_of(key(0))] += 5
    with pytest.raises(OSError, match="another file"):
        list(map(cells.index_of, map(key, range(5_000))))
    assert read_file(path) == [Entry(key(0), 5.0, 0.0)]


def test_nobody_ever_sees_a_file_without_a_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers come at any time, also while a process starts, on a slow disk."""
    seen, over = [], threading.Event()
    reserve = os.posix_fallocate

    def slowly(*arguments: int) -> None:
        time.sleep(0.01)
        reserve(*arguments)

    monkeypatch.setattr(os, "posix_fallocate", slowly)

    def look() -> None:
        while not over.is_set():
            for path in tmp_path.glob("*.db"):
                try:
                    read_file(path)
                except FileNotFoundError:
                    pass
                except CorruptFileError as error:
                    seen.append(str(error))

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(30):
        opened(tmp_path / f"counter_{number}.db")
        (tmp_path / f"counter_{number}.db").unlink()
    over.set()
    reader.join(30)
    assert seen == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_only_made_has_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "counter_0.db"
    path.write_bytes(b"\x00" * 65_536)
    assert read_file(path) == []


def test_wherever_a_file_was_cut_off_it_is_told_or_whole(tmp_path: Path) -> None:
    path = tmp_path / "counter_0.db"
    cells = opened(path)
    for number in range(3):
        cells.view[cells.index_of(key(number))] += 1
    whole = path.read_bytes()[: struct.unpack_from("i", path.read_bytes())[0]]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptFileError):
            read_file(path)


@given(some.binary(max_size=300))
def test_no_rubbish_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, rubbish: bytes) -> None:
    path = tmp_path_factory.mktemp("files") / "counter_0.db"
    path.write_bytes(struct.pack("ii", 8 + len(rubbish), 0) + rubbish)
    try:
        read_file(path)
    except CorruptFileError:
        opened(path)


def test_a_full_disk_is_an_error_and_not_a_death(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = opened(tmp_path / "counter_0.db")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        list(map(cells.index_of, map(key, range(5_000))))
    cells.view[cells.index_of(key(1))] += 1  # what is there goes on
    assert read_file(tmp_path / "counter_0.db")[1].value == 1
