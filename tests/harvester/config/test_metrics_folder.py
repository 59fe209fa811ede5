"""Each server counts in a folder of its own: exactly over workers, reloads and replacements, and anew at each start."""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from harvester.config.celery import HarvesterCelery
from harvester.config.env import Environment
from harvester.config.metrics_folder import VARIABLE, share_metrics
from observability.metrics import TASK_OUTCOMES
from observability.multiprocess.reading import Parser, read_folder
from observability.multiprocess.slots import living_slots, take_slot
from tests.fakes import rss, rss_item
from tests.installation import HOUSE, Installation, installation
from tests.loopback import Answer, loopback
from tests.services import free_port

PATIENCE_SECONDS = 60
WORKERS = 4
CHEAP = "/robots.txt"
CONFIGURATION = str(HOUSE / "gunicorn.conf.py")


def counted(folder: Path, sample: str, **labels: str) -> float:
    """The sum of a sample's series that have these labels, over all processes."""
    reading = read_folder(folder, Parser())
    assert reading.skipped_files == 0
    return sum(
        one.value
        for family in reading.families.values()
        for one in family.samples
        if one.name == sample and labels.items() <= one.labels.items()
    )


def series(folder: Path, sample: str, **labels: str) -> list[dict[str, str]]:
    """The labels of a sample's series that have these among them."""
    families = read_folder(folder, Parser()).families
    samples = [one for family in families.values() for one in family.samples if one.name == sample]
    return [one.labels for one in samples if labels.items() <= one.labels.items()]


def wait_until(is_so: Callable[[], bool], why: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"it did not come to pass: {why()}"
        time.sleep(0.05)


# --- which folder ----------------------------------------------------------------------------------------------------


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Of a process that nobody has told of a folder."""
    monkeypatch.setenv(VARIABLE, "")  # so that it is put back as it was
    monkeypatch.delenv(VARIABLE)
    return Environment({"DATA_DIR": str(tmp_path)})


def test_each_server_has_its_own(environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_metrics("web", environment)
    assert os.environ[VARIABLE] == str(tmp_path / "metrics" / "web")
    monkeypatch.delenv(VARIABLE)
    share_metrics("worker", environment)
    assert os.environ[VARIABLE] == str(tmp_path / "metrics" / "worker")


@pytest.mark.parametrize("given", ["/somewhere/else", ""], ids=["named", "none"])
def test_what_the_process_is_given_wins(environment: Environment, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(VARIABLE, given)
    share_metrics("web", environment)
    assert os.environ[VARIABLE] == given


def test_a_start_forgets_and_a_reload_does_not(environment: Environment, tmp_path: Path) -> None:
    folder = tmp_path / "metrics" / "web"
    folder.mkdir(parents=True)
    left = folder / "counter_7.db"
    left.write_bytes(b"of a server that is gone")
    living = take_slot(folder)
    try:
        share_metrics("web", environment)
        assert left.exists()
    finally:
        living.leave()
    share_metrics("web", environment)
    assert not left.exists()


HOLD = """
import sys
from pathlib import Path
from observability.multiprocess.slots import take_slot
slot = take_slot(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
"""
START = """
import sys
from harvester.config.env import Environment
from harvester.config.metrics_folder import share_metrics
share_metrics("web", Environment({"DATA_DIR": sys.argv[1]}))
"""
WARNING = "Others count their metrics"


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[int]:
    """A process that holds a slot, a child of this one."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "metrics" / "web")]
    with subprocess.Popen(command, cwd=HOUSE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.kill()


def told_at_a_start(folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return subprocess.run(
        [sys.executable, "-c", START, str(folder)],
        cwd=HOUSE, env=environment, check=True, stderr=subprocess.PIPE, text=True,
    ).stderr  # fmt: skip


def test_a_server_says_that_another_counts_where_it_does(tmp_path: Path, holder: int) -> None:
    """The two have one parent, as under one supervisor, and are strangers all the same."""
    told = told_at_a_start(tmp_path)
    assert WARNING in told
    assert f"{tmp_path / 'metrics' / 'web'} too (process {holder})" in told


def test_a_server_alone_says_nothing(tmp_path: Path) -> None:
    assert told_at_a_start(tmp_path) == ""


def test_children_are_no_strangers(environment: Environment, holder: int, caplog: pytest.LogCaptureFixture) -> None:
    share_metrics("web", environment)
    assert caplog.messages == []


def test_neither_is_the_server_that_this_one_takes_over_from(tmp_path: Path, holder: int) -> None:
    """As gunicorn does it at USR2: the new one is the old one's child, and the old one's workers live on."""
    slot = take_slot(tmp_path / "metrics" / "web")
    try:
        assert told_at_a_start(tmp_path) == ""
    finally:
        slot.leave()


def test_gunicorn_reads_it_before_it_imports_anything(environment: Environment, tmp_path: Path) -> None:
    """In a fresh interpreter: no metric may have been imported by the time the folder is known."""
    code = f"""
import os, runpy, sys
runpy.run_path({CONFIGURATION!r})
print(os.environ[{VARIABLE!r}])
print([name for name in sys.modules if name.startswith("prometheus_client") or name == "observability.storage"])
"""
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=HOUSE, env={"DOTENV": "", "DATA_DIR": str(tmp_path), "PYTHONPATH": str(HOUSE)},
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip
    assert told.splitlines() == [str(tmp_path / "metrics" / "web"), "[]"]


def test_both_hooks_of_gunicorn_run(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    assert runpy.run_path(CONFIGURATION)["on_starting"].__module__ == "health.gunicorn"


def test_a_worker_says_so_before_it_begins(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", "var")
    app = HarvesterCelery("test", set_as_current=False)
    assert VARIABLE not in os.environ
    assert app.Worker is not None
    assert os.environ[VARIABLE] == str(HOUSE / "var" / "metrics" / "worker")


def test_commands_count_for_themselves(tmp_path: Path) -> None:
    with installation(tmp_path) as ready:
        code = "from observability.storage import storage; print(storage.is_shared)"
        assert ready.manage("shell", "-v", "0", "-c", code).stdout.strip() == "False"
        assert not (tmp_path / "metrics").exists()


def test_a_harvest_by_command_counts_with_the_worker(tmp_path: Path) -> None:
    """Twice, and the second forgets nothing of what the first has counted and left."""
    folder = tmp_path / "metrics" / "worker"
    folder.mkdir(parents=True)
    document = rss(rss_item("1"), rss_item("2")).encode()
    with installation(tmp_path) as ready, loopback(lambda _path, _headers: Answer(document)) as there:
        ready.manage("source", "add", "feed", "--name", "a feed", "--url", f"{there.address}/rss")
        for times in (1, 2):
            ready.harvest()
            assert counted(folder, "discoveries_fetched_total", source="a feed") == 2 * times
    succeeded_at = counted(folder, "discovery_pipeline_last_success_timestamp_seconds", stage="ingest")
    assert 0 <= time.time() - succeeded_at < PATIENCE_SECONDS


def test_a_harvest_without_a_worker_counts_for_itself(tmp_path: Path) -> None:
    with installation(tmp_path) as ready:
        assert ready.harvest()["status"] == "succeeded"
        assert not (tmp_path / "metrics").exists()
        (tmp_path / "metrics").write_text("no folder")
        assert ready.harvest()["status"] == "succeeded"


def test_the_counters_of_models_are_in_the_slots_too(tmp_path: Path) -> None:
    """Whatever the order of the apps: those of django-prometheus are made as soon as models are imported."""
    folder = tmp_path / "given"
    with installation(tmp_path, extra={VARIABLE: str(folder)}) as ready:
        for number in range(3):
            url = f"https://{number}.example/rss"
            ready.manage("source", "add", "feed", "--name", f"number {number}", "--url", url)
    assert counted(folder, "django_model_inserts_total", model="source") == 3
    assert {path.name for path in folder.glob("counter_*.db")} == {"counter_0.db"}, "one process after the other"


# --- a real gunicorn -------------------------------------------------------------------------------------------------


@dataclass
class Web:
    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    log: Path
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, path: str = CHEAP) -> int:
        with contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            return response.status

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError, HTTPException):
            return self.ask("/health/live") == 200
        return False

    def workers(self) -> set[int]:
        """Process ids of those that hold a slot, without the arbiter, which has imported the application for all."""
        return set(living_slots(self.folder).values()) - {self.process.pid}

    def have_been_replaced(self, workers: set[int]) -> bool:
        now = self.workers()
        return not now & workers and len(now) == WORKERS

    def has_workers(self, count: int) -> bool:
        return len(self.workers()) == count

    def has_answered(self, requests: int) -> bool:
        return self.answered >= requests

    @contextlib.contextmanager
    def under_load(self, clients: int = 4) -> Iterator[None]:
        """Clients that ask one request after the other; ``answered`` is how many got their 200."""
        done = threading.Event()

        def go_on_asking() -> None:
            while not done.is_set():
                try:
                    status = self.ask()
                except (OSError, HTTPException) as error:
                    status, problem = 0, repr(error)
                else:
                    problem = str(status)
                with self._lock:
                    if status == 200:
                        self.answered += 1
                    else:
                        self.failed.append(problem)

        threads = [threading.Thread(target=go_on_asking) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            done.set()
            for thread in threads:
                thread.join(PATIENCE_SECONDS)

    def requests(self) -> float:
        return counted(self.folder, "http_requests_total", status="200")

    def decisions(self) -> float:
        return counted(self.folder, "rate_limit_requests_total")


@contextlib.contextmanager
def serving(installed: Installation, *options: str, extra: Mapping[str, str] | None = None) -> Iterator[Web]:
    port, log = free_port(), installed.folder / "log"
    limits = {"RATELIMIT_ENFORCE": "false", "WEB_CONCURRENCY": str(WORKERS), "PORT": str(port), "LOG_LEVEL": "INFO"}
    with log.open("a") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", CONFIGURATION, *options],
            cwd=HOUSE, env=installed.environment | limits | dict(extra or {}), stdout=stream, stderr=stream,
            start_new_session=True,
        )  # fmt: skip
    web = Web(process, port, installed.folder / "metrics" / "web", log)
    try:
        wait_until(lambda: web.is_ready() and len(web.workers()) >= WORKERS, log.read_text)
        yield web
    finally:
        with contextlib.suppress(ProcessLookupError):  # its own group: the workers with it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    (tmp_path / "static").mkdir()  # whitenoise warns where there is none
    with installation(tmp_path) as ready:
        yield ready


def test_four_workers_count_what_was_answered_and_nothing_else(installed: Installation) -> None:
    with serving(installed) as web:
        with web.under_load():
            wait_until(partial(web.has_answered, 400))
        assert web.failed == []
        assert web.requests() == web.answered
        assert web.decisions() == web.answered, "the limiter's, by way of its signal"
        assert len(web.workers()) == WORKERS


def test_reloads_under_load_lose_and_double_nothing(installed: Installation) -> None:
    with serving(installed) as web:
        with web.under_load():
            for _ in range(3):
                before, answered = web.workers(), web.answered
                web.process.send_signal(signal.SIGHUP)
                wait_until(partial(web.have_been_replaced, before))
                wait_until(partial(web.has_answered, answered + 50))
        # gunicorn drops connections that are accepted and unread when a worker ends; nobody has counted those
        assert web.requests() == web.answered
        assert web.decisions() == web.answered


def test_workers_that_are_replaced_leave_their_counts_and_no_files(installed: Installation) -> None:
    with serving(installed, "--max-requests", "50", "--max-requests-jitter", "10") as web:
        seen: set[int] = set()

        def have_been_replaced() -> bool:
            seen.update(web.workers())
            return len(seen) >= 4 * WORKERS

        with web.under_load():
            wait_until(have_been_replaced)
        assert web.requests() == web.answered
        assert len(list(web.folder.glob("counter_*.db"))) <= 2 * WORKERS + 1


def test_only_another_server_is_told_of(installed: Installation) -> None:
    with serving(installed) as web:
        before = web.workers()
        web.process.send_signal(signal.SIGHUP)
        wait_until(partial(web.have_been_replaced, before))
        assert WARNING not in web.log.read_text()
        with serving(installed) as other:
            assert f"process {web.process.pid}, " in other.log.read_text()
        assert web.log.read_text().count(WARNING) == 1


def test_a_killed_worker_leaves_its_counts(installed: Installation) -> None:
    with serving(installed) as web:
        for _ in range(40):
            assert web.ask() == 200
        victims = web.workers()
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        wait_until(partial(web.have_been_replaced, victims))
        assert web.requests() == 40
        assert web.ask() == 200
        assert web.requests() == 41


def test_a_server_that_starts_anew_counts_from_zero(installed: Installation) -> None:
    with serving(installed) as web:
        assert [web.ask() for _ in range(10)] == [200] * 10
        assert web.requests() == 10
    with serving(installed) as web:
        assert web.requests() == 0
        assert web.ask() == 200
        assert web.requests() == 1


def test_a_look_at_the_configuration_of_a_server_that_runs_forgets_nothing(installed: Installation) -> None:
    """Two of its four workers are gone for good; what they have counted is part of its totals."""
    with serving(installed) as web:
        with web.under_load():
            wait_until(partial(web.has_answered, 200))
        for left in (3, 2):
            web.process.send_signal(signal.SIGTTOU)
            wait_until(partial(web.has_workers, left))
        subprocess.run(
            [sys.executable, "-m", "gunicorn", "--config", CONFIGURATION, "--check-config"],
            cwd=HOUSE, env=installed.environment, check=True, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        assert web.requests() == web.answered


def test_a_folder_that_cannot_be_written_keeps_nobody_from_answering(installed: Installation) -> None:
    (installed.folder / "metrics").write_text("no folder")
    port = free_port()
    extra = {"PORT": str(port), "RATELIMIT_ENFORCE": "false"}
    with (installed.folder / "log").open("a") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", CONFIGURATION],
            cwd=HOUSE, env=installed.environment | extra, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
    web = Web(process, port, installed.folder / "metrics" / "web", installed.folder / "log")
    try:
        wait_until(web.is_ready, web.log.read_text)
        assert web.ask() == 200
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)


# --- a real worker ---------------------------------------------------------------------------------------------------


def test_the_worker_counts_in_its_own_folder_and_the_web_sees_none_of_it(installed: Installation) -> None:
    folder = installed.folder / "metrics" / "worker"
    ask = "from harvester.actions import request_harvest; print(request_harvest(owner=None, trigger='api').pk)"
    document = rss(rss_item("1"), rss_item("2")).encode()
    with loopback(lambda _path, _headers: Answer(document)) as there:
        installed.manage("source", "add", "feed", "--name", "a feed", "--url", f"{there.address}/rss")
        installed.manage("shell", "-v", "0", "-c", ask)
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "harvester.config", "worker", "--beat", "--concurrency", "1"],
            cwd=HOUSE, env=installed.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            wait_until(lambda: installed.rows("SELECT status FROM harvester_run") == [("succeeded",)])
            wait_until(lambda: counted(folder, "discoveries_scored_total") == 2)
            assert counted(folder, "discoveries_fetched_total", source="a feed") == 2
            for stage in ("ingest", "same_work", "score"):
                succeeded_at = counted(folder, "discovery_pipeline_last_success_timestamp_seconds", stage=stage)
                assert 0 <= time.time() - succeeded_at < PATIENCE_SECONDS
            outcomes = series(folder, "background_tasks_completed_total", task="harvester.tasks.harvest")
            assert {one["status"] for one in outcomes} == set(TASK_OUTCOMES), "also of what has not happened"
            assert len(living_slots(folder)) >= 2, "the worker's main process and its pool's"
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(PATIENCE_SECONDS)
    assert not (installed.folder / "metrics" / "web").exists()
