"""Caches that are no plain pool: Sentinel, Cluster, sharded; and Django's own backend."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.cache.backends.redis import RedisCache as DjangoRedisCache
from redis.cluster import RedisCluster

from ratelimit.bucket import Limit
from ratelimit.errors import StoreError
from ratelimit.stores.base import Charge
from ratelimit.stores.redis import RedisStore, speaks_redis
from ratelimit.stores.redis.ordinary import OrdinaryClients
from tests.ratelimit.stores.caches import cache_at
from tests.ratelimit.stores.patience import in_time
from tests.services import RedisProcess, free_port, redis_process

KEY = "rate_limit:{somebody}:anonymous"
SLOW = Limit(10, 3600)
PATIENT = 5.0
READ, CONNECT = 0.05, 0.25
MARGIN = 0.01  # seconds that the contract allows on top of a timeout
CLIENTS = [f"rate_limit:{{client-{number}}}:anonymous" for number in range(40)]


def ten_of(store: RedisStore) -> None:
    """Ten tokens, whatever way they are asked for."""
    assert isinstance(store._transport(), OrdinaryClients)
    assert store.take_one(KEY, SLOW, 4).allowed
    assert [verdict.allowed for verdict in store.take([Charge(KEY, SLOW, 3), Charge(KEY + "2", SLOW)])] == [True, True]
    assert asyncio.run(store.atake([Charge(KEY, SLOW, 3)]))[0].allowed
    assert not store.take_one(KEY, SLOW).allowed
    for key in CLIENTS:
        store.take_one(key, SLOW, 2)
    verdicts = store.peek([Charge(key, SLOW, 9) for key in CLIENTS])
    assert {(verdict.allowed, verdict.arrival_us > verdict.now_us) for verdict in verdicts} == {(False, True)}
    store.refund([Charge(KEY, SLOW, 1)], "redis")
    assert store.take_one(KEY, SLOW).allowed
    assert store.reset([*CLIENTS, KEY, "rate_limit:{nobody}:anonymous"]) == len(CLIENTS) + 1
    assert store.take_one(KEY, SLOW, 10).allowed


# --- Sentinel --------------------------------------------------------------------------------------------------------


@pytest.fixture
def sentinel(own_redis: RedisProcess, tmp_path: Path) -> Iterator[RedisProcess]:
    """One that watches ``own_redis`` as “buckets”."""
    settings = tmp_path / "sentinel.conf"
    settings.write_text(f"sentinel monitor buckets 127.0.0.1 {own_redis.port} 1\n")
    with redis_process(settings=settings) as server:
        yield server


def sentinel_cache(sentinel: RedisProcess) -> Any:
    return cache_at(
        "redis://buckets/0",
        CLIENT_CLASS="django_redis.client.SentinelClient",
        CONNECTION_FACTORY="django_redis.pool.SentinelConnectionFactory",
        SENTINELS=[("127.0.0.1", sentinel.port)],
    )


def test_the_master_that_sentinels_name_is_asked(sentinel: RedisProcess) -> None:
    with closing(RedisStore(sentinel_cache(sentinel), PATIENT, PATIENT)) as store:
        ten_of(store)
        assert store.eviction_policy() == "noeviction"


def test_nobody_waits_longer_than_our_timeouts_for_a_master_or_its_sentinels(
    own_redis: RedisProcess, sentinel: RedisProcess
) -> None:
    with closing(RedisStore(sentinel_cache(sentinel))) as store:
        store.take_one(KEY, SLOW)
        own_redis.hang()
        assert _time_of_failure(store) < 0.25
        sentinel.hang()
        assert _time_of_failure(store) < 0.4
        sentinel.go_on()
        own_redis.go_on()
    with closing(RedisStore(sentinel_cache(sentinel), PATIENT, PATIENT)) as store:
        assert store.take_one(KEY, SLOW, 8).allowed  # what timed out was sent once
        assert not store.take_one(KEY, SLOW).allowed


def _time_of_failure(store: RedisStore) -> float:
    begin = time.monotonic()
    with pytest.raises(StoreError):
        store.take_one(KEY, SLOW)
    return time.monotonic() - begin


# --- Cluster ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisProcess]]:
    """Two nodes, each with half of the slots."""
    folder = tmp_path_factory.mktemp("cluster")

    def node(name: str) -> list[str]:
        files = ["--cluster-config-file", str(folder / name)]
        return ["--cluster-enabled", "yes", "--cluster-port", str(free_port()), *files]

    with (
        redis_process(*node("one")) as one,
        redis_process(*node("two")) as two,
        redis.Redis.from_url(one.url) as first,
        redis.Redis.from_url(two.url) as second,
    ):
        first.execute_command("CLUSTER ADDSLOTSRANGE", 0, 8191)
        second.execute_command("CLUSTER ADDSLOTSRANGE", 8192, 16383)
        bus = first.config_get("cluster-port")["cluster-port"]
        second.execute_command("CLUSTER MEET", "127.0.0.1", one.port, bus)
        deadline = time.monotonic() + 20
        while any(
            int(node.cluster("info")["cluster_known_nodes"]) < 2 or node.cluster("info")["cluster_state"] != "ok"
            for node in (first, second)
        ):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield [one, two]


class ClusterClient:
    """What a project puts into CLIENT_CLASS to have its cache on a cluster."""

    def __init__(self, server: list[str], params: object, backend: object) -> None:
        self._server = server[0]
        self._client: RedisCluster | None = None

    def get_client(self, write: bool = True) -> RedisCluster:
        if self._client is None:
            self._client = RedisCluster.from_url(self._server)
        return self._client


def cluster_cache(url: str) -> Any:
    url = url.removesuffix("/0")  # a cluster has one database
    cache = cache_at(url, CLIENT_CLASS=f"{__name__}.ClusterClient")
    cache._client = ClusterClient([url], {}, cache)
    return cache


def test_a_cluster_is_asked_where_each_client_lives(cluster: list[RedisProcess]) -> None:
    with closing(RedisStore(cluster_cache(cluster[0].url), PATIENT, PATIENT)) as store:
        ten_of(store)
        assert store.eviction_policy() == "noeviction"


def test_keys_of_one_call_share_a_slot(cluster: list[RedisProcess]) -> None:
    with closing(RedisStore(cluster_cache(cluster[0].url), PATIENT, PATIENT)) as store:
        store.reset(CLIENTS)
        with pytest.raises(StoreError):
            store.take([Charge(key, SLOW) for key in CLIENTS])
        assert store.take_one(CLIENTS[0], SLOW, 10).allowed


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[RedisProcess]:
    """One node with all slots, to be ill-treated."""
    files = ["--cluster-config-file", str(tmp_path / "nodes.conf")]
    with redis_process("--cluster-enabled", "yes", "--cluster-port", str(free_port()), *files) as server:
        with redis.Redis.from_url(server.url) as operator:
            operator.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            _until(lambda: operator.cluster("info")["cluster_state"] == "ok")
        yield server


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _answers(store: RedisStore) -> bool:
    try:
        return store.take_one(KEY, SLOW, 0).backend == "redis"
    except StoreError:
        return False


def _failure(ask: Callable[[], object], words: str = "timeout") -> float:
    begin = time.monotonic()
    with pytest.raises(StoreError, match=f"^({words})$"):
        ask()
    return time.monotonic() - begin


def test_the_first_use_of_a_cluster_that_hangs_takes_the_connect_timeout_and_no_more(own_cluster: RedisProcess) -> None:
    own_cluster.hang()
    store = RedisStore(cluster_cache(own_cluster.url))

    def trial() -> float:
        with closing(RedisStore(cluster_cache(own_cluster.url))) as fresh:
            return _failure(lambda: fresh.take_one(KEY, SLOW))

    in_time(trial, CONNECT + MARGIN)
    with ThreadPoolExecutor(10) as threads:  # nobody waits for another's turn
        begin = time.monotonic()
        list(threads.map(lambda _: _failure(lambda: store.take_one(KEY, SLOW)), range(10)))
        assert time.monotonic() - begin < 2 * CONNECT
    own_cluster.go_on()
    _until(lambda: _answers(store))
    assert store.take_one(KEY, SLOW, 10).allowed  # and none of those was charged
    store.close()


def test_nor_does_it_hold_up_a_loop(own_cluster: RedisProcess) -> None:
    async def ticks() -> float:
        longest, last = 0.0, time.monotonic()
        while True:
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                return longest
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

    async def story() -> float:
        watch = asyncio.create_task(ticks())
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match=r"^timeout$"):
            await store.atake([Charge(KEY, SLOW)])
        watch.cancel()
        return await watch

    own_cluster.hang()
    with closing(RedisStore(cluster_cache(own_cluster.url))) as store:
        in_time(lambda: asyncio.run(story()), 0.02)
        own_cluster.go_on()
        _until(lambda: _answers(store))
        assert asyncio.run(store.atake([Charge(KEY, SLOW)]))[0].allowed


def test_a_cluster_that_hangs_later_takes_the_read_timeout_and_is_sent_nothing_twice(own_cluster: RedisProcess) -> None:
    with (
        closing(RedisStore(cluster_cache(own_cluster.url))) as store,
        closing(RedisStore(cluster_cache(own_cluster.url), PATIENT, PATIENT)) as patient,
    ):
        sent = 0

        def trial() -> float:
            nonlocal sent
            _until(lambda: _answers(store))
            own_cluster.hang()
            sent += 1
            took = _failure(lambda: store.take_one(KEY, SLOW))
            own_cluster.go_on()
            return took

        in_time(trial, READ + MARGIN)
        assert patient.take_one(KEY, SLOW, 10 - sent).allowed
        assert not patient.take_one(KEY, SLOW).allowed


def test_a_cluster_that_is_killed_is_a_reason_until_it_is_back(own_cluster: RedisProcess) -> None:
    with closing(RedisStore(cluster_cache(own_cluster.url), PATIENT, PATIENT)) as store:
        assert store.take_one(KEY, SLOW).allowed
        own_cluster.kill()
        in_time(lambda: _failure(lambda: store.take_one(KEY, SLOW), "refused|closed"), MARGIN)
        own_cluster.start()
        _until(lambda: _answers(store))
        assert store.take_one(KEY, SLOW, 10).allowed


def test_a_cluster_that_is_down_is_a_reason_at_once(own_cluster: RedisProcess) -> None:
    with (
        closing(RedisStore(cluster_cache(own_cluster.url), PATIENT, PATIENT)) as store,
        redis.Redis.from_url(own_cluster.url) as operator,
    ):
        assert store.take_one(KEY, SLOW).allowed
        operator.execute_command("CLUSTER DELSLOTS", 1)
        _until(lambda: operator.cluster("info")["cluster_state"] == "fail")
        in_time(lambda: _failure(lambda: store.take_one(KEY, SLOW), "clusterdown"), MARGIN)
        operator.execute_command("CLUSTER ADDSLOTS", 1)
        _until(lambda: _answers(store))


def test_a_slot_that_has_moved_is_followed(cluster: list[RedisProcess]) -> None:
    with (
        closing(RedisStore(cluster_cache(cluster[0].url), PATIENT, PATIENT)) as store,
        redis.Redis.from_url(cluster[0].url) as first,
        redis.Redis.from_url(cluster[1].url) as second,
    ):
        nodes = [(node, str(node.cluster("myid"), "ascii")) for node in (first, second)]
        slot = int(first.cluster("keyslot", KEY))
        owner, other = nodes if slot < 8192 else nodes[::-1]
        owner[0].flushall()  # who still has keys of a slot cannot hand it over
        try:
            for node, _ in (other, owner):
                node.cluster("setslot", slot, "node", other[1])
            for _ in range(3):
                assert store.take_one(KEY, SLOW, 3).allowed
            assert other[0].exists(KEY) == 1
        finally:
            other[0].flushall()
            for node, _ in (owner, other):
                node.cluster("setslot", slot, "node", owner[1])


def test_who_waits_for_a_thread_while_a_server_hangs_does_not_wait_in_turn(own_cluster: RedisProcess) -> None:
    async def ask() -> str:
        with pytest.raises(StoreError) as caught:
            await store.atake([Charge(KEY, SLOW)])
        return caught.value.reason

    async def story() -> float:
        begin = time.monotonic()
        assert set(await asyncio.gather(*(ask() for _ in range(200)))) == {"timeout"}
        return time.monotonic() - begin

    with closing(RedisStore(cluster_cache(own_cluster.url))) as store:
        own_cluster.hang()
        in_time(lambda: asyncio.run(story()), CONNECT + 5 * MARGIN)  # for the first use, by 200 tasks
        own_cluster.go_on()
        _until(lambda: _answers(store))
        own_cluster.hang()
        in_time(lambda: asyncio.run(story()), READ + 4 * MARGIN)  # threads begin and end besides
        own_cluster.go_on()
        _until(lambda: _answers(store))
        assert asyncio.run(store.atake([Charge(KEY + "2", SLOW)]))[0].allowed


# --- sharded, and Django's own ---------------------------------------------------------------------------------------


def test_a_sharded_cache_is_asked_where_each_client_lives(running_redis: RedisProcess) -> None:
    urls = [running_redis.url.removesuffix("/0") + f"/{number}" for number in (5, 6, 7)]
    for url in urls:
        with redis.Redis.from_url(url) as client:
            client.flushdb()
    cache = cache_at(urls[0], CLIENT_CLASS="django_redis.client.ShardClient")
    cache._server = urls
    with closing(RedisStore(cache, PATIENT, PATIENT)) as store:
        ten_of(store)
        for key in CLIENTS:
            store.take_one(key, SLOW)
    with redis.Redis.from_url(urls[0]) as client:
        assert 0 < client.dbsize() < len(CLIENTS)


def test_djangos_own_backend_will_do(redis_url: str) -> None:
    cache = DjangoRedisCache(redis_url, {})
    assert speaks_redis(cache)
    with closing(RedisStore(cache, PATIENT, PATIENT)) as store:
        assert not isinstance(store._transport(), OrdinaryClients)
        assert [store.take_one(KEY, SLOW, 4).allowed for _ in range(3)] == [True, True, False]


def test_djangos_own_backend_with_a_special_pool_will_do_too(redis_url: str) -> None:
    cache = DjangoRedisCache(redis_url, {"OPTIONS": {"pool_class": "tests.ratelimit.stores.caches.SpecialPool"}})
    with closing(RedisStore(cache, PATIENT, PATIENT)) as store:
        ten_of(store)
        clients = store._transport()
        assert isinstance(clients, OrdinaryClients)
        assert len(clients._copies) == 1


def test_a_cache_that_cannot_make_its_client_is_a_reason() -> None:
    with pytest.raises(StoreError, match=r"^unusable$"):
        RedisStore(cache_at("redis://buckets/0", CONNECTION_FACTORY="nowhere.Factory")).take_one(KEY, SLOW)


# --- faults ----------------------------------------------------------------------------------------------------------


def test_the_client_sends_nothing_twice_and_keeps_our_timeouts(own_redis: RedisProcess) -> None:
    options: dict[str, Any] = {
        "CONNECTION_POOL_CLASS": "tests.ratelimit.stores.caches.SpecialPool",
        "CONNECTION_POOL_KWARGS": {"retry_on_timeout": True},
        "SOCKET_TIMEOUT": 30,
    }
    with (
        closing(RedisStore(cache_at(own_redis.url, **options))) as store,
        closing(RedisStore(cache_at(own_redis.url, **options), PATIENT, PATIENT)) as patient,
    ):
        sent = 0

        def trial() -> float:
            nonlocal sent
            store.take_one(KEY, SLOW)
            own_redis.hang()
            sent += 2
            took = _failure(lambda: store.take_one(KEY, SLOW))
            own_redis.go_on()
            return took

        in_time(trial, READ + MARGIN)
        assert patient.take_one(KEY, SLOW, 10 - sent).allowed
        assert not patient.take_one(KEY, SLOW).allowed


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("kind", ["special pool", "cluster"])
def test_parent_and_child_have_their_own_connections(kind: str, request: pytest.FixtureRequest) -> None:
    if kind == "cluster":
        url = request.getfixturevalue("own_cluster").url
        cache = cluster_cache(url)
    else:
        url = request.getfixturevalue("redis_url")
        cache = cache_at(url, CONNECTION_POOL_CLASS="tests.ratelimit.stores.caches.SpecialPool")
    limit = Limit(1000, 3600)
    with (
        closing(RedisStore(cache, PATIENT, PATIENT)) as store,
        redis.Redis.from_url(url) as operator,
    ):

        def connections() -> set[str]:
            return {client["id"] for client in operator.client_list() if client["cmd"].startswith("eval")}

        assert store.take_one(KEY, limit).allowed
        (parents,) = connections()
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                admitted = [store.take_one(KEY, limit).allowed for _ in range(50)]
                os._exit(0 if all(admitted) else 1)
            children.append(child)
        for _ in range(50):
            assert store.take_one(KEY, limit).allowed
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
        assert store.take_one(KEY, limit, 749).allowed  # 1,000 in all, and none was charged twice
        assert not store.take_one(KEY, limit).allowed
        assert parents in connections()  # no child has closed it


def test_what_the_server_says_is_one_word(own_redis: RedisProcess) -> None:
    options = {"CONNECTION_POOL_CLASS": "tests.ratelimit.stores.caches.SpecialPool"}
    with closing(RedisStore(cache_at(own_redis.url, **options), PATIENT, PATIENT)) as store:
        with redis.Redis.from_url(own_redis.url) as operator:
            operator.config_set("maxmemory", 1)
            with pytest.raises(StoreError, match=r"^oom$"):
                store.take_one(KEY, SLOW)
            operator.config_set("maxmemory", 0)
            operator.script_flush()
        assert store.take_one(KEY, SLOW).allowed
        own_redis.kill()
        for ask in (
            lambda: store.take_one(KEY, SLOW),
            lambda: store.reset([KEY]),
            lambda: store.peek([Charge(KEY, SLOW)]),
            store.eviction_policy,
        ):
            with pytest.raises(StoreError, match=r"^(refused|closed)$"):
                ask()


# --- counting --------------------------------------------------------------------------------------------------------


def _fill(server: RedisProcess, foreign: int) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        client.execute_command("DEBUG", "POPULATE", foreign, "foreign")


def test_counting_ends_when_it_shall_among_other_s_keys() -> None:
    with (
        redis_process("--enable-debug-command", "yes") as server,
        closing(RedisStore(cache_at(server.url), PATIENT, PATIENT, "ours:")) as store,
    ):
        _fill(server, 400_000)
        for key in CLIENTS[:2]:
            store.take_one(key, SLOW)
        assert store.count(PATIENT * 4) == 2
        begin = time.monotonic()
        assert store.count(0.005) is None
        assert time.monotonic() - begin < 0.05


def test_the_keys_of_all_of_a_cluster_s_servers_are_counted_until_it_shall_end(cluster: list[RedisProcess]) -> None:
    with closing(RedisStore(cluster_cache(cluster[0].url), PATIENT, PATIENT)) as store:
        store.reset([*CLIENTS, KEY])
        before = store.count(PATIENT)
        for key in CLIENTS:
            store.take_one(key, SLOW)
        assert store.count(PATIENT) == (before or 0) + len(CLIENTS)
        assert store.count(0) is None
