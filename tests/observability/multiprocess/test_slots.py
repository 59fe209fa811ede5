"""Every living process has a slot of its own, and the slots of the dead are used again."""

from __future__ import annotations

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from observability.multiprocess.slots import claimed, living_slots, take_slot
from tests.observability.processes import run, start

COUNT = "metrics.http_requests.at('GET', 'a/', 200).inc()\nprint(storage.slot, flush=True)\n"
WAIT = "sys.stdin.readline()\n"


def test_the_lowest_free_slot_is_taken(tmp_path: Path) -> None:
    slots = [take_slot(tmp_path) for _ in range(3)]
    assert [slot.number for slot in slots] == [0, 1, 2]
    slots[1].leave()
    assert take_slot(tmp_path).number == 1


def test_the_folder_is_made(tmp_path: Path) -> None:
    assert take_slot(tmp_path / "a" / "b").number == 0


def test_the_living_are_told_from_the_dead(tmp_path: Path) -> None:
    first, second = take_slot(tmp_path), take_slot(tmp_path)
    assert living_slots(tmp_path) == {0: os.getpid(), 1: os.getpid()}
    first.leave()
    assert living_slots(tmp_path) == {1: os.getpid()}
    second.leave()
    assert living_slots(tmp_path) == {}


def test_rubbish_beside_the_locks_is_no_slot(tmp_path: Path) -> None:
    for name in ("slot-.lock", "slot-x.lock", "slot--1.lock"):
        (tmp_path / name).write_text("rubbish")
    (tmp_path / "slot-7.lock").write_bytes(b"\xff\xfe")
    assert living_slots(tmp_path) == {}


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        take_slot(tmp_path / "file" / "below")


def test_a_slot_can_be_claimed_only_while_nobody_has_it(tmp_path: Path) -> None:
    slot = take_slot(tmp_path)
    with claimed(tmp_path, slot.number) as is_free:
        assert not is_free
    slot.leave()
    with claimed(tmp_path, slot.number) as is_free:
        assert is_free
        assert take_slot(tmp_path).number == 1


def test_what_another_user_has_left_is_passed_over(tmp_path: Path) -> None:
    """As root does with a command, in the folder of a server that is not root's."""
    folder = tmp_path / "metrics"
    for slot in [take_slot(folder) for _ in range(2)]:
        slot.leave()
    (folder / "counter_1.db").write_bytes(b"")
    for path, mode in ((folder, 0o777), (folder / "slot-0.lock", 0), (folder / "slot-1.lock", 0o666)):
        path.chmod(mode)
    (folder / "counter_1.db").chmod(0)
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(path.stat().st_mode | 0o055)
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:  # to whom everything is allowed
            os.setuid(65_534)
        os._exit(take_slot(folder).number)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2


def test_many_threads_never_share_a_slot(tmp_path: Path) -> None:
    with ThreadPoolExecutor(32) as pool:
        slots = list(pool.map(lambda _: take_slot(tmp_path), range(64)))
    assert sorted(slot.number for slot in slots) == list(range(64))


def test_processes_at_one_time_have_slots_of_their_own(tmp_path: Path) -> None:
    processes = [start(COUNT + WAIT, tmp_path) for _ in range(4)]
    assert sorted(_line(process) for process in processes) == ["0", "1", "2", "3"]
    assert living_slots(tmp_path).keys() == {0, 1, 2, 3}
    for process in processes:
        process.communicate("go\n", timeout=30)
    assert living_slots(tmp_path) == {}


def test_a_killed_process_leaves_its_slot_to_the_next(tmp_path: Path) -> None:
    process = start(COUNT + WAIT, tmp_path)
    assert _line(process) == "0"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert run(COUNT, tmp_path) == "0"


def test_what_a_process_starts_does_not_hold_its_slot(tmp_path: Path) -> None:
    """The lock's file is not inherited by other programs."""
    sleeper = "import subprocess as s\ns.Popen(['sleep', '30'], stdout=s.DEVNULL, stderr=s.DEVNULL)\nprint('gone')"
    code = COUNT + sleeper
    assert run(code, tmp_path).split() == ["0", "gone"]
    assert living_slots(tmp_path) == {}


def test_a_fork_takes_a_slot_of_its_own_and_does_not_hold_its_parents(tmp_path: Path) -> None:
    code = """
metrics.http_requests.at('GET', 'a/', 200).inc()
child = os.fork()
if child == 0:
    metrics.http_requests.at('GET', 'a/', 200).inc()
    os.write(1, f'child {storage.slot}\\n'.encode())  # whole, so that no other process's line comes into it
    time.sleep(60)
    os._exit(0)
time.sleep(0.5)
os.write(1, f'parent {storage.slot} {child}\\n'.encode())
sys.stdin.readline()
"""
    process = start(code, tmp_path)
    lines = dict((line := _line(process).split(), (line[0], line[1:]))[1] for _ in range(2))
    assert lines["child"] == ["1"]
    assert lines["parent"][0] == "0"
    process.kill()
    process.wait(30)
    try:
        assert living_slots(tmp_path).keys() == {1}
    finally:
        os.kill(int(lines["parent"][1]), signal.SIGKILL)
        process.communicate(timeout=30)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
