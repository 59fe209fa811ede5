"""Snapshots of several processes: one reads for all, and whoever is scraped shows the same."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.samples import Timestamp

from observability.collectors.fitness import fit
from observability.collectors.sharing import Board, Told
from tests.observability import processes
from tests.observability.collectors.shared_fakes import HERE, ROOM
from tests.observability.servers import LONG_SECONDS, until

TTL_SECONDS = 0.5
TIMEOUT_SECONDS = 0.4
SLACK_SECONDS = 1.0
"""What a busy machine may add to an age."""

READS = """
from django.conf import settings
settings.OBSERVABILITY_SNAPSHOT_SECONDS = float(os.environ["TEST_TTL"])
settings.OBSERVABILITY_COLLECT_TIMEOUT_SECONDS = float(os.environ["TEST_TIMEOUT"])
settings.OBSERVABILITY_COLLECTORS = (os.environ["TEST_COLLECTOR"],)
settings.OBSERVABILITY_DATABASES = settings.OBSERVABILITY_CACHES = ()
import json
from observability.collectors import read_collected
metrics.errors.at("collector", "warning").inc()

def read():
    began = time.monotonic()
    families = {family.name: family for family in read_collected()}
    took = time.monotonic() - began
    def value(name, **labels):
        found = families.get(name)
        return next((one.value for one in found.samples if one.labels == labels), None) if found else None
    return json.dumps([value("test_truth"), value("metrics_collector_success", collector="truth"),
        value("metrics_snapshot_age_seconds", collector="truth"), took])

def serve():
    for line in sys.stdin:
        if line.strip() == "fork":
            child = os.fork()
            if not child:
                sys.stdout.write(read() + "\\n")
                sys.stdout.flush()
                time.sleep(600)
            print(child, flush=True)
        else:
            print(read(), flush=True)
"""


class Page(NamedTuple):
    value: float | None
    success: float | None
    age: float | None
    took: float


class Reader:
    """A process that reads a page whenever it is told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def page(self) -> Page:
        return Page(*json.loads(self.say("page")))

    def settled(self) -> Page:
        """The first that has something to tell: the machine may be busy."""
        deadline = time.monotonic() + LONG_SECONDS
        while (page := self.page()).success is None:
            assert time.monotonic() < deadline
        return page

    def say(self, word: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.line()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


class Room:
    """Where the truth is, and the folder of the metrics."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path / "metrics"
        self.folder.mkdir()
        self.collector = f"{HERE}.Truth"
        self.readers: list[Reader] = []
        self.tell(1)

    def tell(self, truth: object) -> None:
        new = self.path / "truth.new"
        new.write_text(str(truth))
        new.rename(self.path / "truth")

    def runs(self) -> list[int]:
        path = self.path / "runs"
        return list(map(int, path.read_text().split())) if path.exists() else []

    def reader(self, ttl: float = TTL_SECONDS, timeout: float = TIMEOUT_SECONDS) -> Reader:
        more = {ROOM: str(self.path), "TEST_TTL": str(ttl), "TEST_TIMEOUT": str(timeout)}
        code = f"{READS}\nserve()\n"
        made = Reader(processes.start(code, self.folder, **more, TEST_COLLECTOR=self.collector))
        self.readers.append(made)
        return made

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        hang = self.path / "hang"
        hang.touch()
        try:
            yield
        finally:
            hang.unlink(missing_ok=True)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    for reader in made.readers:
        reader.kill()


# --- one for all ----------------------------------------------------------------------------------------------------


def test_scrapes_of_four_processes_never_go_backward(room: Room) -> None:
    readers = [room.reader() for _ in range(4)]
    last = readers[0].settled().value or 0.0
    for number in range(1, 121):
        room.tell(number)
        page = readers[(number * number + number // 3) % 4].page()
        assert page.value is not None
        assert page.success == 1
        assert page.age is not None
        assert page.age < TTL_SECONDS + SLACK_SECONDS
        assert page.value >= last
        last = page.value
        time.sleep(0.02)
    assert last > 60
    assert len(set(room.runs())) > 1


def test_a_refresh_is_made_once_for_all(room: Room) -> None:
    readers = [room.reader(ttl=600) for _ in range(4)]
    assert readers[0].settled().value == 1
    assert [reader.page().value for reader in readers for _ in range(3)] == [1.0] * 12
    assert len(room.runs()) == 1


def test_the_first_page_of_a_new_process_has_what_another_has_read(room: Room) -> None:
    room.reader(ttl=600).settled()
    with room.hanging():
        page = room.reader(ttl=600).page()
    assert (page.value, page.success) == (1, 1)
    assert page.age is not None
    assert len(room.runs()) == 1


def test_the_first_page_of_all_waits_for_what_takes_a_moment(room: Room) -> None:
    """One of ten tries will do, on a busy machine; a page that does not wait has no luck in any."""

    def first_value() -> float | None:
        reader, runs = room.reader(ttl=600), len(room.runs())
        for path in room.folder.glob("snapshot-*"):
            path.unlink()
        with room.hanging():
            assert reader.process.stdin is not None
            reader.process.stdin.write("page\n")
            reader.process.stdin.flush()
            while len(room.runs()) == runs:
                time.sleep(0.001)
            time.sleep(0.015)
        return Page(*json.loads(reader.line())).value

    assert any(first_value() == 1 for _ in range(10))


def test_who_is_seldom_scraped_shows_what_others_have_read_since(room: Room) -> None:
    seldom, often = room.reader(ttl=0.3), room.reader(ttl=0.3)
    assert seldom.settled().value == 1
    room.tell(2)
    until(lambda: often.page().value == 2)
    with room.hanging():
        assert seldom.page().value == 2


def test_what_each_process_has_for_itself_is_not_shared(room: Room) -> None:
    room.collector = f"{HERE}.OwnTruth"
    assert [room.reader(ttl=600).settled().value for _ in range(2)] == [1, 1]
    assert len(set(room.runs())) == 2
    assert not list(room.folder.glob("snapshot-*"))


# --- faults ---------------------------------------------------------------------------------------------------------


def test_a_failure_is_everybodys(room: Room) -> None:
    one, other = room.reader(ttl=0.3), room.reader(ttl=0.3)
    assert (one.settled().value, other.settled().value) == (1, 1)
    room.tell("fail")
    until(lambda: one.page().value is None)
    page = other.page()
    assert (page.value, page.success, page.age) == (None, 0, None)
    room.tell(3)
    until(lambda: other.page().value == 3)
    assert one.page()[:2] == (3, 1)


def test_a_hung_one_leaves_what_it_said_and_is_not_well_in_every_process(room: Room) -> None:
    readers = [room.reader(ttl=0.3) for _ in range(3)]
    assert [reader.settled().value for reader in readers] == [1, 1, 1]
    with room.hanging():
        time.sleep(0.4)
        readers[0].page()
        ages = []
        for reader in readers:
            until(lambda reader=reader: reader.page().success == 0)  # type: ignore[misc]  # mypy cannot infer it
            page = reader.page()
            assert page.value == 1
            ages.append(page.age or 0.0)
        assert min(ages) > TIMEOUT_SECONDS
        assert len(room.runs()) == 2
        newcomer = room.reader(ttl=0.3)
        assert newcomer.page()[:2] == (1, 0)
    for reader in readers:
        until(lambda reader=reader: reader.page().success == 1)  # type: ignore[misc]  # as above


def test_a_process_that_finds_a_hung_one_waits_once(room: Room) -> None:
    with room.hanging():
        reader, other = room.reader(timeout=60), room.reader(timeout=60)
        for one in (reader, other):
            pages = [one.page() for _ in range(9)]
            assert 0.09 < pages[0].took < 0.1 + SLACK_SECONDS
            assert sorted(page.took for page in pages[1:])[4] < 0.08
            assert {page.value for page in pages} == {None}
    assert len(room.runs()) == 1


def test_the_death_of_who_refreshes_leaves_the_way_free(room: Room) -> None:
    one, other = room.reader(timeout=60), room.reader(timeout=60)
    with room.hanging():
        one.page()
        assert other.page().value is None
        assert room.runs() == [one.process.pid]
        one.process.send_signal(signal.SIGKILL)
        one.process.wait()
    until(lambda: other.page().value == 1)
    assert room.runs() == [one.process.pid, other.process.pid]


def test_a_forked_child_does_not_hold_on_to_its_parents_refresh(room: Room) -> None:
    parent, other = room.reader(timeout=60), room.reader(timeout=60)
    with room.hanging():
        parent.page()
        lines = [parent.say("fork"), parent.line()]
        child = int(next(line for line in lines if line.strip().isdigit()))
        (of_child,) = (Page(*json.loads(line)) for line in lines if not line.strip().isdigit())
        assert of_child.value is None
        try:
            parent.process.send_signal(signal.SIGKILL)
            parent.process.wait()
            os.kill(child, 0)
            room.path.joinpath("hang").unlink()
            until(lambda: other.page().value == 1)
        finally:
            os.kill(child, signal.SIGKILL)
    assert len(room.runs()) == 2


@pytest.mark.parametrize("content", [b"", b'{"shape": 1, "beg', b"[]", b'{"shape": 2}', b"\xff\x00", b"[" * 9999])
def test_a_file_that_is_none_is_as_if_it_were_not_there(room: Room, content: bytes) -> None:
    one, other = room.reader(ttl=600), room.reader(ttl=600)
    assert one.settled().value == 1
    (file,) = room.folder.glob("snapshot-*.json")
    file.write_bytes(content)
    assert one.page().value == 1
    room.tell(2)
    assert other.settled()[:2] == (2, 1)
    assert one.page().value == 2


def test_what_comes_from_the_future_is_not_believed(room: Room) -> None:
    assert room.reader(ttl=600).settled().value == 1
    (file,) = room.folder.glob("snapshot-*.json")
    told = json.loads(file.read_bytes())
    file.write_text(json.dumps(told | {"began_at": told["began_at"] + 3600, "taken_at": told["taken_at"] + 3600}))
    room.tell(2)
    readers = [room.reader(ttl=600), room.reader(ttl=600)]
    assert [reader.settled().value for reader in readers] == [2, 2]
    assert len(room.runs()) == 2


def test_a_folder_where_nothing_can_be_written_leaves_each_process_its_own(room: Room) -> None:
    for name in ("json", "lock", "new"):
        (room.folder / f"snapshot-truth.{name}" / "full").mkdir(parents=True)  # root may write everywhere but here
    readers = [room.reader(ttl=0.3) for _ in range(2)]
    assert [reader.settled().value for reader in readers] == [1, 1]
    assert len(room.runs()) == 2
    room.tell(2)
    for reader in readers:
        until(lambda reader=reader: reader.page().value == 2)  # type: ignore[misc]  # mypy cannot infer it


def test_a_folder_that_is_missing_is_made(room: Room) -> None:
    reader, other = room.reader(ttl=600), room.reader(ttl=600)
    for path in room.folder.iterdir():
        path.unlink()
    room.folder.rmdir()
    assert [reader.settled().value, other.settled().value] == [1, 1]
    assert len(room.runs()) == 1


# --- files ----------------------------------------------------------------------------------------------------------


def told(*families: Any, began_at: float = 5.0) -> Told:
    return Told(began_at, 0.5, True, began_at, fit(families))


def families() -> list[Any]:
    gauge = GaugeMetricFamily("test_some_seconds", "Ü.", labels=["a"], unit="seconds")
    for label, number in (("x\n", math.inf), ("ü", -0.0), ("z", 1 / 3)):
        gauge.add_metric([label], number, Timestamp(5, 7))
    histogram = HistogramMetricFamily("test_histogram", "H.", buckets=[("1.0", 2), ("+Inf", 3)], sum_value=4)
    return [gauge, CounterMetricFamily("test_counter", "C.", value=7, created=3.5), histogram]


def test_what_is_told_is_what_is_read(tmp_path: Path) -> None:
    given = told(*families())
    Board(tmp_path, "rows").tell(given)
    read = Board(tmp_path, "rows").read()
    assert read is not None
    assert read == given
    assert [one.family.unit for one in read.families or ()] == ["seconds", "", ""]


def test_what_one_left_that_was_killed_is_in_nobodys_way(tmp_path: Path) -> None:
    board = Board(tmp_path, "rows")
    (tmp_path / "snapshot-rows.new").write_text("half of")
    board.tell(told())
    assert board.read() == told()
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot-rows.json"]


def test_a_file_is_read_once(tmp_path: Path) -> None:
    Board(tmp_path, "rows").tell(told(*families()))
    board = Board(tmp_path, "rows")
    first = board.read()
    assert first is not None
    assert board.read() is first
    Board(tmp_path, "rows").tell(told(began_at=6.0))
    second = board.read()
    assert second is not None
    assert second.began_at == 6


@pytest.mark.parametrize("name", ["a/b", "../../x", "a.b", "A", "ü", "a" * 100, "\ud800"])
def test_a_name_is_made_safe_and_stays_its_own(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    Board(folder, name).tell(told())
    Board(folder, "a").tell(told(began_at=6.0))
    read = Board(folder, name).read()
    assert read is not None
    assert read.began_at == 5
    assert len(list(folder.iterdir())) == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_one_has_the_claim_and_says_since_when(tmp_path: Path) -> None:
    board, other = Board(tmp_path, "rows"), Board(tmp_path, "rows")
    claim = board.claim()
    claim.begin(12.5)
    with pytest.raises(BlockingIOError):
        other.claim()
    assert other.claimed_at() == 12.5
    claim.end()
    claim.end()
    other.claim().end()


def test_a_lock_that_was_swept_away_is_made_anew(tmp_path: Path) -> None:
    board = Board(tmp_path, "rows")
    claim = board.claim()
    (lock,) = tmp_path.iterdir()
    lock.unlink()
    second = Board(tmp_path, "rows").claim()
    with pytest.raises(BlockingIOError):
        board.claim()
    claim.end()
    second.end()


def test_a_claim_closes_no_file_that_has_taken_its_number(tmp_path: Path, fds: Callable[[], set[int]]) -> None:
    before = fds()
    claim = Board(tmp_path, "rows").claim()
    (number,) = fds() - before
    os.close(number)
    other = os.open(tmp_path, os.O_RDONLY)
    try:
        assert other == number
        claim.end()
        assert stat.S_ISDIR(os.fstat(other).st_mode)
    finally:
        os.close(other)


@pytest.fixture
def fds() -> Callable[[], set[int]]:
    def found() -> set[int]:
        return {int(one.name) for one in Path("/proc/self/fd").iterdir() if one.exists()}

    return found


def test_many_claims_leave_no_file_open(tmp_path: Path, fds: Callable[[], set[int]]) -> None:
    board, before = Board(tmp_path, "rows"), fds()
    for _ in range(100):
        claim = board.claim()
        with pytest.raises(BlockingIOError):
            board.claim()
        claim.end()
    assert fds() == before


def test_a_page_with_ten_collectors_costs_little_more(tmp_path: Path) -> None:
    boards = [Board(tmp_path, f"rows_{number}") for number in range(10)]
    for board in boards:
        board.tell(told(*families()))
    times = []
    for _ in range(50):
        began = time.perf_counter()
        for board in boards:
            board.read()
        times.append(time.perf_counter() - began)
    assert sorted(times)[25] < 0.001
