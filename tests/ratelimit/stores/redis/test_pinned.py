"""Connections: one for each thread, none of the cache's, gone with their thread, of the process that made them."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
import redis

from ratelimit.bucket import Limit
from ratelimit.errors import StoreError
from ratelimit.stores.base import Charge
from ratelimit.stores.redis import RedisStore
from ratelimit.stores.redis.pinned import PinnedConnections
from tests.ratelimit.stores.caches import cache_at
from tests.services import RedisProcess, free_port, redis_process

KEY = "rate_limit:{somebody}:anonymous"
SLOW = Limit(10, 3600)

MakeStore = Callable[..., RedisStore]


@pytest.fixture
def operator(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, client_name="operator") as client:
        yield client


def others(operator: redis.Redis) -> list[int]:
    """The connections besides the operator's own."""
    return [int(client["id"]) for client in operator.client_list() if client["name"] != "operator"]


def test_a_thread_keeps_its_connection(redis_url: str, operator: redis.Redis, make_redis_store: MakeStore) -> None:
    store = make_redis_store(redis_url)
    store.take_one(KEY, SLOW)
    before = others(operator)
    for _ in range(20):
        store.take_one(KEY, SLOW)
        store.reset([KEY])
    assert others(operator) == before
    assert len(before) == 1


def test_a_connection_ends_with_its_thread(redis_url: str, operator: redis.Redis, make_redis_store: MakeStore) -> None:
    store = make_redis_store(redis_url)
    seen: list[int] = []

    def ask() -> None:
        store.take_one(KEY, SLOW)
        seen.extend(others(operator))

    thread = Thread(target=ask)
    thread.start()
    thread.join()
    assert len(seen) == 1
    _until(lambda: others(operator) == [])


def test_200_threads_have_a_connection_each_and_charge_exactly(
    redis_url: str, operator: redis.Redis, make_redis_store: MakeStore
) -> None:
    store, everybody = make_redis_store(redis_url), Barrier(200)
    most: list[int] = []

    def ask(number: int) -> int:
        everybody.wait(30)
        admitted = sum(store.take_one(KEY, Limit(100, 3600)).allowed for _ in range(3))
        everybody.wait(30)
        if number == 0:
            most.append(len(others(operator)))
        return admitted

    with ThreadPoolExecutor(200) as threads:
        assert sum(threads.map(ask, range(200))) == 100
    assert most == [200]
    _until(lambda: others(operator) == [])


def test_no_connection_is_taken_out_of_the_caches_pool(redis_url: str) -> None:
    cache = cache_at(redis_url, CONNECTION_POOL_KWARGS={"max_connections": 1})
    store = RedisStore(cache)
    pool = cache.client.get_client().connection_pool
    kept = dict(pool.connection_kwargs)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: store.take_one(KEY, SLOW), range(20)))
    assert [count for count, _ in pool.get_connection_count()] == [0, 0]
    assert pool.connection_kwargs == kept
    store.close()


def test_timeouts_and_retries_of_the_cache_do_not_count(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: list[dict[str, Any]] = []
    monkeypatch.setattr(PinnedConnections, "__init__", lambda _self, _class, kwargs: settings.append(kwargs))
    patient = {"SOCKET_TIMEOUT": 30, "SOCKET_CONNECT_TIMEOUT": 60}
    pool = {"retry_on_timeout": True, "health_check_interval": 5, "protocol": 3, "socket_keepalive": True}
    RedisStore(cache_at(redis_url, CONNECTION_POOL_KWARGS=pool, **patient))._transport()
    (used,) = settings
    assert (used["socket_timeout"], used["socket_connect_timeout"]) == (0.05, 0.25)
    assert used["retry"].get_retries() == 0
    assert not used.keys() & {"retry_on_timeout", "retry_on_error"}
    assert (used["health_check_interval"], used["protocol"], used["socket_keepalive"]) == (0, 2, True)


def test_the_cache_may_speak_the_newer_protocol_and_decode(redis_url: str, make_redis_store: MakeStore) -> None:
    pool = {"protocol": 3, "decode_responses": True}
    store = make_redis_store(redis_url, CONNECTION_POOL_KWARGS=pool)
    assert [store.take_one(KEY, SLOW, 5).allowed for _ in range(3)] == [True, True, False]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_parent_and_child_have_their_own_connections(
    redis_url: str, operator: redis.Redis, make_redis_store: MakeStore
) -> None:
    store = make_redis_store(redis_url)
    store.take_one(KEY, Limit(1000, 3600))
    (parents,) = others(operator)
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            admitted = [store.take_one(KEY, Limit(1000, 3600)).allowed for _ in range(50)]
            os._exit(0 if all(admitted) and len(others(redis.Redis.from_url(redis_url))) > 1 else 1)
        children.append(child)
    for _ in range(50):
        assert store.take_one(KEY, Limit(1000, 3600)).allowed
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert store.take_one(KEY, Limit(1000, 3600), 749).allowed  # 1,000 in all, and none was charged twice
    assert not store.take_one(KEY, Limit(1000, 3600)).allowed
    assert parents in others(operator)  # no child has closed it


def test_database_user_and_password_are_the_caches(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    with redis.Redis.from_url(own_redis.url) as operator:
        operator.acl_setuser(
            "limiter", enabled=True, passwords=["+s3cret"], keys=["rate_limit:*"], categories=["+@all"]
        )
    address = f"127.0.0.1:{own_redis.port}/5"
    assert make_redis_store(f"redis://limiter:s3cret@{address}").take_one(KEY, SLOW).allowed
    with redis.Redis.from_url(f"redis://{address}") as fifth:
        assert fifth.exists(KEY) == 1
    with pytest.raises(StoreError, match=r"^(auth|wrongpass)$"):
        make_redis_store(f"redis://limiter:wrong@{address}").take_one(KEY, SLOW)
    with pytest.raises(StoreError, match=r"^noperm$"):
        make_redis_store(f"redis://limiter:s3cret@{address}").take_one("other:{x}:y", SLOW)


def test_a_unix_socket_does_as_well(tmp_path: Path, make_redis_store: MakeStore) -> None:
    path = tmp_path / "redis.sock"
    with redis_process("--unixsocket", str(path)) as server, redis.Redis.from_url(server.url) as operator:
        _until(path.exists)
        store = make_redis_store(f"unix://{path}?db=2")
        assert [store.take_one(KEY, SLOW, 4).allowed for _ in range(3)] == [True, True, False]
        operator.client_kill_filter(_type="normal", skipme=True)
        assert store.take_one(KEY, SLOW).allowed  # the lost connection was noticed there too
        assert [asyncio.run(store.atake([Charge(KEY, SLOW)]))[0].allowed for _ in range(2)] == [True, False]


def test_an_encrypted_connection_does_as_well(tmp_path: Path, make_redis_store: MakeStore) -> None:
    if not shutil.which("openssl"):
        pytest.skip("the openssl command is not there to make a certificate")
    certificate, key, port = tmp_path / "crt", tmp_path / "key", free_port()
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*request.split(), *files], check=True, capture_output=True)
    own = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate)]
    with (
        redis_process("--tls-port", str(port), *own, "--tls-auth-clients", "no") as server,
        redis.Redis.from_url(server.url) as operator,
    ):
        store = make_redis_store(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}")
        assert [store.take_one(KEY, SLOW, 4).allowed for _ in range(3)] == [True, True, False]
        line = store._transport()._threads._held.line  # type: ignore[attr-defined]  # the pinned transport's
        assert isinstance(line._socket, ssl.SSLSocket)
        operator.client_kill_filter(_type="normal", skipme=True)
        assert store.take_one(KEY, SLOW).allowed
        assert [asyncio.run(store.atake([Charge(KEY, SLOW)]))[0].allowed for _ in range(2)] == [True, False]
        with pytest.raises(StoreError, match=r"^closed$"):
            make_redis_store(f"rediss://127.0.0.1:{port}/0").take_one(KEY, SLOW)  # a certificate nobody vouches for


def test_a_descriptor_that_was_closed_under_it_is_no_failure(redis_url: str, make_redis_store: MakeStore) -> None:
    store = make_redis_store(redis_url)
    store.take_one(KEY, SLOW)
    store._transport()._threads._held.line._socket.close()  # type: ignore[attr-defined]  # the pinned transport's
    assert store.take_one(KEY, SLOW, 9).allowed


def test_no_timeout_at_all_is_a_short_one(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    store = make_redis_store(own_redis.url, read=0)
    own_redis.hang()
    with pytest.raises(StoreError):
        store.take_one(KEY, SLOW)
    own_redis.go_on()


# --- what is kept in Redis -------------------------------------------------------------------------------------------


def test_a_key_takes_at_most_64_bytes_besides_its_name(
    redis_url: str, operator: redis.Redis, make_redis_store: MakeStore
) -> None:
    make_redis_store(redis_url).take_one(KEY, SLOW)
    assert 0 < (operator.memory_usage(KEY) or 0) <= 64 + len(KEY)


def test_a_key_is_gone_when_its_bucket_is_full_and_no_earlier(
    redis_url: str, operator: redis.Redis, make_redis_store: MakeStore
) -> None:
    verdict = make_redis_store(redis_url).take_one(KEY, Limit(1000, 60), 7)
    assert operator.pexpiretime(KEY) == -(-verdict.arrival_us // 1000)


def test_a_denial_writes_nothing(redis_url: str, operator: redis.Redis, make_redis_store: MakeStore) -> None:
    store = make_redis_store(redis_url)
    store.take_one(KEY, SLOW, 10)
    before = (operator.get(KEY), operator.pexpiretime(KEY))
    operator.config_resetstat()
    for _ in range(10):
        assert not store.take_one(KEY, SLOW).allowed
    assert (operator.get(KEY), operator.pexpiretime(KEY)) == before
    assert "cmdstat_set" not in operator.info("commandstats")


def test_the_eviction_policy_can_be_asked_for(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    store = make_redis_store(own_redis.url)
    assert store.eviction_policy() == "noeviction"
    with redis.Redis.from_url(own_redis.url) as operator:
        operator.config_set("maxmemory-policy", "allkeys-lru")
    assert store.eviction_policy() == "allkeys-lru"
    own_redis.kill()
    with pytest.raises(StoreError, match=r"^refused$"):
        store.eviction_policy()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
