"""Whether a cache's Redis answers, and how fast."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.cache import caches
from django.core.cache.backends.redis import RedisCache as DjangoRedisCache

from health.base import Check, Finding
from health.checks.cache import cache_class, cache_locations
from health.checks.line import Line
from health.conf import conf
from health.errors import UnusableOptionError
from health.status import HealthStatus

if TYPE_CHECKING:  # a project may have this app and not the client library
    from redis import ConnectionPool
    from redis.connection import AbstractConnection

# The client's own timeouts end a run between its deadline, at which the engine calls it late, and the interruption at
# twice that. At the deadline itself the two would race, and after a run that is not late the next probe waits again.
_PATIENCE_FACTOR = 1.5
_NOT_OURS = ("retry", "maint_notifications_", "maintenance_", "orig_", "oss_cluster_")


@dataclass(kw_only=True)
class RedisCheck(Check):
    """Pings a server of the cache ``alias``, on a connection of its own that nothing stands in for when it is down.

    ``server`` is which of those that LOCATION lists. Of a Sentinel's service it is the one that is in charge. Of a
    Cluster it is the node that LOCATION names. Slow above ``slow_seconds``.

    It finds an error unhealthy, and ``worst`` makes that degraded: few projects cannot do without their cache. For one
    that cannot, let ``worst`` be unhealthy and ``critical`` true.
    """

    critical: bool = False
    deadline_seconds: float = 0.5
    worst: HealthStatus = field(default=HealthStatus.DEGRADED, repr=False)
    alias: str = field(default_factory=lambda: conf.cache)
    server: int = 0
    slow_seconds: float = 0.5

    messages: ClassVar[Mapping[str, str]] = {
        "answers": "Answered in {milliseconds:.0f} ms.",
        "slow": "Answered in {milliseconds:.0f} ms, which is slow.",
        "timed_out": "It does not answer in time.",
        "refused": "It refuses the connection.",
        "unknown_host": "Its host's name is not known.",
        "credentials": "It refuses the credentials.",
        "loading": "It is still loading its data.",
        "busy": "It is busy with a script.",
        "failed": "It cannot be used.",
    }

    def __post_init__(self) -> None:
        self._line = Line()
        self._connection: AbstractConnection | None = None

    @classmethod
    def expand(cls, name: str, options: Mapping[str, Any]) -> list[Check]:
        """One for every server of the cache (HEALTH_CACHE, or the options'); none where that is not Redis.

        Raises UnusableOptionError for a cache that is not there, or a Redis without a server.
        """
        alias = options.get("alias", conf.cache)
        if not speaks_redis(cache_class(alias)):
            return []
        locations = cache_locations(alias)
        if not locations or not all(locations):
            raise UnusableOptionError(
                f"write the LOCATION of the cache “{alias}” as its servers' URLs, such as 'redis://127.0.0.1:6379/0'"
            )
        with suppress(ImportError):  # is for the run to tell
            import_module("redis")  # now, and not in the first run's time
        if "server" in options:
            return [cls(name=name, **{**options, "alias": alias})]
        return [
            cls(name=f"{name}-{server + 1}" if server else name, **{**options, "alias": alias, "server": server})
            for server in range(len(locations))
        ]

    def run(self) -> Finding:
        from redis.exceptions import RedisError

        began_at = time.monotonic()
        with self._line.in_use():
            try:
                self._ping()
            except (RedisError, OSError) as error:
                return self.found(HealthStatus.UNHEALTHY, "timed_out" if self._line.was_cut else _code(error))
        seconds = time.monotonic() - began_at
        status, code = (
            (HealthStatus.HEALTHY, "answers") if seconds <= self.slow_seconds else (HealthStatus.DEGRADED, "slow")
        )
        return self.found(status, code, milliseconds=seconds * 1000)

    def interrupt(self) -> None:
        self._line.cut()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self._line.let_go()
        if connection is not None:
            connection.disconnect()

    def _ping(self) -> None:
        """A connection that was good once may have been closed meanwhile: then it is tried once more on a new one."""
        from redis.exceptions import ConnectionError as ServerGoneError

        was_kept = self._connection is not None
        try:
            self._ping_once()
        except ServerGoneError:
            if not was_kept or self._line.was_cut:
                raise
            self._ping_once()

    def _ping_once(self) -> None:
        try:
            connection = self._connection or self._connected()
            connection.send_command("PING", check_health=False)
            connection.read_response()
        except BaseException:
            self.close()
            raise

    def _connected(self) -> AbstractConnection:
        pool = _own(_pool(self.alias, self.server), self.deadline_seconds, self._line)
        connection: AbstractConnection = pool.connection_class(**pool.connection_kwargs)
        self._connection = connection
        try:
            connection.connect()
            return connection
        finally:
            _leave_sentinels(pool)


class OwnRedisCache:
    """A Redis cache on pools of its own, of which nothing is left after each reading. For one thread at a time."""

    def __init__(self, alias: str, deadline_seconds: float) -> None:
        self._alias = alias
        self._deadline_seconds = deadline_seconds
        self._line = Line()

    def get(self, key: str) -> object:
        """Through the cache itself, so that the key and the value are what it makes of them."""
        pools: list[ConnectionPool] = []

        def own(pool: ConnectionPool) -> ConnectionPool:
            pools.append(_own(pool, self._deadline_seconds, self._line))
            return pools[-1]

        with self._line.in_use():
            try:
                return _on_pools(own, caches.create_connection(self._alias)).get(key)
            finally:
                self._line.let_go()
                for pool in pools:
                    pool.disconnect()
                    _leave_sentinels(pool)

    def interrupt(self) -> None:
        self._line.cut()


def speaks_redis(kind: type) -> bool:
    """Whether this class of caches is one whose servers can be pinged."""
    return issubclass(kind, DjangoRedisCache) or any(one.__module__ == "django_redis.cache" for one in kind.__mro__)


def _pool(alias: str, server: int) -> ConnectionPool:
    """As the cache would make it for itself, which connects to nothing. Nor does making the cache."""
    cache: Any = caches.create_connection(alias)
    if isinstance(cache, DjangoRedisCache):
        client: Any = cache._cache  # noqa: SLF001 - there is no public name for it
        options: dict[str, Any] = client._pool_options  # noqa: SLF001 - nor for this
        pool: ConnectionPool = client._pool_class.from_url(client._servers[server], **options)  # noqa: SLF001 - nor these
        return pool
    factory = cache.client.connection_factory
    params = factory.make_connection_params(cache.client._server[server])  # noqa: SLF001 - nor here
    made: ConnectionPool = factory.get_connection_pool(params)
    return made


def _on_pools(own: Callable[[ConnectionPool], ConnectionPool], cache: Any) -> Any:
    """The cache, which has not been used yet, with what ``own`` makes of each of its pools."""
    if isinstance(cache, DjangoRedisCache):
        client: Any = cache._cache  # noqa: SLF001 - as above
        made = client._get_connection_pool  # noqa: SLF001 - as above
        client._get_connection_pool = lambda write: own(made(write))  # noqa: SLF001 - as above
        return cache
    factory = cache.client.connection_factory  # whose pools are the whole process's
    factory.get_or_create_connection_pool = lambda params: own(factory.get_connection_pool(params))
    shards = getattr(cache.client, "_serverdict", {})
    shards.update({server: factory.connect(server) for server in shards})
    return cache


def _own(pool: ConnectionPool, deadline_seconds: float, line: Line) -> ConnectionPool:
    """A copy whose connections give up in time, and are held by the line."""
    own = _copy(pool, deadline_seconds * _PATIENCE_FACTOR)
    greet = own.connection_kwargs.get("redis_connect_func")

    def hold_and_greet(connection: Any) -> None:
        line.hold(connection._sock.fileno())  # noqa: SLF001 - before the greeting, which may hang too
        if greet is None:
            connection.on_connect()
        else:
            greet(connection)

    own.connection_kwargs["redis_connect_func"] = hold_and_greet
    return own


def _leave_sentinels(pool: ConnectionPool) -> None:
    for sentinel in getattr(getattr(pool, "sentinel_manager", None), "sentinels", ()):
        sentinel.connection_pool.disconnect()


def _copy(pool: ConnectionPool, timeout_seconds: float) -> ConnectionPool:
    """With our timeouts and without any retry; of a Sentinel's, the clients of the Sentinels too."""
    from redis import ConnectionPool, Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
    from redis.sentinel import Sentinel, SentinelConnectionPool

    settings: dict[str, Any] = {
        **{name: value for name, value in pool.connection_kwargs.items() if not name.startswith(_NOT_OURS)},
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
    }
    if not isinstance(pool, SentinelConnectionPool):
        return ConnectionPool(connection_class=pool.connection_class, **settings)
    settings.pop("connection_pool")  # the pool's own proxy; the copy makes its own
    theirs = pool.sentinel_manager
    manager = Sentinel([], min_other_sentinels=theirs.min_other_sentinels)
    manager.sentinels = [
        Redis(connection_pool=_copy(sentinel.connection_pool, timeout_seconds)) for sentinel in theirs.sentinels
    ]
    return SentinelConnectionPool(
        pool.service_name, manager, connection_class=pool.connection_class, is_master=pool.is_master, **settings
    )


def _code(error: Exception) -> str:
    """The first that fits."""
    from redis import exceptions

    cause = error.__context__ if isinstance(error, exceptions.ConnectionError) else None  # wrapped by the library
    kinds: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
        ((exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError), "credentials"),
        ((exceptions.BusyLoadingError,), "loading"),
        ((exceptions.TimeoutError, TimeoutError), "timed_out"),
        ((ConnectionRefusedError,), "refused"),
        ((socket.gaierror,), "unknown_host"),
    )
    for types, code in kinds:
        if isinstance(error, types) or isinstance(cause, types):
            return code
    return "busy" if str(error).startswith("BUSY ") else "failed"
