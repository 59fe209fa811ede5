"""gunicorn drains for real: not ready at once, no request lost, and its arbiter goes on doing its work."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import gunicorn
import pytest
from gunicorn.arbiter import Arbiter as RealArbiter
from gunicorn.config import Config

import health
from health import exec_probe
from health.errors import HealthError
from health.gunicorn import Arbiter, drain_before_stopping, drain_seconds
from health.lifecycle import Lifecycle
from tests.services import free_port

HOUSE = Path(health.__file__).parent.parent
CONFIGURATION = "tests/health/drain_conf.py"
PATIENCE_SECONDS = 40
WINDOW_SECONDS = 3.0
DRAIN_SECONDS = 4.0
NEVER_BY_ITSELF = 300.0
"""A drain that the test ends."""
NOT_READY_SECONDS = 2.0
"""The goal is 0.2, and 0.003 to 0.019 is what was measured; a busy machine must not fail the test for it."""


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def get(self, path: str) -> tuple[int, int]:
        """The status, and the process id of the worker, over a connection of its own."""
        with contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, int(response.read())

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_for(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with contextlib.suppress(OSError, HTTPException):
                if what():
                    return
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def wait_for_workers(self, count: int, path: str = "/", *, without: frozenset[int] = frozenset()) -> set[int]:
        """The process ids of so many workers that answer, none of them among ``without``."""
        found: set[int] = set()

        def are_enough() -> bool:
            found.add(self.get(path)[1])
            return len(found - without) >= count

        self.wait_for(are_enough)
        return found - without

    def start_draining(self) -> None:
        self.send(signal.SIGTERM)
        self.wait_for(lambda: self.get("/ready")[0] == 503)

    def wait_for_log(self, text: str) -> None:
        self.wait_for(lambda: text in self.log.read_text())

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def serving(
    folder: Path,
    *options: str,
    application: str = "application",
    seconds: float = NEVER_BY_ITSELF,
    script: bool = False,
    grace: str = "",
) -> Iterator[Server]:
    port, log = free_port(), folder / "log"
    start = [str(Path(sys.executable).with_name("gunicorn"))] if script else [sys.executable, "-m", "gunicorn"]
    environment = {
        "PATH": os.environ["PATH"], "HEALTH_DRAIN_SECONDS": str(seconds), "HEALTH_TERMINATION_GRACE_SECONDS": grace,
    }  # fmt: skip
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*start, "--config", CONFIGURATION, "--bind", f"127.0.0.1:{port}", *options,
             f"tests.health.drain_project:{application}"],
            cwd=HOUSE, env=environment, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
    server = Server(process, port, log)
    try:
        server.wait_for(lambda: server.get("/ready")[0] == 200)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):  # its own group: workers and successors with it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)


@dataclass
class Seen:
    """What clients saw; ``readiness`` with the monotonic time at which the answer was there."""

    new: list[int | str] = field(default_factory=list)
    in_flight: list[int | str] = field(default_factory=list)
    readiness: list[tuple[float, int | str]] = field(default_factory=list)
    probed: list[int] = field(default_factory=list)
    told_at: float = 0
    exit_code: int | None = None
    drained_seconds: float = 0
    log: str = ""

    @property
    def not_ready_after(self) -> float:
        return min(at for at, status in self.readiness if status == 503) - self.told_at


def status_of(server: Server, path: str) -> int | str:
    try:
        return server.get(path)[0]
    except (OSError, HTTPException, ValueError) as error:
        return repr(error)


def look_at_a_drain(server: Server) -> Seen:
    """50 new connections a second, from before SIGTERM to the end of the window, and two slow requests in flight."""
    seen, asking = Seen(), []

    def ask(path: str, tell: Callable[[int | str], object]) -> None:
        thread = threading.Thread(target=lambda: tell(status_of(server, path)))
        thread.start()
        asking.append(thread)

    probe = ["ready", "--url", f"http://127.0.0.1:{server.port}", "--timeout", str(PATIENCE_SECONDS), "--quiet"]
    seen.probed.append(exec_probe.main(probe))
    for _ in range(2):
        ask("/slow", seen.in_flight.append)
    term_at = time.monotonic() + 0.5
    while time.monotonic() < term_at + WINDOW_SECONDS:
        if not seen.told_at and time.monotonic() >= term_at:
            seen.told_at = time.monotonic()
            server.send(signal.SIGTERM)
        ask("/", seen.new.append)
        ask("/ready", lambda status: seen.readiness.append((time.monotonic(), status)))
        time.sleep(0.02)
    seen.probed.append(exec_probe.main(probe))
    for thread in asking:
        thread.join(PATIENCE_SECONDS)
    seen.exit_code = server.exit_code()
    seen.drained_seconds = time.monotonic() - seen.told_at
    seen.log = server.log.read_text()
    return seen


KINDS: dict[str, dict[str, Any]] = {
    "sync": {"options": ("--workers", "4")},
    "gthread": {"options": ("--workers", "2", "--worker-class", "gthread", "--threads", "8")},
    "gthread preloaded": {
        "options": ("--workers", "2", "--worker-class", "gthread", "--threads", "8", "--preload"), "script": True,
    },
    "asgi": {"options": ("--workers", "2", "--worker-class", "asgi"), "application": "asgi"},
}  # fmt: skip


@pytest.fixture(scope="module")
def drains(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """Every kind of worker is drained once, all at the same time."""

    def drain(kind: str) -> Seen:
        keywords = dict(KINDS[kind])
        options = keywords.pop("options")
        with serving(tmp_path_factory.mktemp("drain"), *options, seconds=DRAIN_SECONDS, **keywords) as server:
            server.wait_for_workers(int(options[1]))
            return look_at_a_drain(server)

    with ThreadPoolExecutor(len(KINDS)) as at_once:
        return dict(zip(KINDS, at_once.map(drain, KINDS), strict=True))


@pytest.fixture(params=KINDS)
def seen(request: pytest.FixtureRequest, drains: dict[str, Seen]) -> Seen:
    return drains[request.param]


def test_no_request_fails_while_it_drains(seen: Seen) -> None:
    assert len(seen.new) >= 50 * WINDOW_SECONDS / 4, "there was traffic"
    assert set(seen.new) == {200}


def test_it_says_soon_that_it_is_not_ready(seen: Seen) -> None:
    assert seen.not_ready_after < NOT_READY_SECONDS


def test_every_worker_says_so(seen: Seen) -> None:
    """One that did not hear of it would say at times that it is ready."""
    late = [status for at, status in seen.readiness if at > seen.told_at + NOT_READY_SECONDS]
    assert set(late) == {503}


def test_the_probe_of_the_command_line_hears_of_it(seen: Seen) -> None:
    assert seen.probed == [0, 1]


def test_what_is_in_flight_is_answered(seen: Seen) -> None:
    assert seen.in_flight == [200, 200]


def test_it_ends_well_and_not_before_time(seen: Seen) -> None:
    assert seen.exit_code == 0
    assert DRAIN_SECONDS - 0.1 < seen.drained_seconds < PATIENCE_SECONDS


def test_the_log_tells_when_it_began_and_ended(seen: Seen) -> None:
    begin = seen.log.index("Draining: not ready, but serving for 4 s more, then up to 30 s for what is in flight")
    assert seen.log.count("Draining") == seen.log.count("Drained") == 1
    assert begin < seen.log.index("Drained: stopping") < seen.log.index("Shutting down")


def test_the_configurations_own_hook_is_called_too(seen: Seen) -> None:
    assert seen.log.count("The hook of the configuration itself was called") == 1


def test_workers_come_and_go_while_it_drains(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", "--graceful-timeout", "5") as server:
        first = server.wait_for_workers(2)
        server.start_draining()

        os.kill(min(first), signal.SIGKILL)
        server.wait_for(lambda: server.get("/ready")[1] not in first)
        second = server.wait_for_workers(1, "/ready", without=frozenset(first))
        server.send(signal.SIGTTIN)
        server.wait_for_workers(1, "/ready", without=frozenset(first | second))
        server.send(signal.SIGTTOU)
        server.send(signal.SIGUSR1)
        server.wait_for_log("Handling signal: usr1")

        known = first | second | server.wait_for_workers(2)
        server.send(signal.SIGHUP)
        server.wait_for_workers(2, "/ready", without=frozenset(known))
        assert {server.get("/ready")[0] for _ in range(20)} == {503}, "the new ones drain too"
        assert server.process.poll() is None

        server.send(signal.SIGTERM)
        assert server.exit_code() == 0
        assert server.log.read_text().count("Draining") == 1


def test_a_signal_for_the_whole_process_group_loses_nothing(tmp_path: Path) -> None:
    """As systemd, honcho and dumb-init send it: the workers stop too, and others drain in their place."""
    with serving(tmp_path, "--workers", "2") as server:
        first = server.wait_for_workers(2)
        os.killpg(server.process.pid, signal.SIGTERM)
        answers = [server.get("/") for _ in range(50)]
        assert {status for status, _ in answers} == {200}
        server.wait_for_workers(2, "/ready", without=frozenset(first))
        assert server.get("/ready")[0] == 503
        server.send(signal.SIGTERM)
        assert server.exit_code() == 0


def test_a_hung_worker_is_replaced_while_it_drains(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "1", "--timeout", "2") as server:
        first = server.wait_for_workers(1)
        server.start_draining()
        threading.Thread(target=status_of, args=(server, "/hang"), daemon=True).start()
        server.wait_for_log("WORKER TIMEOUT")
        server.wait_for_workers(1, "/ready", without=frozenset(first))
        assert server.get("/ready")[0] == 503


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda number: number.name)
def test_a_second_signal_ends_the_drain_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as server:
        server.start_draining()
        server.send(number)
        assert server.exit_code() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=lambda number: number.name)
def test_what_stops_at_once_drains_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as server:
        server.send(number)
        assert server.exit_code() == 0
        assert "Drain" not in server.log.read_text()


def test_without_seconds_it_stops_as_gunicorn_does(tmp_path: Path) -> None:
    with serving(tmp_path, seconds=0) as server:
        server.send(signal.SIGTERM)
        assert server.exit_code() == 0
        assert "Drain" not in server.log.read_text()


def test_a_reload_before_leaves_the_drain_as_it_is(tmp_path: Path) -> None:
    with serving(tmp_path, seconds=1) as server:
        first = server.wait_for_workers(1)
        server.send(signal.SIGHUP)
        server.wait_for_workers(1, "/ready", without=frozenset(first))
        assert server.get("/ready")[0] == 200
        server.start_draining()
        assert server.exit_code() == 0
        assert server.log.read_text().count("Drained") == 1


def test_one_that_is_replaced_stops_at_once_and_its_successor_is_ready(tmp_path: Path) -> None:
    """SIGUSR2: both accept on the same socket, so that nothing fails, and a drain would only say not ready for both."""
    running = tmp_path / "pid"
    with serving(tmp_path, "--pid", str(running)) as server:
        first = server.wait_for_workers(1)
        server.send(signal.SIGUSR2)
        server.wait_for_workers(1, without=frozenset(first))
        successor = int(Path(f"{running}.2").read_text())
        server.send(signal.SIGTERM)
        assert server.exit_code() == 0
        assert "Drain" not in server.log.read_text()
        assert {server.get("/ready")[0] for _ in range(20)} == {200}

        server.wait_for_log("Master has been promoted")
        os.kill(successor, signal.SIGTERM)
        server.wait_for(lambda: server.get("/ready")[0] == 503)
        os.kill(successor, signal.SIGTERM)
        server.wait_for_log("Drained: stopping")


def test_a_successor_that_is_taken_back_stops_at_once(tmp_path: Path) -> None:
    running = tmp_path / "pid"
    with serving(tmp_path, "--pid", str(running)) as server:
        first = server.wait_for_workers(1)
        server.send(signal.SIGUSR2)
        server.wait_for_workers(1, without=frozenset(first))
        successor = int(Path(f"{running}.2").read_text())
        os.kill(successor, signal.SIGTERM)
        server.wait_for(lambda: is_gone(successor))
        assert "Drain" not in server.log.read_text()

        server.wait_for(lambda: {server.get("/ready")[1] for _ in range(20)} == first)
        server.start_draining()
        server.send(signal.SIGTERM)
        assert server.exit_code() == 0


TOO_LONG = (
    "A pod is killed 30 s after it was told to stop, but it drains for 20 s (HEALTH_DRAIN_SECONDS) and has up to 10 s "
    "for what is in flight (graceful_timeout): lower one of them, or raise terminationGracePeriodSeconds and say so in "
    "HEALTH_TERMINATION_GRACE_SECONDS"
)


@pytest.mark.parametrize(
    ("seconds", "finishing", "grace", "said"),
    [
        (20, "10", "", TOO_LONG),
        (20, "9", "", ""),
        (20, "10", "31", ""),
        (2, "10", "12", TOO_LONG.replace("30 s", "12 s").replace("20 s", "2 s")),
        (0, "30", "", ""),  # who drains nothing has gunicorn's own defaults, and hears nothing new
    ],
    ids=["as long as the grace", "shorter", "a longer grace", "a shorter grace", "no drain"],
)
def test_one_that_outlasts_the_pod_is_told_of_when_it_starts(
    tmp_path: Path, seconds: float, finishing: str, grace: str, said: str
) -> None:
    with serving(tmp_path, "--graceful-timeout", finishing, seconds=seconds, grace=grace) as server:
        log = server.log.read_text()
        assert log.count("terminationGracePeriodSeconds") == bool(said)
        assert said in log
        assert ("[WARNING]" in log) is bool(said)


def is_gone(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    return False


class StoppedError(Exception):
    """As gunicorn's own ``handle_term`` ends by raising."""


class FakeArbiter:
    def __init__(self) -> None:
        self.cfg = self.log = self
        self.graceful_timeout = 1
        self.master_pid = self.reexec_pid = 0
        self.signals: list[int] = []
        self.said: list[str] = []

    def info(self, message: str, *arguments: object) -> None:
        self.said.append(message % arguments)

    def warning(self, message: str, *arguments: object) -> None:
        """Told when it starts, which is not what is looked at here."""

    def signal(self, sig: int, frame: object) -> None:
        self.signals.append(sig)

    def handle_term(self) -> None:
        raise StoppedError


@pytest.fixture
def arbiter(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeArbiter]:
    """One whose drain leaves neither flag nor alarm behind in the tests' own process."""
    monkeypatch.setattr("health.gunicorn.lifecycle", Lifecycle())
    before = signal.getsignal(signal.SIGALRM)
    timer = signal.getitimer(signal.ITIMER_REAL)
    yield FakeArbiter()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    signal.setitimer(signal.ITIMER_REAL, *timer)


def test_the_alarm_comes_as_one_of_the_arbiters_signals(arbiter: FakeArbiter) -> None:
    drain_before_stopping(seconds=0.05)(arbiter)
    arbiter.handle_term()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not arbiter.signals and time.monotonic() < deadline:
        time.sleep(0.01)
    assert arbiter.signals == [signal.SIGALRM]
    with pytest.raises(StoppedError):
        vars(arbiter)["handle_alrm"]()


def test_a_drain_ended_early_leaves_no_alarm(arbiter: FakeArbiter) -> None:
    drain_before_stopping(seconds=300)(arbiter)
    arbiter.handle_term()
    with pytest.raises(StoppedError):
        arbiter.handle_term()
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_the_first_process_of_a_container_drains(arbiter: FakeArbiter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parent is 0, which must not be taken for the predecessor that it does not have."""
    monkeypatch.setattr(os, "getppid", lambda: 0)
    drain_before_stopping(seconds=300)(arbiter)
    arbiter.handle_term()
    assert arbiter.said


def test_a_successor_whose_predecessor_is_gone_drains(arbiter: FakeArbiter, monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn itself notices that only a second later."""
    monkeypatch.setattr(os, "getppid", lambda: 1)
    arbiter.master_pid = 4711
    drain_before_stopping(seconds=300)(arbiter)
    arbiter.handle_term()
    assert arbiter.said


@pytest.mark.parametrize("attribute", ["reexec_pid", "master_pid"])
def test_beside_another_arbiter_there_is_no_drain(arbiter: FakeArbiter, attribute: str) -> None:
    setattr(arbiter, attribute, os.getppid())
    drain_before_stopping(seconds=300)(arbiter)
    with pytest.raises(StoppedError):
        arbiter.handle_term()
    assert not arbiter.said


def test_gunicorn_takes_it_for_a_hook_of_one_argument() -> None:
    configuration = Config()
    hook = drain_before_stopping(seconds=1)
    configuration.set("on_starting", hook)
    assert configuration.on_starting is hook


@pytest.mark.parametrize(
    ("written", "seconds"), [(None, 10), ("", 10), (" ", 10), ("0", 0), ("2.5", 2.5), ("20", 20)], ids=str
)
def test_the_environment_says_how_long(written: str | None, seconds: float) -> None:
    assert drain_seconds({} if written is None else {"HEALTH_DRAIN_SECONDS": written}) == seconds


@pytest.mark.parametrize("written", ["ten", "-1", "nan", "inf", "1e999", "10s"])
def test_what_is_no_time_is_told_when_it_starts(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("HEALTH_DRAIN_SECONDS", written)
    with pytest.raises(HealthError, match=f"HEALTH_DRAIN_SECONDS must be a number of seconds.*{written}"):
        drain_before_stopping()
    drain_before_stopping(seconds=1)  # not asked where the configuration says it


def test_seconds_in_the_configuration_must_be_some_too() -> None:
    with pytest.raises(HealthError, match="HEALTH_DRAIN_SECONDS"):
        drain_before_stopping(seconds=-1)
    with pytest.raises(HealthError, match="HEALTH_TERMINATION_GRACE_SECONDS"):
        drain_before_stopping(grace_seconds=float("nan"))


def test_a_grace_that_is_no_time_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_TERMINATION_GRACE_SECONDS", "a while")
    with pytest.raises(HealthError, match=r"HEALTH_TERMINATION_GRACE_SECONDS must be a number of seconds.*a while"):
        drain_before_stopping()
    drain_before_stopping(grace_seconds=60)


def test_gunicorns_arbiter_still_has_what_is_used_and_replaced() -> None:
    """Read this when it fails after an update: ``health/gunicorn.py`` stands on gunicorn's insides.

    The tests above show whether it still drains; this one says what went away.
    """
    text = f"health/gunicorn.py does not fit gunicorn {gunicorn.__version__}:"
    arbiter = RealArbiter.__new__(RealArbiter)  # one that was not started
    for name in ("handle_term", "signal"):
        assert callable(getattr(arbiter, name, None)), f"{text} its arbiter has no {name}() any more."
    for name in ("reexec_pid", "master_pid", "cfg", "log"):
        assert name in Arbiter.__annotations__
        assert f"self.{name} = " in arbiter_source(), f"{text} its arbiter keeps no {name} any more."
    dispatch = 'getattr(self, "handle_%s" % signame'
    assert dispatch in arbiter_source(), f"{text} its main loop no longer calls handle_<name> for a signal it has got."
    alarm = RealArbiter.SIG_NAMES.get(signal.SIGALRM)
    assert alarm == "alrm", f"{text} it calls SIGALRM {alarm!r}, so that handle_alrm is never called."
    assert not hasattr(arbiter, "handle_alrm"), f"{text} it handles SIGALRM itself now."
    assert signal.SIGALRM not in RealArbiter.SIGNALS, f"{text} it listens to SIGALRM itself now."
    assert "self.cfg.on_starting(self)" in arbiter_source(), f"{text} on_starting is not given the arbiter any more."


def arbiter_source() -> str:
    return inspect.getsource(sys.modules[RealArbiter.__module__])
