"""Buckets in Redis, on its clock, one round trip for a decision."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from threading import Lock
from typing import Any, Protocol

import redis
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.redis import RedisCache as DjangoRedisCache
from redis import asyncio as aredis
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry

from ratelimit.bucket import Limit, take
from ratelimit.errors import StoreError
from ratelimit.stores.base import Charge, StoreState, Verdict
from ratelimit.stores.forks import tell_after_fork
from ratelimit.stores.redis.errands import Errands
from ratelimit.stores.redis.loops import LoopPools
from ratelimit.stores.redis.ordinary import AnyClient, OrdinaryClients
from ratelimit.stores.redis.pinned import PinnedConnections
from ratelimit.stores.redis.reasons import reason_of
from ratelimit.stores.redis.wire import MOST_US

_KEYS_AT_ONCE = 100  # in one call of the script, so that no other client of Redis waits long for it
_LOOP_CLASSES: Mapping[type, type[aredis.Connection | aredis.UnixDomainSocketConnection]] = {
    redis.Connection: aredis.Connection,
    redis.SSLConnection: aredis.SSLConnection,
    redis.UnixDomainSocketConnection: aredis.UnixDomainSocketConnection,
}
_LOOP_SETTINGS = (
    *("host", "port", "path", "db", "username", "password", "credential_provider"),
    *("ssl_keyfile", "ssl_certfile", "ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_data", "ssl_ca_path"),
    *("ssl_check_hostname", "ssl_min_version", "ssl_ciphers", "ssl_password"),
)
# Retries; and what a pool puts in to follow a server's announcements, with objects that belong to it.
_NOT_OURS = ("retry", "maint_notifications_", "maintenance_", "orig_", "oss_cluster_")


class _Transport(Protocol):
    """How the script gets to the server. Everything raises StoreError and nothing else."""

    def run(self, keys: Sequence[str], numbers: Sequence[int]) -> list[int]: ...
    def run_one(self, key: str, capacity_us: int, added_us: int) -> Sequence[int]: ...
    async def arun(self, keys: Sequence[str], numbers: Sequence[int]) -> list[int]: ...
    def delete(self, keys: Sequence[str]) -> int: ...
    def meeting_point(self, key: str) -> Hashable: ...
    def close(self) -> None: ...


class RedisStore:
    """Buckets on the server (6.2 or later) of a django-redis cache, or of Django's own Redis backend.

    The cache's pool is only read: connections are the store's own, with its own timeouts whatever CACHES says, and no
    retry. A plain pool of plain connections is what one connection per thread and one pool per event loop are built
    from; everything else (Sentinel, Cluster, sharded, fakes) is spoken to through copies of its own clients.

    ``prefix`` stands before every key on the server.
    """

    name = "redis"

    def __init__(
        self,
        cache: BaseCache,
        read_timeout_seconds: float = 0.05,
        connect_timeout_seconds: float = 0.25,
        prefix: str = "",
    ) -> None:
        self._cache = cache
        self._prefix = prefix
        self._read_timeout_seconds = read_timeout_seconds
        self._connect_timeout_seconds = connect_timeout_seconds
        self._lock = Lock()
        self._chosen: _Transport | None = None
        self._errands = Errands(connect_timeout_seconds)
        tell_after_fork(self)

    def take_one(self, key: str, limit: Limit, cost: int = 1) -> Verdict:
        transport = self._chosen or self._transport()
        added_us = cost * limit.interval_us
        if added_us > MOST_US:
            added_us = MOST_US
        now_us, fits, arrival_us = transport.run_one(self._prefix + key, limit.capacity_us, added_us)
        # tuple.__new__ is what Verdict() calls, at half the price: this is done for every request
        return tuple.__new__(Verdict, (fits == 1, arrival_us, now_us, limit, "redis"))

    def take(self, charges: Sequence[Charge]) -> list[Verdict]:
        if not charges:
            return []
        return _verdicts(charges, self._transport().run(*self._call(charges, _added_us)))

    async def atake(self, charges: Sequence[Charge]) -> list[Verdict]:
        if not charges:
            return []
        return _verdicts(charges, await self._transport().arun(*self._call(charges, _added_us)))

    def peek(self, charges: Sequence[Charge]) -> list[Verdict]:
        """As promised, but where keys live on different servers (Cluster, sharded) each slot or server is asked."""
        transport = self._transport()
        groups: dict[Hashable, list[Charge]] = {}
        for charge in charges:
            groups.setdefault(transport.meeting_point(self._prefix + charge.key), []).append(charge)
        seen: dict[str, Verdict] = {}
        for group in groups.values():
            for first in range(0, len(group), _KEYS_AT_ONCE):
                some = group[first : first + _KEYS_AT_ONCE]
                answer = transport.run(*self._call(some, _nothing))
                for charge, verdict in zip(some, _verdicts(some, answer), strict=True):
                    fits = take(verdict.arrival_us, verdict.now_us, charge.limit, charge.cost).allowed
                    seen[charge.key] = verdict._replace(allowed=fits)
        return [seen[charge.key] for charge in charges]

    def refund(self, charges: Sequence[Charge], backend: str) -> None:
        if charges and backend == self.name:
            self._transport().run(*self._call(charges, _given_back_us))

    async def arefund(self, charges: Sequence[Charge], backend: str) -> None:
        if charges and backend == self.name:
            await self._transport().arun(*self._call(charges, _given_back_us))

    def reset(self, keys: Sequence[str]) -> int:
        transport = self._transport()
        groups: dict[Hashable, list[str]] = {}
        for key in (self._prefix + key for key in keys):
            groups.setdefault(transport.meeting_point(key), []).append(key)
        return sum(transport.delete(group) for group in groups.values())

    def eviction_policy(self) -> str:
        """``maxmemory-policy``: what the server does when its memory is full. All but ``noeviction`` drop buckets."""
        clients = OrdinaryClients(_finder(self._cache), self._ours, self._errands)
        try:
            return clients.eviction_policy()
        finally:
            clients.close()

    def state(self) -> StoreState:
        return StoreState(self.name, "", 0)

    def count(self, patience_seconds: float) -> int | None:
        """Walks over the keys, on a connection of its own, which it closes; of a sharded cache over one server's."""
        clients = OrdinaryClients(_finder(self._cache), self._ours, self._errands)
        try:
            return clients.count(f"{self._prefix}*", patience_seconds)
        finally:
            clients.close()

    def close(self) -> None:
        with self._lock:
            chosen, self._chosen = self._chosen, None
        if chosen is not None:
            chosen.close()

    def after_fork(self) -> None:
        self._lock = Lock()

    def _call(self, charges: Sequence[Charge], change: Callable[[Limit, int], int]) -> tuple[list[str], list[int]]:
        keys = [self._prefix + charge.key for charge in charges]
        return keys, [number for _, limit, cost in charges for number in (limit.capacity_us, change(limit, cost))]

    def _transport(self) -> _Transport:
        chosen = self._chosen
        if chosen is not None:
            return chosen
        undecided = _Undecided(self._errands, self._choose_for_all)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return undecided.decided()
        return undecided

    def _choose_for_all(self) -> _Transport:
        """Beside the requests: a Cluster's own client connects when it is made, with the timeouts of CACHES."""
        try:
            made = self._choose()
        except (RedisError, RedisClusterException, OSError) as error:
            raise StoreError(reason_of(error)) from error
        except Exception as error:
            raise StoreError("unusable") from error  # a cache may do anything to make its client
        with self._lock:
            if self._chosen is None:
                self._chosen = made
            chosen = self._chosen
        if chosen is not made:
            made.close()
        return chosen

    def _choose(self) -> _Transport:
        client_for = _finder(self._cache)
        pool: Any = None if _is_sharded(self._cache) else getattr(client_for(""), "connection_pool", None)
        is_plain = type(pool) in (redis.ConnectionPool, redis.BlockingConnectionPool)
        loop_class = _LOOP_CLASSES.get(pool.connection_class) if is_plain else None
        if loop_class is None:
            return OrdinaryClients(client_for, self._ours, self._errands)
        settings = self._ours(pool.connection_kwargs)
        loop_settings = {name: settings[name] for name in _LOOP_SETTINGS if name in settings}
        return _Direct(
            PinnedConnections(pool.connection_class, settings),
            LoopPools(loop_class, loop_settings, self._read_timeout_seconds, self._connect_timeout_seconds),
        )

    def _ours(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Connection settings with our timeouts, without any retry, and in the protocol without announcements."""
        return {
            **{name: value for name, value in settings.items() if not name.startswith(_NOT_OURS)},
            "socket_timeout": self._read_timeout_seconds,
            "socket_connect_timeout": self._connect_timeout_seconds,
            "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0,
            "protocol": 2,
        }


class _Undecided:
    """Finds out first, on a loop without holding it up."""

    def __init__(self, errands: Errands, choose: Callable[[], _Transport]) -> None:
        self._errands = errands
        self._choose = choose

    def decided(self) -> _Transport:
        return self._errands.run_shared(_Undecided, self._choose)

    def run(self, keys: Sequence[str], numbers: Sequence[int]) -> list[int]:
        return self.decided().run(keys, numbers)

    def run_one(self, key: str, capacity_us: int, added_us: int) -> Sequence[int]:
        return self.decided().run_one(key, capacity_us, added_us)

    async def arun(self, keys: Sequence[str], numbers: Sequence[int]) -> list[int]:
        transport = await self._errands.arun_shared(_Undecided, self._choose)
        return await transport.arun(keys, numbers)

    def delete(self, keys: Sequence[str]) -> int:
        return self.decided().delete(keys)

    def meeting_point(self, key: str) -> Hashable:
        return self.decided().meeting_point(key)

    def close(self) -> None:
        """Nothing is open yet."""


class _Direct:
    """To one server, on the thread's own connection or the loop's own pool."""

    def __init__(self, threads: PinnedConnections, loops: LoopPools) -> None:
        self._loops = loops
        self._threads = threads
        self.run = threads.run
        self.run_one = threads.run_one
        self.arun = loops.run
        self.delete = threads.delete

    def meeting_point(self, key: str) -> Hashable:  # noqa: ARG002 - all keys live on the one server
        return None

    def close(self) -> None:
        self._threads.close()
        self._loops.close()


def _added_us(limit: Limit, cost: int) -> int:
    return min(cost * limit.interval_us, MOST_US)


def _given_back_us(limit: Limit, cost: int) -> int:
    return -_added_us(limit, cost)


def _nothing(limit: Limit, cost: int) -> int:  # noqa: ARG001 - the third of a kind
    return 0


def _verdicts(charges: Sequence[Charge], answer: list[int]) -> list[Verdict]:
    now_us = answer[0]
    return [
        Verdict(fits == 1, arrival_us, now_us, charge.limit, RedisStore.name)
        for charge, fits, arrival_us in zip(charges, answer[1::2], answer[2::2], strict=True)
    ]


def speaks_redis(cache: BaseCache) -> bool:
    """Whether this is a cache whose server ``RedisStore`` can use. Looks at its class only."""
    is_django_redis = any(kind.__module__ == "django_redis.cache" for kind in type(cache).__mro__)
    return is_django_redis or isinstance(cache, DjangoRedisCache)


def _is_sharded(cache: BaseCache) -> bool:
    return hasattr(getattr(cache, "client", None), "get_server")


def _finder(cache: Any) -> Callable[[str], AnyClient]:
    """The cache's own client for a key."""
    if isinstance(cache, DjangoRedisCache):
        return lambda key: cache._cache.get_client(key, write=True)  # noqa: SLF001 - there is no public name for it
    client: Any = cache.client
    if _is_sharded(cache):
        find: Callable[[str], AnyClient] = client.get_server
        return find
    return lambda key: client.get_client(write=True)  # noqa: ARG005 - one server for all
