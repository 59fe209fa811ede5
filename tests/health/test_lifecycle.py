"""A process starts once and drains once; what it forks drains with it, and starts anew."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

import health
from health.lifecycle import Lifecycle

HOUSE = Path(health.__file__).parent.parent


def in_child(look: Callable[[], object]) -> bool:
    """What ``look`` finds in a forked process."""
    child = os.fork()
    if child == 0:  # it must never come back into pytest
        code = 2
        try:
            code = int(bool(look()))
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 1}, "the child failed"
    return code == 1


def in_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=HOUSE, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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


def test_a_child_hears_of_it_after_the_fork() -> None:
    lifecycle = Lifecycle()
    heard, told = os.pipe()

    def wait_and_look() -> bool:
        os.read(heard, 1)
        return lifecycle.is_draining

    threading.Timer(0.1, lambda: (lifecycle.drain(), os.write(told, b"x"))).start()
    assert in_child(wait_and_look)
    os.close(heard)
    os.close(told)


def test_a_child_of_a_draining_parent_drains() -> None:
    lifecycle = Lifecycle()
    lifecycle.drain()
    assert in_child(lambda: lifecycle.is_draining)


def test_a_child_of_one_that_does_not_drain_does_not() -> None:
    assert not in_child(lambda: Lifecycle().is_draining)


def test_a_grandchild_hears_of_it_too() -> None:
    lifecycle = Lifecycle()
    lifecycle.drain()
    assert in_child(lambda: in_child(lambda: lifecycle.is_draining))


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
