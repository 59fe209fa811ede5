"""The directory's thread and those who wait for it, with tables that answer when the test says so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError
from pytest_django.fixtures import Settings

from ratelimit.identity import directory as module
from ratelimit.identity.directory import LOOKUP_WAIT_SECONDS, Directory
from ratelimit.identity.questions import FreeTurn
from ratelimit.identity.rows import KnownKey
from tests.ratelimit.identity.tables import SOON_SECONDS, Tables, eventually

FREE = FreeTurn()
SLACK_SECONDS = 0.05  # what a busy machine may add to a wait


def fail_with_a_stale_key(
    directory: Directory, tables: Tables, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> threading.Thread:
    """A good key is known but no longer believed, and the database has stopped answering; gives the thread."""
    settings.RATELIMIT_REFRESH_SECONDS = 0.01
    monkeypatch.setattr(module, "LATE_SECONDS", 0.0)
    tables.add("good")
    directory.ask_key("good", FREE).wait()
    tables.error = OperationalError()
    eventually(lambda: not directory._is_answering)
    thread = directory._thread
    assert thread is not None
    return thread


def is_revoked(directory: Directory, name: str) -> bool:
    """As a request finds it."""
    return (directory.find_key(name) or directory.ask_key(name, FREE).wait()).rejection == "revoked"


def seconds_of(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


# --- asking -----------------------------------------------------------------------------------------------------------


def test_a_key_is_read_once_and_then_known(directory: Directory, tables: Tables) -> None:
    good = tables.add("good")
    assert directory.find_key("good") is None
    assert directory.ask_key("good", FREE).wait() is good
    assert directory.find_key("good") is good
    assert tables.reads == [["good"]]


def test_a_key_that_is_not_there_is_read_once_and_then_known_not_to_be(directory: Directory, tables: Tables) -> None:
    assert directory.ask_key("bad", FREE).wait().rejection == "unknown"
    known = directory.find_key("bad")
    assert known is not None
    assert known.rejection == "unknown"


def test_a_users_tier_is_read_once_and_then_known(directory: Directory, tables: Tables) -> None:
    tables.tiers[7] = "premium"
    assert directory.ask_user_tier(7).wait() == "premium"
    assert directory.ask_user_tier(8).wait() == "api_key"
    assert (directory.find_user_tier(7), directory.find_user_tier(8)) == ("premium", "api_key")


def test_the_event_loop_waits_without_blocking(directory: Directory, tables: Tables) -> None:
    good = tables.add("good")
    tables.may_answer.clear()

    async def wait_and_work() -> tuple[KnownKey, int]:
        worked = 0
        waiting = asyncio.ensure_future(directory.ask_key("good", FREE).wait_async())
        while not waiting.done():
            await asyncio.sleep(0.001)
            worked += 1
            if worked == 5:
                tables.may_answer.set()
        return waiting.result(), worked

    answer, worked = asyncio.run(wait_and_work())
    assert answer is good
    assert worked >= 5


def test_many_who_ask_for_one_key_cost_one_query(directory: Directory, tables: Tables) -> None:
    good = tables.add("good")
    tables.may_answer.clear()
    questions = [directory.ask_key("good", FREE) for _ in range(20)]
    tables.may_answer.set()
    assert {id(question.wait()) for question in questions} == {id(good)}
    assert tables.reads == [["good"]]


def test_keys_that_pile_up_are_read_together(directory: Directory, tables: Tables) -> None:
    names = [f"key {number}" for number in range(300)]
    for name in names:
        tables.add(name)
    tables.may_answer.clear()
    questions = [directory.ask_key(name, FREE) for name in names]
    tables.may_answer.set()
    assert all(question.wait().identity for question in questions)
    assert len(tables.reads) <= 3


def test_two_hundred_good_keys_at_once_are_all_known(directory: Directory, tables: Tables) -> None:
    names = [f"key {number}" for number in range(200)]
    for name in names:
        tables.add(name)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda name: directory.ask_key(name, FREE).wait(), names))
    assert all(answer.identity for answer in answers)


# --- a database that is slow, silent or broken ------------------------------------------------------------------------


def test_nobody_waits_longer_than_50_ms(directory: Directory, tables: Tables) -> None:
    tables.may_answer.clear()
    question = directory.ask_key("slow", FREE)
    assert seconds_of(question.wait) <= LOOKUP_WAIT_SECONDS + SLACK_SECONDS


def test_on_the_event_loop_neither(directory: Directory, tables: Tables) -> None:
    tables.may_answer.clear()

    async def late() -> tuple[str, float]:
        began = time.perf_counter()
        answer = await directory.ask_key("slow", FREE).wait_async()
        return answer.rejection, time.perf_counter() - began

    rejection, seconds = asyncio.run(late())
    assert rejection == "lookup_timeout"
    assert seconds <= LOOKUP_WAIT_SECONDS + SLACK_SECONDS


def test_after_one_waited_in_vain_the_next_do_not_wait(directory: Directory, tables: Tables) -> None:
    tables.may_answer.clear()
    assert directory.ask_key("slow", FREE).wait().rejection == "lookup_timeout"
    eventually(lambda: not directory._patience())  # the query began a little later than the waiting
    questions = [directory.ask_key(f"slow {number}", FREE) for number in range(50)]
    assert seconds_of(lambda: [question.wait() for question in questions]) < SLACK_SECONDS


def test_an_answer_that_comes_late_is_kept(directory: Directory, tables: Tables) -> None:
    good = tables.add("good")
    tables.may_answer.clear()
    assert directory.ask_key("good", FREE).wait().rejection == "lookup_timeout"
    tables.may_answer.set()
    eventually(lambda: directory.find_key("good") is good)


def test_nothing_is_remembered_of_a_key_without_an_answer(
    directory: Directory, tables: Tables, settings: Settings
) -> None:
    settings.RATELIMIT_REFRESH_SECONDS = 0.01
    tables.error = OperationalError()
    assert directory.ask_key("good", FREE).wait().rejection == "lookup_failed"
    assert directory.find_key("good") is None
    good = tables.add("good")
    tables.error = None
    eventually(lambda: directory.ask_key("good", FREE).wait() is good)


def test_what_was_known_holds_while_the_database_fails(
    directory: Directory, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = tables.add("good")
    directory.ask_key("good", FREE).wait()
    tables.error = OperationalError()
    directory.ask_key("another", FREE).wait()
    monkeypatch.setattr("ratelimit.identity.shelf.monotonic", lambda: time.monotonic() + 3600)
    assert directory.find_key("good") is good


def test_a_stale_row_is_asked_for_and_holds_until_the_answer_comes(
    directory: Directory, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LATE_SECONDS", -600.0)  # believed for no time at all
    good = tables.add("good")
    directory.ask_key("good", FREE).wait()
    assert directory.find_key("good") is None
    tables.may_answer.clear()
    assert directory.ask_key("good", FREE).wait() is good


def test_while_it_fails_questions_make_no_tries_of_their_own(directory: Directory, tables: Tables) -> None:
    tables.error = OperationalError()
    directory.ask_key("one", FREE).wait()
    tries = len(tables.reads)
    for number in range(100):
        assert directory.ask_key(f"key {number}", FREE).wait().rejection == "lookup_failed"
    assert len(tables.reads) == tries


def test_a_round_with_a_silent_database_costs_one_try_whatever_waits(
    directory: Directory, tables: Tables, settings: Settings
) -> None:
    settings.RATELIMIT_REFRESH_SECONDS = 0.2
    for number in range(3):
        tables.add(f"key {number}")
        directory.ask_key(f"key {number}", FREE).wait()
        directory.ask_user_tier(number).wait()
    tables.error = OperationalError()
    eventually(lambda: not directory._is_answering)
    for number in range(3):
        directory.ask_key(f"more {number}", FREE)
        directory.ask_user_tier(f"more {number}")
    tries = len(tables.reads)
    time.sleep(0.5)  # two rounds, or three
    assert len(tables.reads) - tries <= 3


def test_one_line_tells_that_it_fails_and_one_that_it_is_back(
    directory: Directory, tables: Tables, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ratelimit")
    settings.RATELIMIT_REFRESH_SECONDS = 0.01
    tables.add("good")
    directory.ask_key("good", FREE).wait()
    tables.error = OperationalError("password=hunter2")
    tries = len(tables.reads) + 4
    eventually(lambda: len(tables.reads) > tries)
    tables.error = None
    eventually(lambda: len(caplog.records) > 1)
    assert [record.getMessage() for record in caplog.records] == [
        "API keys and tiers cannot be read (OperationalError): the last known hold.",
        "API keys and tiers can be read again.",
    ]


def test_no_more_than_a_thousand_keys_wait(directory: Directory, tables: Tables) -> None:
    tables.may_answer.clear()
    directory.ask_key("slow", FREE).wait()
    for number in range(3000):
        directory.ask_key(f"key {number}", FREE)
    assert len(directory._keys.asked) == 1000
    assert directory.ask_key("one more", FREE).wait().rejection == "lookup_failed"


def test_a_process_that_gets_no_thread_refuses_and_goes_on(
    directory: Directory, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert directory.ask_key("good", FREE).wait().rejection == "lookup_failed"
    good = tables.add("good")
    assert directory.ask_key("good", FREE).wait() is good


# --- refreshing -------------------------------------------------------------------------------------------------------


def test_rows_in_use_are_read_again_and_changes_seen(directory: Directory, tables: Tables, settings: Settings) -> None:
    settings.RATELIMIT_REFRESH_SECONDS = 0.01
    tables.add("good")
    tables.tiers[7] = "premium"
    directory.ask_key("good", FREE).wait()
    directory.ask_user_tier(7).wait()
    tables.keys["good"] = KnownKey(None, "revoked")
    tables.tiers.clear()
    eventually(lambda: getattr(directory.find_key("good"), "rejection", "") == "revoked")
    eventually(lambda: directory.find_user_tier(7) == "api_key")


def test_many_rows_are_read_in_parts_and_questions_answered_between(
    directory: Directory, tables: Tables, settings: Settings
) -> None:
    for number in range(1200):
        tables.add(f"key {number}")
    for number in range(1200):
        directory.ask_key(f"key {number}", FREE)
    eventually(lambda: not directory._keys.asked)
    assert max(len(read) for read in tables.reads) <= 500


def test_a_process_in_which_nothing_is_in_use_keeps_no_thread(
    directory: Directory, tables: Tables, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RATELIMIT_REFRESH_SECONDS = 0.01
    good = tables.add("good")
    directory.ask_key("good", FREE).wait()
    thread = directory._thread
    assert thread is not None
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr("ratelimit.identity.shelf.IDLE_SECONDS", 0.0)
    thread.join(SOON_SECONDS)
    assert not thread.is_alive()
    assert directory.ask_key("good", FREE).wait() is good


def test_a_key_revoked_while_the_database_failed_is_refused_after_the_thread_has_ended(
    directory: Directory, tables: Tables, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = fail_with_a_stale_key(directory, tables, settings, monkeypatch)
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.0)
    thread.join(SOON_SECONDS)
    assert not thread.is_alive()
    tables.error = None
    tables.keys["good"] = KnownKey(None, "revoked")
    eventually(lambda: is_revoked(directory, "good"))


def test_that_the_database_is_back_is_noticed_though_nothing_is_in_use(
    directory: Directory, tables: Tables, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratelimit.identity.shelf.IDLE_SECONDS", 0.0)
    settings.RATELIMIT_REFRESH_SECONDS = 0.01
    monkeypatch.setattr(module, "LATE_SECONDS", 0.0)
    tables.add("good")
    directory.ask_key("good", FREE).wait()
    tables.error = OperationalError()
    directory.ask_key("another", FREE).wait()
    eventually(lambda: not directory._is_answering)
    tables.error = None
    eventually(lambda: directory.find_key("good") is None)


def test_the_thread_does_not_keep_the_process(directory: Directory, tables: Tables) -> None:
    directory.ask_key("any", FREE).wait()
    assert directory._thread is not None
    assert directory._thread.daemon


# --- when a key was last used -----------------------------------------------------------------------------------------


def test_a_use_is_written_once_a_minute(directory: Directory, tables: Tables, settings: Settings) -> None:
    settings.RATELIMIT_REFRESH_SECONDS = 0.01
    tables.add("good")
    tables.keys["bad"] = KnownKey(None, "revoked")
    directory.ask_key("good", FREE).wait()
    directory.ask_key("bad", FREE).wait()
    eventually(lambda: bool(tables.written))
    reads = len(tables.reads) + 5
    while len(tables.reads) < reads:
        directory.find_key("good")
        directory.find_key("bad")
    assert tables.written == [[1]]


def test_a_use_that_cannot_be_written_is_counted_dropped_and_told_once(
    directory: Directory, tables: Tables, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ratelimit")
    settings.RATELIMIT_REFRESH_SECONDS = 0.01
    tables.write_error = OperationalError("attempt to write a readonly database")
    for name in ("one", "two"):
        tables.add(name)
        directory.ask_key(name, FREE).wait()
    eventually(lambda: directory.dropped_writes == 2 and bool(caplog.records))
    assert directory.find_key("one") is tables.keys["one"]
    assert len(caplog.records) == 1


# --- forks ------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_starts_its_own_thread_and_leaves_its_parents_alone(
    directory: Directory, tables: Tables
) -> None:
    good = tables.add("good")
    directory.ask_key("good", FREE).wait()
    directory._wake.acquire()  # as another thread might hold it at the moment of the fork
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            other = tables.add("other")
            knows = directory.find_key("good") is good and directory.ask_key("other", FREE).wait() is other
            status = 0 if knows else 1
        os._exit(status)
    directory._wake.release()
    assert os.waitpid(child, 0)[1] == 0
    assert directory.ask_key("another", FREE).wait().rejection == "unknown"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_forked_while_the_database_failed_refuses_a_key_revoked_since(
    directory: Directory, tables: Tables, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with_a_stale_key(directory, tables, settings, monkeypatch)
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            tables.error = None
            tables.keys["good"] = KnownKey(None, "revoked")
            eventually(lambda: is_revoked(directory, "good"))
            status = 0
        os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_changed_settings_are_taken_into_what_is_known(directory: Directory, tables: Tables) -> None:
    tables.add("good")
    directory.ask_key("good", FREE).wait()
    directory.forget()
    assert directory.find_key("good") is None
