"""A task is told once however it ends, by a real worker whose processes may be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Task
from celery.exceptions import Ignore, Reject

from observability import metrics
from observability.multiprocess.reading import Parser, read_folder
from observability.tasks import _running, install
from tests.installation import HOUSE
from tests.services import free_port

PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Worker:
    """Celery's own, with two processes, and who sends it tasks."""

    folder: Path
    environment: Mapping[str, str]

    def send(self, *names: str, **options: Any) -> None:
        """Ask for the tasks, from a process that counts nothing."""
        code = f"from tests.observability.worker.app import app\nfor n in {names!r}: app.send_task(n, **{options!r})"
        environment = {name: value for name, value in self.environment.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
        subprocess.run([sys.executable, "-c", code], cwd=HOUSE, env=environment, check=True, timeout=PATIENCE_SECONDS)

    def numbers(self, metric: str) -> dict[tuple[str, ...], float]:
        """What all the worker's processes have counted, but zeros; of a histogram how many."""
        families = read_folder(self.folder / "metrics", Parser()).families
        samples = families[metric.removesuffix("_total")].samples if metric.removesuffix("_total") in families else []
        wanted = {metric, f"{metric}_count"}
        return {tuple(s.labels.values()): s.value for s in samples if s.name in wanted and s.value}

    def ended(self) -> dict[tuple[str, ...], float]:
        """How tasks have ended: (status, task) → count."""
        return self.numbers("background_tasks_completed_total")

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < deadline, (self.ended(), (self.folder / "log").read_text()[-4000:])
            time.sleep(0.1)


@pytest.fixture
def worker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Worker]:
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | {
        "DJANGO_SETTINGS_MODULE": "tests.observability.worker.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
        "WORKER_FOLDER": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        **getattr(request, "param", {}),
    }
    command = ["-m", "celery", "-A", "tests.observability.worker.app", "worker", "--concurrency", "2"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command, "--loglevel", "INFO", "--without-gossip", "--without-mingle"],
            cwd=HOUSE, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            yield Worker(tmp_path, environment)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE_SECONDS)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(10)


def test_each_way_a_task_ends_is_told_once(worker: Worker) -> None:
    worker.send("succeed", "succeed", "fail", "retry_once", "retry_in_vain", "ignore", "reject", "around")
    worker.send("fail_unpicklably", "fail_tracked", "take_long_softly")
    expected = {
        ("success", "succeed"): 3,
        ("failure", "fail"): 1,
        ("retry", "retry_once"): 1,
        ("success", "retry_once"): 1,
        ("retry", "retry_in_vain"): 1,
        ("failure", "retry_in_vain"): 1,
        ("ignored", "ignore"): 1,
        ("other", "reject"): 1,
        ("success", "around"): 1,
        ("failure", "fail_unpicklably"): 1,
        ("failure", "fail_tracked"): 1,
        ("failure", "take_long_softly"): 1,
    }
    worker.wait_for(lambda: sum(worker.ended().values()) >= sum(expected.values()))
    time.sleep(0.5)  # for what might come twice
    assert worker.ended() == expected
    tried = {name: sum(n for (_, task), n in expected.items() if task == name) for _, name in expected}
    assert worker.numbers("background_task_duration_seconds") == {(name,): count for name, count in tried.items()}
    assert worker.numbers("background_tasks_active") == {}
    assert worker.numbers("exceptions_unhandled_total") == {
        ("LookupError",): 3,
        ("UnpicklableError",): 1,
        ("SoftTimeLimitExceeded",): 1,
    }
    assert worker.numbers("errors_total") == {("error", "task"): 4, ("error", "request"): 1}


def test_a_task_that_is_killed_with_its_process_failed_once_and_is_active_no_more(worker: Worker) -> None:
    worker.send("die", "succeed")
    worker.wait_for(lambda: sum(worker.ended().values()) >= 2)
    worker.send("die", "leave", "succeed")
    worker.wait_for(lambda: sum(worker.ended().values()) >= 5)
    time.sleep(0.5)
    assert worker.ended() == {("failure", "die"): 2, ("failure", "leave"): 1, ("success", "succeed"): 2}
    assert worker.numbers("exceptions_unhandled_total") == {("WorkerLostError",): 3}
    assert worker.numbers("errors_total") == {("error", "task"): 3}
    worker.wait_for(lambda: worker.numbers("background_tasks_active") == {})


def test_a_task_that_takes_too_long_failed_once_and_is_active_no_more(worker: Worker) -> None:
    worker.send("take_too_long")
    worker.wait_for(lambda: bool(worker.ended()))
    time.sleep(1)
    assert worker.ended() == {("failure", "take_too_long"): 1}
    assert worker.numbers("exceptions_unhandled_total") == {("TimeLimitExceeded",): 1}
    worker.wait_for(lambda: worker.numbers("background_tasks_active") == {})


def test_a_task_is_active_while_it_is_worked_and_revoked_ones_are_told(worker: Worker, tmp_path: Path) -> None:
    worker.send("wait", "wait", args=[str(tmp_path / "go on")])
    worker.wait_for(lambda: worker.numbers("background_tasks_active") == {("wait",): 2})
    worker.send("succeed", expires=-1)
    (tmp_path / "go on").touch()
    worker.wait_for(lambda: sum(worker.ended().values()) >= 3)
    assert worker.ended() == {("success", "wait"): 2, ("revoked", "succeed"): 1}
    assert worker.numbers("background_tasks_active") == {}


def test_a_message_of_no_task_is_an_error_and_its_name_is_told_nowhere(worker: Worker) -> None:
    worker.send("made up by a stranger", "succeed")
    worker.wait_for(lambda: bool(worker.ended()))
    worker.wait_for(lambda: worker.numbers("errors_total") == {("error", "task"): 1})
    assert worker.ended() == {("success", "succeed"): 1}


PORT = free_port()


@pytest.mark.parametrize("worker", [{"WORKER_PORT": str(PORT)}], indirect=True)
def test_a_workers_main_process_serves_what_all_its_processes_count(worker: Worker) -> None:
    worker.send("succeed", "die")
    worker.wait_for(lambda: sum(worker.ended().values()) >= 2)
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=PATIENCE_SECONDS) as response:
        page = response.read().decode()
    assert 'background_tasks_completed_total{status="success",task="succeed"} 1.0' in page
    assert 'background_tasks_completed_total{status="failure",task="die"} 1.0' in page


# --- In this process -----------------------------------------------------------------------------------------------


@pytest.fixture
def celery() -> Celery:
    app = Celery("in-process", set_as_current=False)
    app.conf.update(broker_url="memory://", task_always_eager=True, task_ignore_result=True)
    install()
    install()
    return app


def five() -> int:
    return 5


def ended(moves: Any) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = moves.of(metrics.background_tasks_completed)
    return found


def test_a_task_applied_here_is_told_once(celery: Celery, moved: Callable[[], Any]) -> None:
    task = celery.task(name="here")(five)
    with moved() as moves:
        assert task.delay().get() == 5
        assert task.apply().get() == 5
    assert ended(moves) == {("here", "success"): 2}
    assert moves.of(metrics.background_task_duration) == {("here",): 2}
    assert not moves.of(metrics.background_tasks_active)
    assert _running.runs == []


def test_a_task_that_fails_here_is_told_once(celery: Celery, moved: Callable[[], Any]) -> None:
    def broken() -> None:
        raise LookupError("a secret")

    task = celery.task(name="here")(broken)
    with moved() as moves, pytest.raises(LookupError):
        task.apply().get()
    assert ended(moves) == {("here", "failure"): 1}
    assert moves.of(metrics.exceptions_unhandled) == {("LookupError",): 1}
    assert moves.of(metrics.errors) == {("task", "error"): 1}
    assert not moves.of(metrics.background_tasks_active)


def test_a_failure_that_goes_on_to_the_caller_is_the_callers(celery: Celery, moved: Callable[[], Any]) -> None:
    def broken() -> None:
        raise LookupError("a secret")

    task = celery.task(name="here")(broken)
    celery.conf.task_eager_propagates = True
    with moved() as moves, pytest.raises(LookupError):
        task.delay()
    assert ended(moves) == {("here", "failure"): 1}
    assert not moves.of(metrics.exceptions_unhandled)
    assert not moves.of(metrics.background_tasks_active)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_task_that_is_broken_off_here_is_no_longer_active(
    celery: Celery, moved: Callable[[], Any], error: type[BaseException]
) -> None:
    def broken() -> None:
        raise error

    task = celery.task(name="here")(broken)
    with moved() as moves, pytest.raises(error):
        task.apply()
    assert ended(moves) == {("here", "failure"): 1}
    assert not moves.of(metrics.background_tasks_active)


def test_a_task_applied_while_an_exception_is_handled_is_told_as_it_ended(
    celery: Celery, moved: Callable[[], Any]
) -> None:
    task = celery.task(name="here")(five)
    with moved() as moves:
        try:
            {}["absent"]
        except KeyError:
            task.apply()
    assert ended(moves) == {("here", "success"): 1}


def test_tries_within_one_another_have_one_id_and_are_told_each(celery: Celery, moved: Callable[[], Any]) -> None:
    def tried(self: Task[..., int]) -> int:
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return 5

    task = celery.task(name="here", bind=True, max_retries=3)(tried)
    with moved() as moves:
        assert task.apply().get() == 5
    assert ended(moves) == {("here", "success"): 1, ("here", "retry"): 2}
    assert moves.of(metrics.background_task_duration) == {("here",): 3}
    assert not moves.of(metrics.background_tasks_active)


@pytest.mark.parametrize(("raised", "outcome"), [(Ignore, "ignored"), (Reject, "other")])
def test_a_task_that_wants_no_more_of_it_is_no_error(
    celery: Celery, moved: Callable[[], Any], raised: type[Exception], outcome: str
) -> None:
    def unwilling() -> None:
        raise raised

    task = celery.task(name="here")(unwilling)
    with moved() as moves:
        task.apply()
    assert ended(moves) == {("here", outcome): 1}
    assert not moves.of(metrics.exceptions_unhandled)
    assert not moves.of(metrics.errors)


def test_without_celery_nothing_is_done() -> None:
    code = """
import sys
sys.modules["celery"] = None
import django
from django.conf import settings
settings.configure(SECRET_KEY="x", INSTALLED_APPS=["observability"])
django.setup()
from observability import tasks
tasks.install()
print("installed nothing")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HOUSE, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "installed nothing", done.stderr


def test_a_project_without_celery_never_imports_it() -> None:
    code = "import sys, django; django.setup(); print('celery' in sys.modules)"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.observability.settings"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HOUSE, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"
