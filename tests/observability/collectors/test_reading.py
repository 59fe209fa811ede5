"""Snapshots: when they are made anew, by how many threads, and what of them is on the page."""

from __future__ import annotations

import logging
import os
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from observability import collectors
from observability.collectors import (
    PATIENCE_SECONDS,
    find_collector,
    forget_collected,
    read_collected,
    skipped_files,
    start_collecting,
)
from observability.errors import CollectorSettingError
from observability.metrics import errors
from observability.registry import Page
from tests.observability.collectors.fakes import GARBAGE, HERE, Rows
from tests.observability.servers import LONG_SECONDS, by_name, our_threads, settled, until, value

PAGE_SECONDS = 0.2
"""Ten times what a page may take while a collector hangs."""
BUSY_SECONDS = 0.9
"""What one page may take by chance on a busy machine; no collector that hangs in these tests is let go so soon."""


def success(families: Any, collector: str = "rows") -> float | None:
    return value(families, "metrics_collector_success", collector=collector)


def age(families: Any, collector: str = "rows") -> float | None:
    return value(families, "metrics_snapshot_age_seconds", collector=collector)


@pytest.fixture
def rows(settings: Any) -> Any:
    settings.OBSERVABILITY_COLLECTORS = (f"{HERE}.Rows",)
    return settings


def quickly() -> dict[str, Any]:
    """A page's reading, which waits for no collector."""
    began = time.monotonic()
    families = read_collected()
    assert time.monotonic() - began < BUSY_SECONDS
    return by_name(families)


# --- how often ------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_served_as_long_as_it_is_fresh(rows: Any) -> None:
    assert [value(settled(), "test_rows") for _ in range(3)] == [1, 1, 1]
    assert Rows.is_made_of == 1


def test_an_old_snapshot_is_made_anew(rows: Any) -> None:
    rows.OBSERVABILITY_SNAPSHOT_SECONDS = 0.2
    assert value(settled(), "test_rows") == 1
    time.sleep(0.3)
    assert value(settled(), "test_rows") == 2
    assert Rows.is_made_of == 1


def test_a_collector_may_say_how_long_its_snapshot_is_fresh(settings: Any) -> None:
    settings.OBSERVABILITY_COLLECTORS = (f"{HERE}.Patient",)
    settings.OBSERVABILITY_SNAPSHOT_SECONDS = 0.1
    settled()
    time.sleep(0.2)
    families = settled()
    assert value(families, "test_rows") == 1
    assert success(families, "patient") == 1
    seconds = age(families, "patient")
    assert seconds is not None
    assert seconds > 0.15


def test_fifty_threads_have_one_refresh(rows: Any) -> None:
    rows.OBSERVABILITY_SNAPSHOT_SECONDS = 0.5
    Rows.seconds = 0.3
    barrier = threading.Barrier(50)

    def read(_: int) -> float | None:
        barrier.wait()
        return value(settled(), "test_rows")

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(read, range(50))) == {1.0}
        assert Rows.runs == 1
        time.sleep(0.6)
        assert set(pool.map(read, range(50))) == {2.0}
    assert Rows.runs == 2


def test_a_refresh_may_begin_before_the_page_is_made(rows: Any) -> None:
    start_collecting()
    until(lambda: Rows.runs == 1 and not our_threads())
    assert value(quickly(), "test_rows") == 1
    assert Rows.runs == 1


def test_what_a_run_took_is_told(rows: Any) -> None:
    Rows.seconds = 0.2
    took = value(settled(), "metrics_collector_duration_seconds", collector="rows")
    assert took is not None
    assert took >= 0.2


# --- hanging --------------------------------------------------------------------------------------------------------


def test_the_first_page_is_served_without_what_hangs(rows: Any) -> None:
    Rows.flows.clear()
    families = quickly()
    assert "test_rows" not in families
    assert success(families) is None
    assert success(families, "processes") == 1


def test_a_stale_snapshot_is_served_and_marked_while_its_collector_hangs(rows: Any) -> None:
    rows.OBSERVABILITY_SNAPSHOT_SECONDS = 0.1
    rows.OBSERVABILITY_COLLECT_TIMEOUT_SECONDS = 0.5
    settled()
    Rows.flows.clear()
    time.sleep(0.2)
    families = quickly()
    assert value(families, "test_rows") == 1
    assert success(families) == 1  # not overdue yet
    time.sleep(0.6)
    families = quickly()
    assert value(families, "test_rows") == 1
    assert success(families) == 0
    seconds = age(families)
    assert seconds is not None
    assert seconds > 0.7


def test_a_hung_collector_has_one_thread_however_often_it_is_asked(rows: Any) -> None:
    rows.OBSERVABILITY_SNAPSHOT_SECONDS = 0.05
    rows.OBSERVABILITY_COLLECT_TIMEOUT_SECONDS = 0.1
    Rows.flows.clear()
    for _ in range(20):
        quickly()
        time.sleep(0.05)
    assert Rows.runs == 1
    assert our_threads() == ["observability-rows"]


def test_a_hung_collector_is_told_as_late_though_nobody_asks(rows: Any, caplog: pytest.LogCaptureFixture) -> None:
    rows.OBSERVABILITY_COLLECT_TIMEOUT_SECONDS = 0.1
    Rows.flows.clear()
    quickly()
    until(lambda: "rows is of no use: it does not come back" in caplog.text)


def test_a_collector_that_comes_back_is_well_again(rows: Any) -> None:
    rows.OBSERVABILITY_SNAPSHOT_SECONDS = 0.1
    rows.OBSERVABILITY_COLLECT_TIMEOUT_SECONDS = 0.1
    settled()
    Rows.flows.clear()
    time.sleep(0.2)
    quickly()
    until(lambda: success(quickly()) == 0)
    Rows.flows.set()
    until(lambda: success(quickly()) == 1)
    seconds = age(quickly())
    assert seconds is not None
    assert seconds < LONG_SECONDS


def test_a_late_answer_is_an_answer(rows: Any) -> None:
    rows.OBSERVABILITY_COLLECT_TIMEOUT_SECONDS = 0.1
    Rows.seconds = 0.4
    families = settled()
    assert (value(families, "test_rows"), success(families)) == (1, 1)


def test_a_page_comes_in_time_whenever_it_finds_a_collector_hanging(rows: Any) -> None:
    Rows.flows.clear()
    times = []
    for _ in range(9):
        forget_collected()
        began = time.monotonic()
        read_collected()
        times.append(time.monotonic() - began)
    assert Rows.runs == 9
    assert statistics.median(times) < PAGE_SECONDS


def test_several_that_hang_are_waited_for_together(settings: Any) -> None:
    settings.OBSERVABILITY_COLLECTORS = (f"{HERE}.Rows", f"{HERE}.Patient")
    Rows.flows.clear()
    times = []
    for _ in range(21):
        began = time.monotonic()
        quickly()
        times.append(time.monotonic() - began)
    assert statistics.median(times) < PATIENCE_SECONDS  # what was waited for once is not waited for again


def test_where_there_are_no_more_threads_the_page_is_made(rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    families = quickly()
    assert success(families) == 0
    assert "test_rows" not in families


# --- failing --------------------------------------------------------------------------------------------------------


def test_a_collector_that_raises_shows_nothing_and_fails_alone(settings: Any) -> None:
    settings.OBSERVABILITY_COLLECTORS = (f"{HERE}.Rows", f"{HERE}.OtherHTTPRows")
    settings.OBSERVABILITY_SNAPSHOT_SECONDS = 0.1
    assert value(settled(), "test_rows") == 1
    before = errors.at("collector", "error").value()
    Rows.error = ValueError("password=secret")
    time.sleep(0.2)
    families = settled()
    assert "test_rows" not in families
    assert (success(families), age(families)) == (0, None)
    assert value(families, "test_other_rows") == 7
    assert success(families, "other_http_rows") == 1
    assert errors.at("collector", "error").value() == before + 1
    Rows.error = None
    time.sleep(0.2)
    families = settled()
    assert (value(families, "test_rows"), success(families)) == (3, 1)


def test_an_error_is_logged_once_until_it_changes_and_never_its_text(
    rows: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rows.OBSERVABILITY_SNAPSHOT_SECONDS = 0.01
    with caplog.at_level(logging.INFO, "observability"):
        for error in (ValueError("secret"), ValueError("secret 2"), OSError("secret"), None, ValueError("secret")):
            Rows.error = error
            for _ in range(3):
                settled()
                time.sleep(0.02)
    told = [record.message for record in caplog.records]
    assert told == [
        "The collector rows is of no use: ValueError.",
        "The collector rows is of no use: OSError.",
        "The collector rows is well again.",
        "The collector rows is of no use: ValueError.",
    ]


def test_a_logs_handler_that_raises_harms_nothing(rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the disk is full")

    handler = Refusing()
    logger = logging.getLogger("observability")
    logger.addHandler(handler)
    try:
        Rows.error = ValueError()
        assert success(settled()) == 0
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_its_collectors_own_failure(settings: Any, name: str) -> None:
    settings.OBSERVABILITY_COLLECTORS = (f"{HERE}.garbage_{name}", f"{HERE}.OtherHTTPRows")
    families = settled()
    assert value(families, "test_other_rows") == 7
    assert not [family for family in families if "garbage" in family]
    about = families["metrics_collector_success"].samples
    assert sorted(sample.value for sample in about) == [0, 1, 1, 1]
    page = generate_latest(Page(families.values()))
    assert b"garbage" not in page.replace(f"garbage_{name}".encode(), b"")
    generate_openmetrics(Page(families.values()))


def test_a_collector_keeps_no_hand_on_its_snapshot(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.observability.collectors import fakes

    settings.OBSERVABILITY_COLLECTORS = (f"{HERE}.rows_again",)
    families = settled()
    (sample,) = fakes.rows_again._families[0].samples
    sample.labels["late"] = "\ud800"
    families["test_rows"].samples.clear()
    assert value(settled(), "test_rows") == 99
    sample.labels.clear()


# --- which ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "", "nowhere", "nowhere.at.all", f"{HERE}.nothing", f"{HERE}.no_collector", f"{HERE}.Unmakeable", "sys.exit",
        "tests.observability.collectors.exits_when_imported.Rows",
    ],
)  # fmt: skip
def test_an_entry_that_makes_no_collector_fails_under_its_path(settings: Any, path: str) -> None:
    settings.OBSERVABILITY_COLLECTORS = (path, f"{HERE}.OtherHTTPRows")
    families = settled()
    assert success(families, path) == 0
    assert value(families, "test_other_rows") == 7
    with pytest.raises(CollectorSettingError) as caught:
        find_collector(path)
    assert caught.value.path == path


def test_a_collector_that_cannot_be_made_fails_and_is_tried_again(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.OBSERVABILITY_COLLECTORS = (f"{HERE}.BreaksWhenMade",)
    assert success(settled(), "breaks_when_made") == 0
    assert "secret" not in caplog.text


def test_what_a_collector_says_of_itself_may_be_nonsense(settings: Any) -> None:
    settings.OBSERVABILITY_COLLECTORS = (f"{HERE}.SaysNonsense",)
    families = settled()
    assert value(families, "test_nonsense") == 1
    assert success(families, "says_nonsense") == 1


def test_two_of_one_name_are_told_apart(settings: Any) -> None:
    settings.OBSERVABILITY_COLLECTORS = (f"{HERE}.Rows", f"{HERE}.namesake")
    families = settled()
    assert (success(families), success(families, f"{HERE}.namesake")) == (1, 1)
    assert value(families, "test_namesake") == 1


def test_series_of_one_family_may_come_from_several(settings: Any) -> None:
    settings.OBSERVABILITY_COLLECTORS = (f"{HERE}.Rows", f"{HERE}.rows_of_another_kind")
    families = settled()
    assert (value(families, "test_rows"), value(families, "test_rows", kind="other")) == (1, 3)


@pytest.mark.parametrize("second", ["rows_again", "rows_as_counter"])
def test_a_series_that_another_has_fails_the_second(settings: Any, second: str) -> None:
    settings.OBSERVABILITY_COLLECTORS = (f"{HERE}.Rows", f"{HERE}.{second}")
    families = settled()
    assert value(families, "test_rows") == 1
    assert success(families) == 1
    assert [sample.value for sample in families["metrics_collector_success"].samples].count(0) == 1


def test_a_clash_is_logged_once_until_it_changes(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.OBSERVABILITY_COLLECTORS = (f"{HERE}.Rows", f"{HERE}.rows_again")
    settings.OBSERVABILITY_SNAPSHOT_SECONDS = 0.01
    with caplog.at_level(logging.INFO, "observability"):
        for error in (None, OSError("secret"), None):
            Rows.error = error
            for _ in range(5):
                settled()
                time.sleep(0.02)
    told = [record.message.removeprefix("The collector ") for record in caplog.records]
    clash = "rows_again is of no use: it yields “test_rows”, of which another collector has a series or the name."
    assert told == [
        clash,
        "rows is of no use: OSError.",
        "rows_again is well again.",
        "rows is well again.",
        clash,
    ]


def test_more_collectors_than_there_is_room_for_are_left_out(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collectors, "MOST_COLLECTORS", 3)
    settings.OBSERVABILITY_COLLECTORS = (f"{HERE}.Rows", f"{HERE}.OtherHTTPRows")
    families = settled()
    assert "test_rows" in families
    assert "test_other_rows" not in families


def test_a_changed_setting_forgets_everything(rows: Any) -> None:
    assert value(settled(), "test_rows") == 1
    rows.OBSERVABILITY_VERSION = "2"
    families = settled()
    assert value(families, "test_rows") == 2
    rows.OBSERVABILITY_COLLECTORS = ()
    assert "test_rows" not in settled()


def test_how_many_files_were_skipped_is_a_family_of_the_page() -> None:
    (sample,) = skipped_files.family(3).samples
    assert (sample.name, sample.value) == ("metrics_skipped_files", 3)


# --- forks ----------------------------------------------------------------------------------------------------------


def test_a_forked_child_waits_for_nothing_of_its_parents(rows: Any) -> None:
    Rows.flows.clear()
    quickly()
    assert our_threads()
    held = collectors._sources.all()[-1]
    with collectors._sources._lock, held._lock:  # type: ignore[union-attr]  # it is a Snapshots
        child = os.fork()
        if child == 0:
            code = 1
            try:
                Rows.flows = threading.Event()
                Rows.flows.set()
                families = settled()
                code = 0 if (value(families, "test_rows"), success(families)) == (2, 1) else 2
            finally:
                os._exit(code)
    deadline = time.monotonic() + LONG_SECONDS
    while (status := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.02)
    assert os.waitstatus_to_exitcode(status[1]) == 0
    assert Rows.runs == 1
    Rows.flows.set()
    until(lambda: success(quickly()) == 1)


def test_forgetting_ends_what_goes_on(rows: Any) -> None:
    Rows.flows.clear()
    quickly()
    forget_collected()
    Rows.flows.set()
    until(lambda: not our_threads())
    assert value(settled(), "test_rows") == 2
