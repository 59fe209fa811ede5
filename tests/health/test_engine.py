"""The engine: one run for all who ask, nobody waits beyond a deadline, and what hung is left behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from django.dispatch import Signal

from health import engine as engine_module
from health import runner
from health.base import Check, Finding
from health.engine import Engine, get_engine, stop_engine
from health.errors import UnknownComponentError
from health.signals import component_checked, status_changed
from health.status import ComponentHealth, HealthStatus, overall

DEADLINE = 0.3
SOON = 0.15  # what a busy machine may add to a wait; an idle one adds a millisecond
AT_ONCE = 0.1  # far above the 20 ms it should take, far below any deadline
RECOVERY_SECONDS = 2.0
SECRET = "hunter2"


class Dependency:
    """What the checks below ask: it can hang, be slow or refuse, and counts who asks."""

    def __init__(self) -> None:
        self.behave: Callable[[], object] = lambda: None
        self.runs: list[float] = []
        self.at_once = self.most_at_once = 0
        self.live_instances: list[int] = []
        self.dead_instances: set[int] = set()
        self.closed: list[int] = []
        self.released = threading.Event()
        self.lock = threading.Lock()

    def hang(self) -> None:
        """Until it is released, even for those that are interrupted."""
        self.behave = lambda: self.released.wait(60)

    def answer(self) -> None:
        with self.lock:
            self.runs.append(time.monotonic())
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.behave()
        finally:
            with self.lock:
                self.at_once -= 1


@dataclass(kw_only=True)
class Asking(Check):
    """Asks the dependency."""

    dependency: Dependency
    deadline_seconds: float = DEADLINE
    messages: ClassVar[dict[str, str]] = {"fine": "It is fine."}
    cut: threading.Event = field(default_factory=threading.Event, init=False, repr=False, compare=False)

    def run(self) -> Finding:
        self.dependency.answer()
        return self.found(HealthStatus.HEALTHY, "fine")

    def interrupt(self) -> None:
        self.cut.set()

    def close(self) -> None:
        self.dependency.closed.append(id(self))


@pytest.fixture
def dependency() -> Iterator[Dependency]:
    one = Dependency()
    yield one
    one.released.set()


@pytest.fixture
def engine_of() -> Iterator[Callable[..., Engine]]:
    made: list[Engine] = []

    def make(*checks: Check) -> Engine:
        made.append(Engine(checks))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def heard() -> Iterator[list[tuple[str, HealthStatus, Any]]]:
    told: list[tuple[str, HealthStatus, Any]] = []

    def on_checked(sender: object, component: ComponentHealth, **_: Any) -> None:
        if component.name == "heard":  # a thread of another test may still be ending
            told.append(("checked", component.status, None))

    def on_changed(sender: object, component: ComponentHealth, previous: HealthStatus | None, **_: Any) -> None:
        if component.name == "heard":
            told.append(("changed", component.status, previous))

    def on_anything(sender: object, **_: Any) -> None:
        raise ValueError(SECRET)

    listeners: list[tuple[Signal, Callable[..., None]]] = [
        (component_checked, on_anything),
        (component_checked, on_checked),
        (status_changed, on_changed),
    ]
    for told_by, listener in listeners:
        told_by.connect(listener)
    yield told
    for told_by, listener in listeners:
        told_by.disconnect(listener)


def look(engine: Engine, name: str = "one") -> tuple[ComponentHealth, float]:
    began = time.monotonic()
    (component,) = engine.look([name])
    return component, time.monotonic() - began


def threads_of(name: str) -> int:
    return sum(thread.name == f"health-{name}" for thread in threading.enumerate())


def wait_until(is_so: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- well -------------------------------------------------------------------------------------------------------------


def test_fifty_who_ask_at_once_share_one_run(dependency: Dependency, engine_of: Callable[..., Engine]) -> None:
    dependency.behave = lambda: time.sleep(0.1)
    engine = engine_of(Asking(name="one", dependency=dependency))
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda _: look(engine)[0].status, range(50)))
    assert found == [HealthStatus.HEALTHY] * 50
    assert len(dependency.runs) == 1


def test_a_second_of_questions_costs_one_run(dependency: Dependency, engine_of: Callable[..., Engine]) -> None:
    engine = engine_of(Asking(name="one", dependency=dependency))
    asked_until = time.monotonic() + 2.5
    while time.monotonic() < asked_until:
        assert look(engine)[0].status is HealthStatus.HEALTHY
    between = [later - earlier for earlier, later in zip(dependency.runs, dependency.runs[1:], strict=False)]
    assert 2 <= len(dependency.runs) <= 3
    assert min(between) >= 1.0
    assert threads_of("one") == 1


def test_what_was_found_has_an_age_and_a_duration(dependency: Dependency, engine_of: Callable[..., Engine]) -> None:
    dependency.behave = lambda: time.sleep(0.05)
    engine = engine_of(Asking(name="one", dependency=dependency, critical=False))
    assert engine.known() == ()
    first, _ = look(engine)
    time.sleep(0.1)
    again, _ = look(engine)
    assert first.message == "It is fine."
    assert 50 <= first.check_duration_ms == again.check_duration_ms
    assert first.checked_at == again.checked_at
    assert again.age_ms >= 100 > first.age_ms
    assert not first.critical
    assert [one.name for one in engine.known()] == ["one"]


def test_a_component_that_there_is_not_is_named_with_those_there_are(engine_of: Callable[..., Engine]) -> None:
    with pytest.raises(UnknownComponentError, match=r"two.*Known components: one"):
        engine_of(Asking(name="one", dependency=Dependency())).look(["two"])


def test_only_the_startup_probe_asks_what_is_for_it(engine_of: Callable[..., Engine]) -> None:
    engine = engine_of(
        Asking(name="one", dependency=Dependency()), Asking(name="two", dependency=Dependency(), startup_only=True)
    )
    assert engine.names(startup=False) == ["one"]
    assert engine.names(startup=True) == ["one", "two"]
    assert engine.names(startup=True, exclude=["one", "three"]) == ["two"]


# --- failing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, RecursionError, UnicodeError])
def test_what_a_check_raises_is_unhealthy_by_name_and_never_by_text(
    error: type[BaseException], dependency: Dependency, engine_of: Callable[..., Engine]
) -> None:
    def fail() -> None:
        raise error(SECRET)

    dependency.behave = fail
    component, seconds = look(engine_of(Asking(name="one", dependency=dependency)))
    assert component.status is HealthStatus.UNHEALTHY
    assert component.message == f"It failed ({error.__name__})."
    assert seconds < AT_ONCE


def test_a_check_that_returns_rubbish_is_unhealthy(engine_of: Callable[..., Engine]) -> None:
    @dataclass(kw_only=True)
    class Rubbish(Check):
        def run(self) -> Any:
            return True

    assert look(engine_of(Rubbish(name="one")))[0].status is HealthStatus.UNHEALTHY


def test_a_message_that_is_not_listed_is_never_shown(engine_of: Callable[..., Engine]) -> None:
    @dataclass(kw_only=True)
    class Talkative(Check):
        def run(self) -> Finding:
            return self.found(HealthStatus.HEALTHY, SECRET)

    component, _ = look(engine_of(Talkative(name="one")))
    assert component.status is HealthStatus.UNHEALTHY
    assert SECRET not in component.message


@pytest.mark.parametrize("fault", ["fails", "hangs"])
def test_nothing_worse_than_its_worst_is_reported(
    fault: str, dependency: Dependency, engine_of: Callable[..., Engine]
) -> None:
    def fail() -> None:
        raise OSError

    dependency.behave = fail
    if fault == "hangs":
        dependency.hang()
    engine = engine_of(Asking(name="one", dependency=dependency, worst=HealthStatus.DEGRADED))
    assert look(engine)[0].status is HealthStatus.DEGRADED


@pytest.mark.filterwarnings("ignore")
def test_where_no_thread_can_be_started_the_component_is_unhealthy(
    heard: list[Any], dependency: Dependency, engine_of: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    engine = engine_of(Asking(name="heard", dependency=dependency))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        component, seconds = look(engine, "heard")
    assert component.status is HealthStatus.UNHEALTHY
    assert component.message == "No thread could be started for it."
    assert seconds < AT_ONCE
    assert heard == [("checked", HealthStatus.UNHEALTHY, None), ("changed", HealthStatus.UNHEALTHY, None)]
    wait_until(lambda: look(engine, "heard")[0].status is HealthStatus.HEALTHY)


def test_a_check_that_cannot_be_made_is_unhealthy_until_it_can(
    dependency: Dependency, engine_of: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Check) -> Check:
        raise OSError(SECRET)

    engine = engine_of(Asking(name="one", dependency=dependency))
    with monkeypatch.context() as patch:
        patch.setattr(Asking, "fresh", refuse)
        assert look(engine)[0].message == "It failed (OSError)."
    wait_until(lambda: look(engine)[0].status is HealthStatus.HEALTHY)


def test_a_log_that_raises_ends_neither_the_check_nor_the_watch(
    dependency: Dependency, engine_of: Callable[..., Engine]
) -> None:
    class Full(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("no space left")

    handler = Full()
    logging.getLogger("health").addHandler(handler)
    try:
        dependency.hang()
        engine = engine_of(Asking(name="one", dependency=dependency))
        assert look(engine)[0].status is HealthStatus.UNHEALTHY
        dependency.released.set()
        dependency.behave = lambda: None
        wait_until(lambda: engine.known()[0].status is HealthStatus.HEALTHY)  # which only the watch can find out
    finally:
        logging.getLogger("health").removeHandler(handler)


# --- hanging ----------------------------------------------------------------------------------------------------------


def test_a_hung_check_is_reported_at_its_deadline_and_at_once_from_then_on(
    dependency: Dependency, engine_of: Callable[..., Engine]
) -> None:
    dependency.hang()
    engine = engine_of(Asking(name="one", dependency=dependency))
    component, seconds = look(engine)
    assert component.status is HealthStatus.UNHEALTHY
    assert component.critical
    assert component.message == "It did not answer within 0.3 s."
    assert DEADLINE <= seconds < DEADLINE + SOON
    asked_until = time.monotonic() + 3.0
    waits = []
    while time.monotonic() < asked_until:
        component, seconds = look(engine)
        assert component.status is HealthStatus.UNHEALTHY
        waits.append(seconds)
        time.sleep(0.005)
    assert sorted(waits)[len(waits) * 99 // 100] < AT_ONCE
    assert dependency.most_at_once <= 2
    assert threads_of("one") <= 2


def test_a_thousand_questions_about_a_hung_check_start_two_threads(
    dependency: Dependency, engine_of: Callable[..., Engine]
) -> None:
    dependency.hang()
    engine = engine_of(Asking(name="one", dependency=dependency))
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda _: look(engine)[0].status, range(1000)))
    assert set(found) == {HealthStatus.UNHEALTHY}
    assert threads_of("one") <= 2
    assert dependency.most_at_once <= 2


def test_a_hung_optional_check_stays_optional_and_holds_up_no_other(
    dependency: Dependency, engine_of: Callable[..., Engine]
) -> None:
    dependency.hang()
    well = Dependency()
    engine = engine_of(
        Asking(name="one", dependency=dependency, critical=False), Asking(name="two", dependency=well, critical=True)
    )
    components = engine.look(["one", "two"])
    assert [one.status for one in components] == [HealthStatus.UNHEALTHY, HealthStatus.HEALTHY]
    assert [one.critical for one in components] == [False, True]
    assert overall(components) is HealthStatus.DEGRADED


@pytest.mark.parametrize("asks_meanwhile", [True, False])
def test_what_is_back_is_seen_within_two_seconds_although_the_old_connection_stays_dead(
    asks_meanwhile: bool, dependency: Dependency, engine_of: Callable[..., Engine]
) -> None:
    is_away = threading.Event()

    @dataclass(kw_only=True)
    class Connected(Asking):
        """The connection of the first run is dead for good; those made in the outage fail when interrupted."""

        def run(self) -> Finding:
            if id(self) in dependency.dead_instances:
                dependency.released.wait(60)
            if is_away.is_set():
                self.cut.wait(60)
                raise ConnectionError
            dependency.live_instances.append(id(self))
            return self.found(HealthStatus.HEALTHY, "fine")

    engine = engine_of(Connected(name="one", dependency=dependency))
    assert look(engine)[0].status is HealthStatus.HEALTHY
    dependency.dead_instances.update(dependency.live_instances)
    is_away.set()
    time.sleep(1.0)
    assert look(engine)[0].status is HealthStatus.UNHEALTHY
    time.sleep(1.0)
    is_away.clear()
    back_at = time.monotonic()
    if not asks_meanwhile:
        time.sleep(RECOVERY_SECONDS)
        assert engine.known()[0].status is HealthStatus.HEALTHY, "the watch asks by itself"
    wait_until(lambda: look(engine)[0].status is HealthStatus.HEALTHY)
    assert time.monotonic() - back_at < RECOVERY_SECONDS + SOON


def test_a_hung_run_is_interrupted_and_its_failing_then_is_not_taken_for_an_answer(
    engine_of: Callable[..., Engine],
) -> None:
    cut = threading.Event()

    @dataclass(kw_only=True)
    class Interruptible(Check):
        deadline_seconds: float = DEADLINE

        def run(self) -> Finding:
            cut.wait(60)
            raise ConnectionError

        def interrupt(self) -> None:
            cut.set()

    engine = engine_of(Interruptible(name="one"))
    began = time.monotonic()
    look(engine)
    assert cut.wait(5)
    assert 2 * DEADLINE <= time.monotonic() - began < 2 * DEADLINE + SOON
    wait_until(lambda: engine._runners["one"]._idle is not None)  # what it raised has been judged
    assert look(engine)[0].message == "It did not answer within 0.3 s."


def test_what_answers_late_is_degraded_and_stays_so_without_flapping(
    dependency: Dependency, engine_of: Callable[..., Engine]
) -> None:
    dependency.behave = lambda: time.sleep(DEADLINE * 1.4)
    engine = engine_of(Asking(name="one", dependency=dependency))
    assert look(engine)[0].status is HealthStatus.UNHEALTHY, "nobody can know yet that it will answer"
    wait_until(lambda: look(engine)[0].status is HealthStatus.DEGRADED)
    asked_until = time.monotonic() + 3.0
    while time.monotonic() < asked_until:
        component, seconds = look(engine)
        assert component.status is HealthStatus.DEGRADED
        assert component.message == "It answered after 0.4 s, later than its deadline of 0.3 s."
        assert seconds < AT_ONCE
        time.sleep(0.01)
    dependency.hang()
    wait_until(lambda: look(engine)[0].status is HealthStatus.UNHEALTHY)
    dependency.released.set()
    dependency.behave = lambda: None
    wait_until(lambda: look(engine)[0].status is HealthStatus.HEALTHY)


def test_the_answer_of_a_run_that_was_overtaken_changes_nothing(engine_of: Callable[..., Engine]) -> None:
    runs: list[int] = []
    release = threading.Event()

    @dataclass(kw_only=True)
    class Overtaken(Check):
        deadline_seconds: float = DEADLINE
        messages: ClassVar[dict[str, str]] = {"old": "Old.", "new": "New."}

        def run(self) -> Finding:
            runs.append(1)
            if len(runs) > 1:
                return self.found(HealthStatus.HEALTHY, "new")
            release.wait(60)
            return self.found(HealthStatus.DEGRADED, "old")

    engine = engine_of(Overtaken(name="one"))
    look(engine)
    wait_until(lambda: look(engine)[0].message == "New.")
    release.set()
    wait_until(lambda: threads_of("one") == 1)
    assert engine.known()[0].message == "New."


def test_what_is_asked_seldom_is_asked_seldom_when_it_is_slow(
    dependency: Dependency, engine_of: Callable[..., Engine]
) -> None:
    dependency.behave = lambda: time.sleep(DEADLINE * 1.4)
    engine = engine_of(Asking(name="one", dependency=dependency, fresh_seconds=2.5))
    asked_until = time.monotonic() + 4.0
    while time.monotonic() < asked_until:
        look(engine)
        time.sleep(0.05)
    assert len(dependency.runs) <= 2
    assert dependency.most_at_once == 1, "what is slow is not asked twice at a time"


def test_what_is_asked_seldom_is_asked_soon_while_it_is_unhealthy(
    dependency: Dependency, engine_of: Callable[..., Engine]
) -> None:
    def refuse() -> None:
        raise ConnectionError

    dependency.behave = refuse
    engine = engine_of(Asking(name="one", dependency=dependency, fresh_seconds=30))
    assert look(engine)[0].status is HealthStatus.UNHEALTHY
    dependency.behave = lambda: None
    back_at = time.monotonic()
    wait_until(lambda: look(engine)[0].status is HealthStatus.HEALTHY)
    assert time.monotonic() - back_at < RECOVERY_SECONDS


def test_who_asks_seldom_is_told_that_it_is_slow_and_not_that_it_is_dead(
    dependency: Dependency, engine_of: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "INTEREST_SECONDS", 0.1)
    dependency.behave = lambda: time.sleep(DEADLINE * 1.4)
    engine = engine_of(Asking(name="one", dependency=dependency))
    look(engine)
    for _ in range(3):
        time.sleep(1.2)
        assert look(engine)[0].status is HealthStatus.DEGRADED


def test_what_fails_after_long_keeps_one_question_waiting_and_no_further_one(
    engine_of: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a database does that refuses only when connecting has timed out, well before a long deadline."""
    monkeypatch.setattr(runner, "TEDIOUS_SECONDS", 0.2)

    @dataclass(kw_only=True)
    class Tedious(Check):
        deadline_seconds: float = 10.0

        def run(self) -> Finding:
            time.sleep(0.5)
            raise ConnectionError

    engine = engine_of(Tedious(name="one"))
    assert look(engine)[1] >= 0.5
    asked_until = time.monotonic() + 3.0
    while time.monotonic() < asked_until:
        component, seconds = look(engine)
        assert component.message == "It failed (ConnectionError)."
        assert seconds < AT_ONCE
        time.sleep(0.02)


def test_an_interrupt_that_blocks_holds_up_no_question(engine_of: Callable[..., Engine]) -> None:
    @dataclass(kw_only=True)
    class Stubborn(Check):
        deadline_seconds: float = DEADLINE

        def run(self) -> Finding:
            time.sleep(4)
            raise OSError

        def interrupt(self) -> None:
            time.sleep(3)

    engine = engine_of(Stubborn(name="one"))
    look(engine)
    time.sleep(DEADLINE * 1.5)
    asked_until = time.monotonic() + 1.5
    while time.monotonic() < asked_until:
        assert look(engine)[1] < DEADLINE + SOON
        time.sleep(0.05)


def test_nobody_asking_for_long_ends_the_watching_and_the_threads(
    dependency: Dependency, engine_of: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "INTEREST_SECONDS", 1.5)
    engine = engine_of(Asking(name="one", dependency=dependency))
    look(engine)
    wait_until(lambda: threads_of("one") == 0)
    assert len(dependency.closed) == 1


def test_a_hung_component_that_nobody_asks_about_is_watched_no_longer(
    engine_of: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "INTEREST_SECONDS", 2.5)
    runs: list[float] = []

    @dataclass(kw_only=True)
    class Interruptible(Check):
        deadline_seconds: float = 0.1

        def __post_init__(self) -> None:
            self.cut = threading.Event()

        def run(self) -> Finding:
            runs.append(time.monotonic())
            self.cut.wait(60)
            self.cut.clear()
            raise ConnectionError

        def interrupt(self) -> None:
            self.cut.set()

    engine = engine_of(Interruptible(name="one"))
    look(engine)
    time.sleep(3.0)
    watched = len(runs)
    assert watched >= 2
    time.sleep(2.5)
    assert len(runs) == watched


# --- on an event loop -------------------------------------------------------------------------------------------------


def test_on_an_event_loop_the_waiting_holds_nobody_up(dependency: Dependency, engine_of: Callable[..., Engine]) -> None:
    dependency.hang()
    engine = engine_of(Asking(name="one", dependency=dependency))

    async def main() -> tuple[list[HealthStatus], int]:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.01)

        beside = asyncio.create_task(others())
        asked = [asyncio.create_task(engine.alook(["one"])) for _ in range(50)]
        asked[0].cancel()
        found = await asyncio.gather(*asked[1:])
        beside.cancel()
        return [components[0].status for components in found], turns

    began = time.monotonic()
    statuses, turns = asyncio.run(main())
    assert DEADLINE <= time.monotonic() - began < DEADLINE + SOON
    assert statuses == [HealthStatus.UNHEALTHY] * 49
    assert turns > 10
    assert len(dependency.runs) == 1


def test_on_an_event_loop_a_fresh_answer_is_read_without_waiting(
    dependency: Dependency, engine_of: Callable[..., Engine]
) -> None:
    engine = engine_of(Asking(name="one", dependency=dependency))
    look(engine)
    asked = engine.alook(["one"])
    with pytest.raises(StopIteration) as done:  # it never gives the loop a turn
        asked.send(None)
    assert done.value.value[0].status is HealthStatus.HEALTHY


# --- telling ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_every_verdict_is_told_and_every_change_logged_once(
    heard: list[Any], dependency: Dependency, engine_of: Callable[..., Engine], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "health")
    engine = engine_of(Asking(name="heard", dependency=dependency))
    look(engine, "heard")
    time.sleep(1.0)
    look(engine, "heard")
    dependency.hang()
    time.sleep(1.0)
    look(engine, "heard")
    wait_until(lambda: len(heard) >= 5)
    assert heard[:5] == [
        ("checked", HealthStatus.HEALTHY, None),
        ("changed", HealthStatus.HEALTHY, None),
        ("checked", HealthStatus.HEALTHY, None),
        ("checked", HealthStatus.UNHEALTHY, None),
        ("changed", HealthStatus.UNHEALTHY, HealthStatus.HEALTHY),
    ]
    assert [
        one.getMessage() for one in caplog.records if one.name == "health.engine" and "heard" in one.getMessage()
    ] == ["heard is unhealthy: It did not answer within 0.3 s."]


# --- processes and settings -------------------------------------------------------------------------------------------


def test_a_forked_child_has_an_engine_of_its_own(settings: Any) -> None:
    settings.HEALTH_CHECKS = dict.fromkeys(["database", "redis", "memory", "migrations"])
    stop_engine()
    parent = get_engine()
    parent.look(["disk"])
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            began = time.monotonic()
            (component,) = get_engine().look(["disk"])
            ok = get_engine() is not parent and time.monotonic() - began < 5 and component.check_duration_ms >= 0
            os.write(writer, b"ok" if ok else b"no")
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        assert answer.read() == "ok"
    assert get_engine() is parent
    stop_engine()


def test_a_child_destroys_nothing_of_its_parents_and_meets_no_lock_of_its(
    dependency: Dependency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parent's connections are open in it too, and closing one would speak on the parent's socket."""
    reader, writer = os.pipe()

    @dataclass(kw_only=True)
    class Connected(Asking):
        def __del__(self) -> None:
            os.write(writer, b"destroyed ")

    stop_engine()
    monkeypatch.setattr(engine_module, "build_checks", lambda: (Connected(name="one", dependency=dependency),))
    look(get_engine())
    with engine_module._lock:  # as if another thread asked at this moment
        child = os.fork()
    if child == 0:
        signal.alarm(10)
        get_engine()
        gc.collect()
        os.write(writer, b"done")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"done"
    stop_engine()
    monkeypatch.undo()
    stop_engine()


def test_a_changed_setting_makes_a_new_engine(settings: Any) -> None:
    stop_engine()
    before = get_engine()
    settings.HEALTH_CHECKS = {"database": None}
    assert get_engine() is not before
    assert "database" not in get_engine().names(startup=True)


def test_stopping_interrupts_what_hangs() -> None:
    cut = threading.Event()

    @dataclass(kw_only=True)
    class Hanging(Check):
        deadline_seconds: float = 0.1

        def run(self) -> Finding:
            cut.wait(60)
            raise ConnectionError

        def interrupt(self) -> None:
            cut.set()

    engine = Engine([Hanging(name="hanging", deadline_seconds=DEADLINE)])
    look(engine, "hanging")
    engine.stop()
    assert cut.is_set()
    wait_until(lambda: threads_of("hanging") == 0)


def test_stopping_lets_go_of_everything(dependency: Dependency) -> None:
    engine = Engine([Asking(name="stopped", dependency=dependency)])
    look(engine, "stopped")
    engine.stop()
    assert threads_of("stopped") == 0
    assert len(dependency.closed) == 1
    assert threads_of("watch") == 0
    time.sleep(1.0)
    assert look(engine, "stopped")[1] < AT_ONCE, "a stopped engine answers what it knew"
