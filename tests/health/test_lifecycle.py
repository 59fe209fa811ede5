"""A process starts once and drains once; what it forks drains with it, and starts anew."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import health
from health.lifecycle import Lifecycle

HOUSE = Path(health.__file__).parent.parent


def in_new_process(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=HOUSE, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout.strip()


def test_at_first_it_has_not_started_and_does_not_drain() -> None:
    lifecycle = Lifecycle()
    assert not lifecycle.has_started
    assert not lifecycle.is_draining


def test_once_started_it_stays_so() -> None:
    lifecycle = Lifecycle()
    lifecycle.started()
    lifecycle.started()
    assert lifecycle.has_started


def test_once_draining_it_stays_so() -> None:
    lifecycle = Lifecycle()
    lifecycle.drain()
    lifecycle.drain()
    assert lifecycle.is_draining


def test_draining_does_not_undo_the_start() -> None:
    lifecycle = Lifecycle()
    lifecycle.started()
    lifecycle.drain()
    assert lifecycle.has_started


def test_each_has_a_flag_of_its_own() -> None:
    one, other = Lifecycle(), Lifecycle()
    one.drain()
    assert not other.is_draining


def test_all_threads_see_it() -> None:
    lifecycle = Lifecycle()
    seen: list[bool] = []
    lifecycle.drain()
    thread = threading.Thread(target=lambda: seen.append(lifecycle.is_draining))
    thread.start()
    thread.join(10)
    assert seen == [True]


def test_its_children_and_theirs_hear_of_it() -> None:
    """Forked before or after; in a process of its own, because pytest's may have threads."""
    told = in_new_process("""if True:
        import os
        from health.lifecycle import lifecycle

        def fork(look):
            child = os.fork()
            if child == 0:
                os._exit(look())
            return child

        def result(child):
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        heard, tell = os.pipe()
        hear, ready = os.pipe()

        def look_when_told():
            before = lifecycle.is_draining
            os.write(ready, b"x")
            os.read(heard, 1)
            return int(lifecycle.is_draining and not before)

        early = fork(look_when_told)
        family = fork(lambda: result(fork(look_when_told)))
        os.read(hear, 1), os.read(hear, 1)
        lifecycle.drain()
        os.write(tell, b"xx")
        late = fork(lambda: int(lifecycle.is_draining))
        print(result(early), result(family), result(late))
    """)
    assert told == "1 1 1"


def test_a_child_starts_anew_and_leaves_its_parent_as_it_is() -> None:
    told = in_new_process("""if True:
        import os, sys, time
        from health.lifecycle import lifecycle
        lifecycle.started()
        time.sleep(0.3)
        child = os.fork()
        if child == 0:
            fresh = not lifecycle.has_started and lifecycle.uptime_seconds < 0.3
            lifecycle.started()
            os._exit(0 if fresh and lifecycle.has_started else 1)
        print(os.waitpid(child, 0)[1], lifecycle.has_started, lifecycle.uptime_seconds >= 0.3)
    """)
    assert told == "0 True True"


def test_a_process_of_its_own_does_not_drain_with_its_parent() -> None:
    """As after ``exec`` (gunicorn's SIGUSR2) or where workers are spawned: nothing is shared, by name or by file."""
    told = in_new_process("""if True:
        import subprocess, sys
        from health.lifecycle import lifecycle
        lifecycle.drain()
        look = "from health.lifecycle import lifecycle; print(lifecycle.is_draining)"
        print(subprocess.run([sys.executable, "-c", look], capture_output=True, text=True).stdout.strip())
    """)
    assert told == "False"


def test_it_may_be_told_in_a_signal_handler() -> None:
    told = in_new_process("""if True:
        import os, signal
        from health.lifecycle import lifecycle
        signal.signal(signal.SIGTERM, lambda *_: lifecycle.drain())
        os.kill(os.getpid(), signal.SIGTERM)
        print(lifecycle.is_draining)
    """)
    assert told == "True"


def test_uptime_grows_from_zero() -> None:
    lifecycle = Lifecycle()
    assert 0 <= lifecycle.uptime_seconds < 10
    before = lifecycle.uptime_seconds
    time.sleep(0.01)
    assert lifecycle.uptime_seconds >= before + 0.01


@pytest.mark.parametrize("module", ["health.lifecycle", "health.gunicorn", "health.exec_probe"])
def test_what_runs_before_django_imports_none_of_it(module: str) -> None:
    told = in_new_process(f"import sys, {module}; print(*sorted(n for n in sys.modules if n.startswith('django')))")
    assert told == ""
