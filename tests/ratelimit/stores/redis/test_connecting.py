"""Connecting: look-up, connection and greeting together take the connect timeout and no more."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from ratelimit.bucket import Limit
from ratelimit.errors import StoreError
from ratelimit.stores.base import Charge
from ratelimit.stores.redis import RedisStore
from ratelimit.stores.redis.errands import MOST_LATE
from tests.ratelimit.stores.patience import in_time
from tests.ratelimit.stores.redis.talker import Talker, deaf_port
from tests.services import RedisProcess

KEY = "rate_limit:{somebody}:anonymous"
SLOW = Limit(10, 3600)
READ, CONNECT = 0.05, 0.25
MARGIN = 0.01  # seconds that the contract allows on top of a timeout

MakeStore = Callable[..., RedisStore]


@pytest.fixture(params=["in a thread", "on a loop"])
def ask(request: pytest.FixtureRequest) -> Callable[[RedisStore], None]:
    """One decision, either way."""
    if request.param == "in a thread":
        return lambda store: store.take_one(KEY, SLOW) and None
    return lambda store: asyncio.run(store.atake([Charge(KEY, SLOW)])) and None


class Resolver:
    """Takes its time for whatever name. ``gate`` ends it."""

    def __init__(self, gate: threading.Event, seconds: float) -> None:
        self.gate = gate
        self.seconds = seconds
        self.asked = 0
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, *rest: Any, **named: Any) -> Any:
        self.asked += 1
        self.gate.wait(self.seconds)
        return self._real("127.0.0.1", *rest, **named)


@pytest.fixture
def slow_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    resolver = Resolver(threading.Event(), 3.0)
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    yield resolver
    resolver.gate.set()
    until(lambda: helpers() == 0)


def helpers() -> int:
    return sum(thread.name == "ratelimit-connect" for thread in threading.enumerate())


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def failure(ask: Callable[[], object], word: str = "timeout") -> float:
    """How long it takes to fail, in seconds."""
    begin = time.monotonic()
    with pytest.raises(StoreError, match=f"^{word}$"):
        ask()
    return time.monotonic() - begin


def test_a_slow_resolver_takes_no_longer_than_the_connect_timeout(
    redis_url: str, make_redis_store: MakeStore, slow_resolver: Resolver
) -> None:
    store = make_redis_store(redis_url, READ, CONNECT)
    in_time(lambda: failure(lambda: store.take_one(KEY, SLOW)), CONNECT + MARGIN)


def test_nor_does_it_on_a_loop(redis_url: str, make_redis_store: MakeStore, slow_resolver: Resolver) -> None:
    store = make_redis_store(redis_url.replace("127.0.0.1", "localhost"), READ, CONNECT)  # a number is not looked up

    async def story() -> float:
        begin = time.monotonic()
        with pytest.raises(StoreError, match=r"^timeout$"):
            await store.atake([Charge(KEY, SLOW)])
        took = time.monotonic() - begin
        slow_resolver.gate.set()  # else the loop's end would wait for it
        return took

    def trial() -> float:
        slow_resolver.gate.clear()
        return asyncio.run(story())

    in_time(trial, CONNECT + MARGIN)


def test_several_addresses_share_the_time(
    make_redis_store: MakeStore, monkeypatch: pytest.MonkeyPatch, ask: Callable[[RedisStore], None]
) -> None:
    with deaf_port() as port:
        deaf = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [deaf] * 4)
        store = make_redis_store(f"redis://buckets.internal:{port}/0", READ, CONNECT)
        in_time(lambda: failure(lambda: ask(store)), CONNECT + 2 * MARGIN)  # a loop begins and ends besides


class Dripping(Talker):
    """It says OK to a greeting one byte at a time, each well within the read timeout."""

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            try:
                while connection.recv(65536):
                    for byte in b"+OK\r\n" * 4:
                        connection.sendall(bytes([byte]))
                        time.sleep(0.03)
            except OSError:
                return


def test_a_greeting_that_drips_gets_no_more_time(
    make_redis_store: MakeStore, ask: Callable[[RedisStore], None]
) -> None:
    server = Dripping([])
    try:
        store = make_redis_store(server.url.replace("//", "//:secret@").replace("/0", "/3"), READ, CONNECT)
        in_time(lambda: failure(lambda: ask(store)), CONNECT + 2 * MARGIN)
    finally:
        server.close()


def test_what_connects_too_late_is_closed_again(
    redis_url: str, make_redis_store: MakeStore, slow_resolver: Resolver
) -> None:
    store = make_redis_store(redis_url, READ, CONNECT)
    failure(lambda: store.take_one(KEY, SLOW))
    slow_resolver.gate.set()
    until(lambda: helpers() == 0)
    with redis.Redis.from_url(redis_url, client_name="operator") as operator:
        until(lambda: [client["name"] for client in operator.client_list()] == ["operator"])
    assert store.take_one(KEY, SLOW, 10).allowed  # and it has asked for nothing


def test_threads_that_hang_in_the_resolver_do_not_pile_up(
    redis_url: str, make_redis_store: MakeStore, slow_resolver: Resolver
) -> None:
    slow_resolver.seconds = 30
    store = make_redis_store(redis_url, READ, 0.01)
    for _ in range(3 * MOST_LATE):
        failure(lambda: store.take_one(KEY, SLOW))
    assert helpers() == slow_resolver.asked == MOST_LATE
    slow_resolver.gate.set()
    until(lambda: helpers() == 0)
    patient = make_redis_store(redis_url)
    assert patient.take_one(KEY, SLOW, 10).allowed
    until(lambda: _answers(store))


def _answers(store: RedisStore) -> bool:
    try:
        store.take_one(KEY, SLOW)
    except StoreError:
        return False
    return True


def test_without_a_thread_for_connecting_it_is_a_reason(
    redis_url: str, make_redis_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(_: object) -> None:
        raise RuntimeError("can't start new thread")

    store = make_redis_store(redis_url)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        failure(lambda: store.take_one(KEY, SLOW), "threads")
    assert store.take_one(KEY, SLOW).allowed


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_of_a_process_whose_threads_hang_connects(
    redis_url: str, make_redis_store: MakeStore, slow_resolver: Resolver
) -> None:
    slow_resolver.seconds = 30
    store = make_redis_store(redis_url, 1.0, 0.05)
    for _ in range(MOST_LATE + 1):
        failure(lambda: store.take_one(KEY, SLOW))
    child = os.fork()
    if child == 0:
        slow_resolver.seconds = 0
        slow_resolver.gate = threading.Event()  # the parent's threads are gone, with what they held
        os._exit(0 if any(_answers(store) for _ in range(5)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_thread_that_connects_in_time_is_gone_with_it(redis_url: str, make_redis_store: MakeStore) -> None:
    make_redis_store(redis_url).take_one(KEY, SLOW)
    until(lambda: helpers() == 0)


def test_a_hung_server_is_found_out_by_its_greeting(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    own_redis.hang()
    store = make_redis_store(own_redis.url, READ, CONNECT)
    in_time(lambda: failure(lambda: store.take_one(KEY, SLOW)), READ + 2 * MARGIN)  # a thread begins besides
