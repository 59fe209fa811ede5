"""Work on own connections ends by its deadline, whether the server cancels it, ignores that, or was never there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection, connections

from ratelimit.identity import hurry
from ratelimit.identity.hurry import DeadlineError, OwnConnections

DEADLINE_SECONDS = 0.05
AT_ONCE_SECONDS = 2.0  # against a wait without end


class Driver:
    """Stands in for a driver's connection: work on it waits for a socket, as psycopg's does."""

    def __init__(self, *, obeys: bool = False) -> None:
        self.here, self.there = socket.socketpair()
        self._obeys = obeys
        self.cancelled = threading.Event()

    def work(self) -> None:
        if not self.here.recv(1):
            raise OperationalError("the connection is lost")
        raise OperationalError("cancelled by request")

    def cancel_safe(self, *, timeout: float) -> None:
        self.cancelled.set()
        if not self._obeys:
            raise TimeoutError
        self.there.send(b"!")

    def fileno(self) -> int:
        return self.here.fileno()

    def close(self) -> None:
        self.here.close()
        self.there.close()


class Wrapper:
    """Stands in for Django's."""

    alias = "hurried"

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], OwnConnections]]:
    made: list[OwnConnections] = []

    def make(driver: Any) -> OwnConnections:
        monkeypatch.setattr(hurry, "_own_connection", lambda _: Wrapper(driver))
        made.append(OwnConnections([Wrapper.alias]))
        return made[-1]

    yield make
    for one in made:
        one.close()
    del connections[Wrapper.alias]


def test_a_job_in_time_gives_its_result_and_keeps_the_connection(own: Callable[[Any], OwnConnections]) -> None:
    connections_of_mine = own(Driver())
    assert connections_of_mine.run(lambda: 7, DEADLINE_SECONDS) == 7
    time.sleep(2 * DEADLINE_SECONDS)
    assert connections_of_mine._connections[0].connection is not None


@pytest.mark.parametrize("obeys", [True, False])
def test_an_overdue_job_is_ended(own: Callable[[Any], OwnConnections], obeys: bool) -> None:
    driver = Driver(obeys=obeys)
    mine = own(driver)
    began = time.perf_counter()
    with pytest.raises(DeadlineError):
        mine.run(driver.work, DEADLINE_SECONDS)
    assert DEADLINE_SECONDS <= time.perf_counter() - began < AT_ONCE_SECONDS
    assert driver.cancelled.is_set()
    assert mine._connections[0].connection is None


def test_an_overdue_job_that_comes_to_its_end_gives_its_result(own: Callable[[Any], OwnConnections]) -> None:
    mine = own(None)

    def slow() -> int:
        time.sleep(2 * DEADLINE_SECONDS)
        return 7

    assert mine.run(slow, DEADLINE_SECONDS) == 7


def test_an_open_connection_that_proves_dead_is_replaced_at_once(own: Callable[[Any], OwnConnections]) -> None:
    tries: list[int] = []

    def dead_at_first() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise OperationalError("server closed the connection")
        return 7

    assert own(Driver()).run(dead_at_first, DEADLINE_SECONDS) == 7


def test_a_connection_that_cannot_be_made_is_not_tried_twice(own: Callable[[Any], OwnConnections]) -> None:
    tries: list[int] = []

    def refused() -> None:
        tries.append(1)
        raise OperationalError("connection refused")

    with pytest.raises(OperationalError, match="refused"):
        own(None).run(refused, DEADLINE_SECONDS)
    assert tries == [1]


def test_any_error_closes_the_connection(own: Callable[[Any], OwnConnections]) -> None:
    mine = own(Driver())
    with pytest.raises(ZeroDivisionError):
        mine.run(lambda: 1 // 0, DEADLINE_SECONDS)
    assert mine._connections[0].connection is None


def test_a_thread_has_connections_of_its_own_with_little_patience() -> None:
    found: dict[str, Any] = {}

    def look() -> None:
        OwnConnections(["default"])
        found.update(connections["default"].settings_dict["OPTIONS"], wrapper=connections["default"])

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found["wrapper"] is not connection
    assert "pool" not in found
    if connection.vendor == "sqlite":
        assert found["timeout"] == 0.1
    else:
        assert found["connect_timeout"] == 2
