"""Real processes on a real database: what changes in one is seen in another, and a sick database stops nobody."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests import services
from tests.ratelimit.identity.peer import Peer
from tests.relay import relay
from tests.services import redis_process

SEEN_SECONDS = 5.0
WAIT_SECONDS = 0.05
SLACK_SECONDS = 0.05  # what a busy machine may add to a wait
HOT_SECONDS = 0.02  # far above the few µs it takes, far below any wait for a database
RESET_SECONDS = 2.0  # a process may go on refusing from its deny cache for so long
BUSY_SECONDS = 0.5  # what asking several processes in turn may add
REVOKED = "2026-01-01T00:00:00Z"
LONG_AGO = "2020-01-01T00:00:00Z"


@contextlib.contextmanager
def postgresql_database() -> Iterator[str]:
    server = services.require_postgresql()
    name = f"ratelimit_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def postgresql() -> Iterator[str]:
    with postgresql_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/tables.sqlite3"
        return
    with postgresql_database() as url:
        yield url


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    started: list[Peer] = []

    def start(url: str, refresh_seconds: float | None = None, buckets_url: str = "") -> Peer:
        started.append(Peer(url, refresh_seconds, buckets_url))
        return started[-1]

    yield start
    for one in started:
        one.end()


def through(port: int, url: str, *, options: str = "") -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}", query=options).geturl()


def port_of(url: str) -> int:
    return urlsplit(url).port or 5432


def kind_of(one: Peer, key: str, ask: str = "resolve") -> str:
    """Who the request is counted as, once the database had time: on a busy machine a look-up may outlast its 50 ms.

    Only that is waited for. A look-up that failed counts as failed.
    """
    deadline = time.monotonic() + SEEN_SECONDS
    while (answer := one.do(ask, key=key))["rejection"] == "lookup_timeout" and time.monotonic() < deadline:
        time.sleep(0.02)
    return str(answer["kind"])


# --- changes are seen -------------------------------------------------------------------------------------------------


def test_every_change_is_seen_in_another_process_within_5_seconds(database: str, peer: Callable[..., Peer]) -> None:
    writer, reader = peer(database), peer(database)
    writer.do("migrate")
    owner, promoted, demoted = (writer.do("add_user", name=name) for name in ("owner", "promoted", "demoted"))
    writer.do("create", model="ratelimit.TierAssignment", user_id=demoted, tier="premium")
    revoked, deleted, moved, narrowed = (writer.do("issue") for _ in range(4))
    orphaned = writer.do("issue")
    writer.do("update", model="ratelimit.ApiKey", where={"prefix": orphaned[4:12]}, owner_id=owner)
    changes: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
        "revoked": ({"key": revoked}, ("anonymous", "revoked")),
        "deleted": ({"key": deleted}, ("anonymous", "unknown")),
        "expired": ({"key": narrowed}, ("anonymous", "expired")),
        "moved": ({"key": moved}, ("premium", "")),
        "owner": ({"key": orphaned}, ("anonymous", "inactive_owner")),
        "promoted": ({"user": promoted}, ("premium", "")),
        "demoted": ({"user": demoted}, ("api_key", "")),
    }

    def seen(name: str) -> tuple[str, str]:
        answer = reader.do("resolve", **changes[name][0])
        return answer["tier"], answer["rejection"]

    for who, _ in changes.values():
        if "key" in who:
            assert kind_of(reader, who["key"]) == "api_key"
    before = {name: seen(name)[0] for name in changes}
    assert before == dict.fromkeys(changes, "api_key") | {"demoted": "premium"}

    key = "ratelimit.ApiKey"
    writer.do("update", model=key, where={"prefix": revoked[4:12]}, revoked_at=REVOKED)
    writer.do("delete", model=key, where={"prefix": deleted[4:12]})
    writer.do("update", model=key, where={"prefix": narrowed[4:12]}, created_at=LONG_AGO, expires_at=REVOKED)
    writer.do("update", model=key, where={"prefix": moved[4:12]}, tier="premium")
    writer.do("update", model="auth.User", where={"pk": owner}, is_active=False)
    writer.do("create", model="ratelimit.TierAssignment", user_id=promoted, tier="premium")
    writer.do("delete", model="ratelimit.TierAssignment", where={"user_id": demoted})
    changed_at = time.monotonic()
    unseen = set(changes)
    while unseen:
        unseen = {name for name in unseen if seen(name) != changes[name][1]}
        assert time.monotonic() - changed_at < SEEN_SECONDS, unseen
        time.sleep(0.05)


def test_what_an_operator_does_holds_for_every_process(database: str, peer: Callable[..., Peer]) -> None:
    """A client that is refused everywhere, without asking, is let in again, moved, or turned away."""
    with redis_process() as server:
        writer, *readers = (peer(database, buckets_url=server.url) for _ in range(3))
        writer.do("migrate")
        filled, moved, revoked, replaced = (writer.do("issue") for _ in range(4))
        ada, eve = (writer.do("add_user", name=name) for name in ("ada", "eve"))
        clients: dict[str, dict[str, Any]] = {
            "filled key": {"key": filled},
            "moved key": {"key": moved},
            "revoked key": {"key": revoked},
            "replaced key": {"key": replaced},
            "filled user": {"user": ada},
            "moved user": {"user": eve},
        }
        for who in clients.values():
            for reader in readers:
                assert "key" not in who or kind_of(reader, who["key"]) == "api_key"
            drain(readers, who)

        began = time.monotonic()
        writer.do("command", words=["apikey", "revoke", revoked[4:12]])
        writer.do("command", words=["apikey", "rotate", replaced[4:12], "--overlap", "0"])
        writer.do("update", model="ratelimit.ApiKey", where={"prefix": moved[4:12]}, tier="premium")
        writer.do("create", model="ratelimit.TierAssignment", user_id=eve, tier="premium")
        holds: dict[str, Callable[[dict[str, Any]], bool]] = {
            "revoked key": lambda answer: answer["tier"] == "anonymous" and answer["rejection"] == "revoked",
            "replaced key": lambda answer: answer["tier"] == "anonymous" and answer["rejection"] == "revoked",
            "moved key": lambda answer: answer["allowed"] and answer["limit"] == 5000,
            "moved user": lambda answer: answer["allowed"] and answer["limit"] == 5000,
        }
        wait_for(readers, clients, holds, began + SEEN_SECONDS)

        for name in ("filled key", "filled user"):
            drain(readers, clients[name])
        writer.do("command", words=["ratelimit", "reset", "--key", filled[4:12]])
        writer.do("command", words=["ratelimit", "reset", "--user", "ada"])
        admitted = dict.fromkeys(("filled key", "filled user"), lambda answer: bool(answer["allowed"]))
        wait_for(readers, clients, admitted, time.monotonic() + RESET_SECONDS + BUSY_SECONDS)


def drain(readers: list[Peer], who: dict[str, Any]) -> None:
    """Until each of them refuses the client by itself; 400 tokens take 24 s to come back."""
    while readers[0].do("ask", cost=100, **who)["allowed"]:
        pass
    for reader in readers:
        assert not reader.do("ask", cost=400, **who)["allowed"]
        assert reader.do("ask", cost=400, **who)["backend"] == "deny_cache"


def wait_for(
    readers: list[Peer],
    clients: dict[str, dict[str, Any]],
    holds: dict[str, Callable[[dict[str, Any]], bool]],
    deadline: float,
) -> None:
    """Until every reader's answer about every one of these clients is as it has to be."""
    unseen = [(reader, name) for reader in readers for name in holds]
    while unseen:
        unseen = [
            (reader, name) for reader, name in unseen if not holds[name](reader.do("ask", cost=400, **clients[name]))
        ]
        assert time.monotonic() < deadline, [name for _, name in unseen]
        time.sleep(0.02)


def test_a_hot_request_makes_no_query_and_does_not_wait(database: str, peer: Callable[..., Peer]) -> None:
    one = peer(database)
    one.do("migrate")
    key, user = one.do("issue"), one.do("add_user", name="ada")
    assert kind_of(one, key) == "api_key"
    for who in ({"key": key}, {"user": user}):
        assert one.do("resolve", **who)["queries"] == 0
        answers = [one.do("resolve", **who) for _ in range(20)]
        assert {(answer["tier"], answer["queries"]) for answer in answers} == {("api_key", 0)}
        assert sorted(answer["seconds"] for answer in answers)[10] < 0.001


def test_a_new_key_works_at_once(database: str, peer: Callable[..., Peer]) -> None:
    writer, reader = peer(database), peer(database)
    writer.do("migrate")
    assert kind_of(reader, writer.do("issue")) == "api_key"
    assert kind_of(reader, writer.do("issue")) == "api_key"


def test_of_rotations_at_once_one_makes_a_successor(database: str, peer: Callable[..., Peer]) -> None:
    peers = [peer(database) for _ in range(3)]
    peers[0].do("migrate")
    for _ in range(5):
        key = peers[0].do("issue")
        with ThreadPoolExecutor(len(peers)) as threads:
            answers = list(threads.map(lambda one, key=key: str(one.do("rotate", key=key)), peers))
        assert sorted(answer if answer == "rotated" else "made" for answer in answers) == ["made", "rotated", "rotated"]


def test_the_last_use_is_written_once_a_minute(database: str, peer: Callable[..., Peer]) -> None:
    one = peer(database, refresh_seconds=0.1)
    one.do("migrate")
    key = one.do("issue")
    assert one.do("last_used", key=key) is None
    one.do("resolve", key=key)
    deadline = time.monotonic() + SEEN_SECONDS
    while (first := one.do("last_used", key=key)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for _ in range(5):
        one.do("resolve", key=key)
        time.sleep(0.1)
    assert one.do("last_used", key=key) == first


def test_a_child_forked_after_first_use_works_and_so_does_its_parent(database: str, peer: Callable[..., Peer]) -> None:
    one = peer(database)
    one.do("migrate")
    known, unknown, later = (one.do("issue") for _ in range(3))
    assert kind_of(one, known) == "api_key"
    assert kind_of(one, known, "resolve_in_child") == "api_key"
    assert kind_of(one, unknown, "resolve_in_child") == "api_key"
    assert kind_of(one, later) == "api_key"


# --- a database that is not there -------------------------------------------------------------------------------------


def test_without_tables_everybody_is_served(database: str, peer: Callable[..., Peer]) -> None:
    one = peer(database)
    key = "shk_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp"
    answer = one.do("resolve", key=key)
    assert (answer["kind"], answer["rejection"]) == ("address", "lookup_failed")
    assert one.do("resolve", user=1)["tier"] == "api_key"
    log = one.end()
    assert log.count("cannot be read") == 1
    assert key not in log


def test_a_server_that_accepts_and_never_answers_delays_nobody(peer: Callable[..., Peer]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        one = peer(f"postgresql://ada:hunter2@127.0.0.1:{silent.getsockname()[1]}/tables")
        key = "shk_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp"
        first = one.do("resolve", key=key)
        assert (first["kind"], first["rejection"]) == ("address", "lookup_timeout")
        assert first["seconds"] <= WAIT_SECONDS + SLACK_SECONDS
        answers = [one.do("resolve", **who) for who in ({"key": key}, {"user": 1}, {}) for _ in range(5)]
        assert max(answer["seconds"] for answer in answers) < HOT_SECONDS
        assert {answer["kind"] for answer in answers} == {"address", "user"}
        began = time.monotonic()
        while one.do("resolve", key=key)["rejection"] != "lookup_failed":  # psycopg's shortest time to connect is 2 s
            assert time.monotonic() - began < SEEN_SECONDS
            time.sleep(0.05)
        assert "hunter2" not in one.end()


def test_while_postgresql_is_frozen_known_keys_go_on_and_after_it_changes_are_seen(
    postgresql: str, peer: Callable[..., Peer]
) -> None:
    writer = peer(postgresql)
    writer.do("migrate")
    hot, revoked, idle, late = (writer.do("issue") for _ in range(4))
    with relay("127.0.0.1", port_of(postgresql)) as link:
        reader = peer(through(link.port, postgresql))
        for key in (hot, revoked, idle):
            assert kind_of(reader, key) == "api_key"
        link.flows.clear()
        writer.do("update", model="ratelimit.ApiKey", where={"prefix": revoked[4:12]}, revoked_at=REVOKED)
        frozen_at = time.monotonic()
        waits = []
        while time.monotonic() - frozen_at < 4.5:  # longer than anything is believed
            answers = [reader.do("resolve", key=key) for key in (hot, revoked)]
            assert {answer["kind"] for answer in answers} == {"api_key"}
            waits += [answer["seconds"] for answer in answers]
            time.sleep(0.05)
        assert sorted(waits)[-2] < HOT_SECONDS, "one may meet the moment in which nothing is known of the freeze"
        assert max(waits) <= WAIT_SECONDS + SLACK_SECONDS
        assert reader.do("resolve", key=idle)["kind"] == "api_key"
        assert reader.do("resolve", key=late)["seconds"] <= WAIT_SECONDS + SLACK_SECONDS
        link.flows.set()
        thawed_at = time.monotonic()
        while reader.do("resolve", key=revoked)["rejection"] != "revoked":
            assert time.monotonic() - thawed_at < SEEN_SECONDS
            time.sleep(0.05)
        while reader.do("resolve", key=late)["kind"] != "api_key":
            assert time.monotonic() - thawed_at < SEEN_SECONDS
            time.sleep(0.05)
        log = reader.end()
    assert log.count("cannot be read") == 1


@contextlib.contextmanager
def hung(kind: str, database: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """The database's address for a process that is to suffer, and what makes it hang until the end."""
    if kind == "postgresql":
        with relay("127.0.0.1", port_of(database)) as link:
            yield through(link.port, database), link.flows.clear
        return
    with contextlib.closing(sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)) as holder:
        yield database, lambda: holder.execute("begin exclusive") and None


def test_while_the_database_hangs_nothing_in_the_limiter_waits_for_it(database: str, peer: Callable[..., Peer]) -> None:
    kind = "postgresql" if database.startswith("postgresql") else "sqlite"
    with redis_process() as server, hung(kind, database) as (its_database, hang):
        operator = peer(database, buckets_url=server.url)
        operator.do("migrate")
        known, unknown = operator.do("issue"), operator.do("issue")
        user = operator.do("add_user", name="ada")
        one = peer(its_database, buckets_url=server.url)
        assert kind_of(one, known) == "api_key"
        refused = {"address": "192.0.2.7"}
        for who in ({"key": known}, {"user": user}, {}, refused):
            assert one.do("ask", **who)["allowed"]
        one.do("ask", cost=99, **refused)
        assert not one.do("ask", cost=90, **refused)["allowed"]

        hang()
        operator.do("command", words=["ratelimit", "reset", "--address", "192.0.2.7"])
        began = time.monotonic()
        hot: list[float] = []
        cold: list[float] = []
        admitted_after = None
        while time.monotonic() - began < RESET_SECONDS + BUSY_SECONDS:
            answers = [one.do("ask", **who) for who in ({"key": known}, {"user": user}, {})]
            assert [answer["tier"] for answer in answers] == ["api_key", "api_key", "anonymous"]
            hot += [answer["seconds"] for answer in answers]
            cold.append(one.do("ask", key=unknown)["seconds"])
            if admitted_after is None and one.do("ask", cost=90, **refused)["allowed"]:
                admitted_after = time.monotonic() - began
            time.sleep(0.05)
        assert admitted_after is not None, "a reset needs no database, in either process"
        assert sorted(hot)[len(hot) * 9 // 10] < HOT_SECONDS
        assert max(hot + cold) <= WAIT_SECONDS + SLACK_SECONDS


def test_a_locked_table_holds_up_neither_requests_nor_the_server(postgresql: str, peer: Callable[..., Peer]) -> None:
    one = peer(postgresql, refresh_seconds=0.1)
    one.do("migrate")
    key = one.do("issue")
    assert kind_of(one, key) == "api_key"
    with psycopg.connect(postgresql) as locker, psycopg.connect(postgresql, autocommit=True) as watcher:
        locker.execute("lock table ratelimit_apikey in access exclusive mode")
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            answer = one.do("resolve", key=key)
            assert answer["kind"] == "api_key"
            assert answer["seconds"] < HOT_SECONDS
            row = watcher.execute(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            ).fetchone()
            assert row is not None
            assert row[0] <= 1, "statements pile up behind the lock"
            time.sleep(0.05)
        locker.rollback()
    assert one.do("resolve", key=one.do("issue"))["seconds"] < WAIT_SECONDS + SLACK_SECONDS


def test_a_connection_that_the_server_ended_costs_no_key_its_identity(
    postgresql: str, peer: Callable[..., Peer]
) -> None:
    writer, reader = peer(postgresql), peer(postgresql)
    writer.do("migrate")
    keys = [writer.do("issue") for _ in range(3)]
    for key in keys:
        assert kind_of(reader, key) == "api_key"
        with psycopg.connect(postgresql, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )


def test_a_read_only_database_refuses_no_key(postgresql: str, peer: Callable[..., Peer]) -> None:
    writer = peer(postgresql)
    writer.do("migrate")
    key = writer.do("issue")
    read_only = through(port_of(postgresql), postgresql, options="options=-c%20default_transaction_read_only%3Don")
    reader = peer(read_only, refresh_seconds=0.1)
    assert kind_of(reader, key) == "api_key"
    deadline = time.monotonic() + SEEN_SECONDS
    while not reader.do("dropped_writes"):
        assert reader.do("resolve", key=key)["kind"] == "api_key"
        assert time.monotonic() < deadline
    assert reader.do("resolve", key=key)["kind"] == "api_key"
    assert reader.do("dropped_writes") == 1
    assert reader.end().count("cannot be written") == 1


def test_a_writer_that_holds_sqlite_does_not_hold_up_the_readers(tmp_path: Path, peer: Callable[..., Peer]) -> None:
    path = tmp_path / "tables.sqlite3"
    one = peer(f"sqlite:///{path}", refresh_seconds=0.1)
    one.do("migrate")
    known, unknown = one.do("issue"), one.do("issue")
    assert kind_of(one, known) == "api_key"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("begin exclusive")
        began = time.monotonic()
        waits = []
        while time.monotonic() - began < 2.5:
            answer = one.do("resolve", key=known)
            assert answer["kind"] == "api_key"
            waits.append(answer["seconds"])
            waits.append(one.do("resolve", key=unknown)["seconds"])
            time.sleep(0.02)
        assert max(waits) <= WAIT_SECONDS + SLACK_SECONDS
        writer.execute("rollback")
    began = time.monotonic()
    while one.do("resolve", key=unknown)["kind"] != "api_key":
        assert time.monotonic() - began < SEEN_SECONDS
