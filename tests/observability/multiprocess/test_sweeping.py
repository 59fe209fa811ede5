"""What a server that is gone has counted is forgotten when the next one starts, and nothing of one that lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from observability.multiprocess import sweeping
from observability.multiprocess.slots import living_slots, take_slot
from observability.multiprocess.sweeping import forget_the_dead

PATIENCE_SECONDS = 60
HOUSE = Path(sweeping.__file__).parents[2]
COUNTS_AND_WAITS = """
import sys
from pathlib import Path
from threading import RLock
from observability.multiprocess.files import FileCells
from observability.multiprocess.slots import take_slot
folder = Path(sys.argv[1])
slot = take_slot(folder)
cells = FileCells(folder / f"counter_{slot.number}.db", RLock())
cells.view[cells.index_of(b'["a","a_total",{},""]')] += 1
print(slot.number, flush=True)
sys.stdin.read()
"""


def counting(folder: Path) -> subprocess.Popen[str]:
    """A process that has counted into its slot, and lives until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNTS_AND_WAITS, str(folder)],
        cwd=HOUSE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().strip().isdigit()
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=PATIENCE_SECONDS)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.db"))


def test_what_the_dead_have_left_is_forgotten(tmp_path: Path) -> None:
    dead = [counting(tmp_path), counting(tmp_path)]
    for process in dead:
        end(process)
    assert files(tmp_path) == ["counter_0.db", "counter_1.db"]
    assert forget_the_dead(tmp_path) == 2
    assert files(tmp_path) == []


def test_while_one_lives_nothing_is_forgotten(tmp_path: Path) -> None:
    """The counts of workers that were replaced are part of the totals."""
    replaced, living = counting(tmp_path), counting(tmp_path)
    end(replaced)
    try:
        assert forget_the_dead(tmp_path) == 0
        assert files(tmp_path) == ["counter_0.db", "counter_1.db"]
    finally:
        end(living)
    assert forget_the_dead(tmp_path) == 2


def test_who_has_just_come_keeps_what_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It took its slot after the look at who lives, and before the files went."""
    end(counting(tmp_path))
    (tmp_path / "counter_1.db").touch()
    newcomer = take_slot(tmp_path)
    monkeypatch.setattr(sweeping, "living_slots", lambda _folder: {})
    try:
        assert forget_the_dead(tmp_path) == 1
        assert files(tmp_path) == [f"counter_{newcomer.number}.db"]
    finally:
        newcomer.leave()


def test_who_comes_meanwhile_takes_another_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end(counting(tmp_path))
    taken = []
    unlink = Path.unlink

    def unlink_while_one_comes(path: Path, *, missing_ok: bool = False) -> None:
        taken.append(take_slot(tmp_path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink_while_one_comes)
    assert forget_the_dead(tmp_path) == 1
    assert [slot.number for slot in taken] == [1]
    taken[0].leave()


def test_the_locks_stay(tmp_path: Path) -> None:
    end(counting(tmp_path))
    forget_the_dead(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["slot-0.lock"]
    assert living_slots(tmp_path) == {}


def test_what_collectors_said_to_the_dead_is_forgotten(tmp_path: Path) -> None:
    living = counting(tmp_path)
    for name in ("snapshot-rows.json", "snapshot-rows.lock", "snapshot-rows.new"):
        (tmp_path / name).touch()
    try:
        assert forget_the_dead(tmp_path) == 0
    finally:
        end(living)
    assert forget_the_dead(tmp_path) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["slot-0.lock"]


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    for name in ("notes.txt", "numbers.db", "counter_x.db"):
        (tmp_path / name).touch()
    assert forget_the_dead(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("make", [lambda _path: None, Path.touch], ids=["missing", "no folder"])
def test_a_folder_that_is_none_is_no_error(tmp_path: Path, make: object) -> None:
    folder = tmp_path / "metrics"
    assert callable(make)
    make(folder)
    assert forget_the_dead(folder) == 0


def test_it_knows_no_django(tmp_path: Path) -> None:
    code = "import sys, observability.multiprocess.sweeping; print({'django', 'prometheus_client'} & {*sys.modules})"
    told = subprocess.run([sys.executable, "-c", code], cwd=HOUSE, check=True, stdout=subprocess.PIPE, text=True)
    assert told.stdout.strip() == "set()"
