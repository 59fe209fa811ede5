"""The client library's own way, for everything that is no plain pool of plain connections.

Sentinel, Cluster and sharded caches know best which server to ask. Their clients are copied, so that our timeouts hold,
nothing is sent twice, and no connection is taken out of the cache's pool. A copy is made in a thread beside, because a
Cluster's asks its nodes for their slots; and so is its new map of slots after a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from threading import Lock
from time import monotonic
from typing import Any

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    AskError,
    ClusterDownError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    ResponseError,
    SlotNotCoveredError,
    TryAgainError,
)
from redis.sentinel import Sentinel, SentinelConnectionPool

from ratelimit.errors import StoreError
from ratelimit.stores.forks import tell_after_fork
from ratelimit.stores.redis.errands import Errands
from ratelimit.stores.redis.reasons import reason_of
from ratelimit.stores.redis.wire import DIGEST, SCRIPT, in_full, script_call

AnyClient = redis.Redis | RedisCluster
_FAILURES = (RedisError, RedisClusterException, OSError, ValueError)
_SCANNED_AT_ONCE = 1000
# Perhaps the map of slots is.
_OUTDATED = (redis.ConnectionError, redis.TimeoutError, ClusterDownError, SlotNotCoveredError)
_UNBOUNDED = 2**31  # connections: there are as many as threads that ask at once


class OrdinaryClients:
    """Runs the script through copies of the cache's clients. Raises StoreError and nothing else.

    ``client_for`` is the cache's own client for a key; ``ours`` is what becomes of connection settings; ``errands``
    run what may take longer than a request would wait.
    """

    def __init__(
        self,
        client_for: Callable[[str], AnyClient],
        ours: Callable[[Mapping[str, Any]], dict[str, Any]],
        errands: Errands,
    ) -> None:
        self._client_for = client_for
        self._ours = ours
        self._errands = errands
        self._copies: dict[int, tuple[AnyClient, AnyClient]] = {}
        self._last_failure: StoreError | None = None
        self._lock = Lock()
        tell_after_fork(self)

    def run(self, keys: Sequence[str], numbers: Sequence[int]) -> list[int]:
        """The script's answer; see take.lua."""
        try:
            client = self._copy_for(keys[0])
            answer = (
                self._ask_cluster(client, keys, numbers)
                if isinstance(client, RedisCluster)
                else _ask(client, keys, numbers)
            )
            return [int(number) for number in answer]
        except (*_FAILURES, TypeError) as error:  # TypeError: an answer that is no list of numbers
            self._last_failure = StoreError(reason_of(error))
            raise StoreError(reason_of(error)) from error
        except StoreError as error:
            self._last_failure = StoreError(error.reason)  # and not the one raised, which holds on to its callers
            raise

    def run_one(self, key: str, capacity_us: int, added_us: int) -> list[int]:
        """``run`` for a single key."""
        return self.run((key,), (capacity_us, added_us))

    async def arun(self, keys: Sequence[str], numbers: Sequence[int]) -> list[int]:
        """As ``run``, in a thread: these clients have no counterpart that could be built from them.

        Who waits for a thread while another request fails does not try in turn.
        """
        return await asyncio.to_thread(self._run_unless_another_failed, self._last_failure, keys, numbers)

    def delete(self, keys: Sequence[str]) -> int:
        """How many there were."""
        try:
            return int(self._copy_for(keys[0]).delete(*keys))
        except _FAILURES as error:
            raise StoreError(reason_of(error)) from error

    def meeting_point(self, key: str) -> Hashable:
        """Keys of which this is equal may share a call."""
        try:
            client = self._copy_for(key)
            return (id(client), client.keyslot(key) if isinstance(client, RedisCluster) else None)
        except _FAILURES as error:
            raise StoreError(reason_of(error)) from error

    def eviction_policy(self) -> str:
        """``maxmemory-policy``, of the first server where there are several."""
        try:
            facts: dict[str, Any] = self._copy_for("").info("memory")
        except _FAILURES as error:
            raise StoreError(reason_of(error)) from error
        return str(facts.get("maxmemory_policy") or next(iter(facts.values()))["maxmemory_policy"])

    def count(self, pattern: str, patience_seconds: float) -> int | None:
        """Keys that match, on all of a cluster's servers; None where walking over them takes longer.

        However few match: it can last longer by one answer of one server, for which the read timeout holds.
        """
        deadline, count = monotonic() + patience_seconds, 0
        try:
            for page in _pages(self._copy_for(""), pattern):
                count += len(page)
                if monotonic() > deadline:
                    return None
        except _FAILURES as error:
            raise StoreError(reason_of(error)) from error
        return count

    def close(self) -> None:
        with self._lock:
            copies, self._copies = self._copies, {}
        for _, client in copies.values():
            client.close()

    def after_fork(self) -> None:
        self._lock = Lock()  # the library's pools notice a fork by themselves

    def _run_unless_another_failed(
        self, last_failure: StoreError | None, keys: Sequence[str], numbers: Sequence[int]
    ) -> list[int]:
        failure = self._last_failure
        if failure is not None and failure is not last_failure:
            raise StoreError(failure.reason)
        return self.run(keys, numbers)

    def _ask_cluster(self, cluster: RedisCluster, keys: Sequence[str], numbers: Sequence[int]) -> Any:
        """The node that has the slot, without the client's own ways to deal with failures, which all take time."""
        try:
            node = cluster.nodes_manager.get_node_from_slot(cluster.keyslot(keys[0]))
            return _ask(cluster.get_redis_connection(node), keys, numbers)
        except (AskError, TryAgainError):  # the slot has moved, or is about to: nothing has run
            return _ask(cluster, keys, numbers)
        except _OUTDATED:
            self._errands.begin_shared(id(cluster), cluster.nodes_manager.initialize)
            raise

    def _copy_for(self, key: str) -> AnyClient:
        original = self._client_for(key)
        server = id(getattr(original, "connection_pool", original))  # Django's backend makes a new client each time
        known = self._copies.get(server)
        if known is not None:
            return known[1]
        return self._errands.run_shared(server, lambda: self._keep_copy(server, original))

    def _keep_copy(self, server: int, original: AnyClient) -> AnyClient:
        copy = self._copy(original)
        with self._lock:
            kept = self._copies.setdefault(server, (original, copy))[1]
        if kept is not copy:
            copy.close()
        return kept

    def _copy(self, client: AnyClient) -> AnyClient:
        if isinstance(client, RedisCluster):
            manager = client.nodes_manager
            nodes = [ClusterNode(node.host, node.port) for node in manager.startup_nodes.values()]
            return RedisCluster(startup_nodes=nodes, **self._ours(manager.connection_kwargs))
        return redis.Redis(connection_pool=self._copy_of_pool(client.connection_pool))

    def _copy_of_pool(self, pool: redis.ConnectionPool) -> redis.ConnectionPool:
        settings = self._ours(pool.connection_kwargs)
        if not isinstance(pool, SentinelConnectionPool):
            return redis.ConnectionPool(connection_class=pool.connection_class, max_connections=_UNBOUNDED, **settings)
        original = pool.sentinel_manager
        manager = Sentinel([], min_other_sentinels=original.min_other_sentinels)
        manager.sentinels = [
            redis.Redis(connection_pool=self._copy_of_pool(sentinel.connection_pool)) for sentinel in original.sentinels
        ]
        settings.pop("connection_pool")  # the pool's own proxy; the copy makes its own
        return SentinelConnectionPool(
            pool.service_name,
            manager,
            connection_class=pool.connection_class,
            is_master=pool.is_master,
            check_connection=pool.check_connection,
            max_connections=_UNBOUNDED,
            **settings,
        )


def _pages(client: AnyClient, pattern: str) -> Iterator[Sequence[Any]]:
    """What each SCAN found, which may be nothing: the client's own scan_iter tells of keys that match only."""
    servers = (
        [client.get_redis_connection(node) for node in client.get_primaries()]
        if isinstance(client, RedisCluster)
        else [client]
    )
    for server in servers:
        cursor, is_done = 0, False
        while not is_done:
            cursor, page = server.scan(cursor, match=pattern, count=_SCANNED_AT_ONCE)
            yield page
            is_done = cursor == 0


def _ask(client: AnyClient, keys: Sequence[str], numbers: Sequence[int]) -> Any:
    if isinstance(client, redis.Redis):
        return _ask_on(client.connection_pool, script_call(keys, numbers))
    try:
        return client.evalsha(DIGEST, len(keys), *keys, *numbers)
    except NoScriptError:
        return client.eval(SCRIPT.decode(), len(keys), *keys, *numbers)


def _ask_on(pool: redis.ConnectionPool, call: bytes) -> Any:
    """On a connection that the pool chooses and opens, but past the client's command wrapper: a quarter of the time."""
    connection = pool.get_connection()
    try:
        connection.send_packed_command([call], check_health=False)
        try:
            return connection.read_response()
        except NoScriptError:  # a new server, or SCRIPT FLUSH: nothing has run
            connection.send_packed_command([in_full(call)], check_health=False)
            return connection.read_response()
    except ResponseError:
        raise
    except BaseException:  # a signal's too: half an answer may be on its way
        connection.disconnect()
        raise
    finally:
        pool.release(connection)
