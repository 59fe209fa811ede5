"""What keys nobody knows cost the address they come from, and what they must not cost others there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError
from django.test import RequestFactory

from ratelimit.identity import Identity, aresolve, resolve, resolver
from ratelimit.identity import directory as module
from ratelimit.identity.directory import Directory
from ratelimit.identity.rows import KnownKey
from ratelimit.identity.suspects import FAILED_LOOKUPS, Suspects
from ratelimit.keys import hash_of, new_key
from ratelimit.signals import identity_rejected
from tests.ratelimit.identity.tables import SOON_SECONDS, Tables, eventually

CROWD = 60


@pytest.fixture(autouse=True)
def process(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "get_directory", lambda: directory)
    monkeypatch.setattr(resolver, "_suspects", Suspects())
    monkeypatch.setattr(module, "LOOKUP_WAIT_SECONDS", SOON_SECONDS)  # however busy the machine is


@pytest.fixture
def rejections() -> Iterator[list[str]]:
    """The reasons told while a test runs."""
    told: list[str] = []

    def listen(reason: str, **_: Any) -> None:
        told.append(reason)

    identity_rejected.connect(listen)
    yield told
    identity_rejected.disconnect(listen)


def request(text: str) -> Any:
    return RequestFactory().get("/", REMOTE_ADDR="203.0.113.9", HTTP_X_API_KEY=text)


def all_at_once_in_threads(texts: Sequence[str]) -> list[Identity]:
    start = threading.Barrier(len(texts))

    def ask(text: str) -> Identity:
        start.wait()
        return resolve(request(text))

    with ThreadPoolExecutor(len(texts)) as pool:
        return list(pool.map(ask, texts))


def all_at_once_on_the_event_loop(texts: Sequence[str]) -> list[Identity]:
    async def ask() -> list[Identity]:
        return await asyncio.gather(*(aresolve(request(text)) for text in texts))

    return asyncio.run(ask())


everywhere = pytest.mark.parametrize("all_at_once", [all_at_once_in_threads, all_at_once_on_the_event_loop])


def use_up_the_turns() -> None:
    for _ in range(FAILED_LOOKUPS.requests):
        resolve(request(new_key()))


@everywhere
def test_60_guesses_at_once_cause_10_look_ups(
    tables: Tables, directory: Directory, rejections: list[str], monkeypatch: pytest.MonkeyPatch, all_at_once: Any
) -> None:
    monkeypatch.setattr(module, "LOOKUP_WAIT_SECONDS", 0.05)
    tables.may_answer.clear()
    identities = all_at_once([new_key() for _ in range(CROWD)])
    tables.may_answer.set()
    eventually(lambda: not directory._keys.asked)
    assert sum(len(read) for read in tables.reads) == FAILED_LOOKUPS.requests
    assert rejections.count("too_many") == CROWD - FAILED_LOOKUPS.requests
    assert {identity.kind for identity in identities} == {"address"}


@everywhere
def test_60_requests_at_once_with_one_new_key_are_all_known(tables: Tables, all_at_once: Any) -> None:
    text = new_key()
    tables.add(hash_of(text))
    tables.may_answer.clear()
    threading.Timer(0.2, tables.may_answer.set).start()  # by then all have asked
    kinds = [identity.kind for identity in all_at_once([text] * CROWD)]
    assert kinds == ["api_key"] * CROWD


def test_good_keys_cost_their_address_nothing(tables: Tables) -> None:
    for _ in range(3 * FAILED_LOOKUPS.requests):
        text = new_key()
        tables.add(hash_of(text))
        assert resolve(request(text)).kind == "api_key"


def test_look_ups_without_an_answer_cost_their_address_nothing(tables: Tables, directory: Directory) -> None:
    tables.error = OperationalError()
    for _ in range(3 * FAILED_LOOKUPS.requests):
        directory._expect_answers()  # so that each makes a try of its own
        resolve(request(new_key()))
    directory._expect_answers()
    tables.error = None
    text = new_key()
    tables.add(hash_of(text))
    assert resolve(request(text)).kind == "api_key"


def test_a_guess_that_is_answered_too_late_is_paid_for_all_the_same(
    tables: Tables, directory: Directory, rejections: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKUP_WAIT_SECONDS", 0.001)
    tables.may_answer.clear()
    for _ in range(FAILED_LOOKUPS.requests):
        resolve(request(new_key()))
    tables.may_answer.set()
    eventually(lambda: not directory._keys.asked)
    resolve(request(new_key()))
    assert rejections == ["lookup_timeout"] * FAILED_LOOKUPS.requests + ["too_many"]


def test_a_key_that_was_idle_is_read_again_wherever_others_guess(
    tables: Tables, directory: Directory, rejections: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, revoked = new_key(), new_key()
    monkeypatch.setattr(module, "LATE_SECONDS", -600.0)  # believed for no time at all
    for text in (good, revoked):
        tables.add(hash_of(text))
        resolve(request(text))
    use_up_the_turns()
    rejections.clear()
    assert directory.find_key(hash_of(good)) is None
    assert resolve(request(good)).kind == "api_key"
    tables.keys[hash_of(revoked)] = KnownKey(None, "revoked")
    assert resolve(request(revoked)).kind == "address"
    assert rejections == ["revoked"]
