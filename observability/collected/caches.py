"""How full the caches are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

from django.core.cache import caches
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.db import connections, router
from django.utils.module_loading import import_string
from prometheus_client.core import Metric as Family

from observability.cache import leave_out
from observability.cache_types import cache_type_of
from observability.catalogue import Budget, Closed, Label
from observability.conf import conf
from observability.metrics import CACHE_TYPES
from observability.pulled import Pulled

_labels = (Label("cache_type", Closed(CACHE_TYPES, other="other")), Label("cache_name", Budget(20)))

cache_size = Pulled(
    "cache_size_bytes",
    "What the cache keeps: of Redis, all memory its server uses (INFO); of local memory, what its keys and values in"
    " the process that answers take, estimated from 100 of them.",
    group="Cache",
    labels=_labels,
)
cache_items = Pulled(
    "cache_items",
    "How many keys the cache has: of Redis, all keys of its database, whoever wrote them (DBSIZE); of local memory,"
    " those of the process that answers, of which some may have expired.",
    group="Cache",
    labels=_labels,
)

_SAMPLE = 100
_USED_MEMORY = re.compile(rb"^used_memory:(\d+)", re.MULTILINE)
_NOT_OURS = ("retry", "maint_notifications_", "maintenance_", "orig_", "oss_cluster_")
"""What redis-py's pool has put among its connections' settings for itself."""


class Fill(NamedTuple):
    """None: it is not known, or would cost too much to find out."""

    items: float | None = None
    size_bytes: float | None = None


class CacheCollector:
    """Of one cache."""

    def __init__(self, alias: str) -> None:
        self.name = f"cache_{alias}"
        self._alias = alias

    @property
    def is_of_this_process(self) -> bool:
        """Local memory is each process's own."""
        kind = import_string(caches.settings[self._alias]["BACKEND"])
        return isinstance(kind, type) and issubclass(kind, LocMemCache)

    def collect(self) -> Iterable[Family]:
        cache: Any = caches.create_connection(self._alias)
        leave_out(cache)
        cache_type = cache_type_of(type(cache))
        fill = _fill(cache, cache_type)
        labels = (cache_type, self._alias)
        if fill.items is not None:
            yield cache_items.family({labels: fill.items})
        if fill.size_bytes is not None:
            yield cache_size.family({labels: fill.size_bytes})


def _fill(cache: Any, cache_type: str) -> Fill:
    if cache_type == "redis":
        return _of_redis(cache)
    if isinstance(cache, LocMemCache):
        return _of_local_memory(cache)
    if isinstance(cache, FileBasedCache):
        return Fill(items=len(cache._list_cache_files()))  # type: ignore[attr-defined]  # noqa: SLF001 - no public name; the stubs lack it
    if isinstance(cache, DatabaseCache):
        return _of_database(cache)
    return Fill()


def _of_local_memory(cache: Any) -> Fill:
    """From both ends, since the latest values may be of one kind, and the oldest of another."""
    with cache._lock:  # noqa: SLF001 - a dictionary that changes cannot be walked through
        kept = cache._cache  # noqa: SLF001 - there is no public name for it
        count, half = len(kept), _SAMPLE // 2
        keys = list(kept) if count <= _SAMPLE else [*islice(kept, half), *islice(reversed(kept), half)]
        taken = sum(len(key) + len(kept[key]) for key in keys)
    return Fill(items=count, size_bytes=taken * count / len(keys) if keys else 0.0)


def _of_database(cache: Any) -> Fill:
    """Django counts them itself whenever it writes one, and keeps them below MAX_ENTRIES."""
    connection = connections[router.db_for_read(cache.cache_model_class)]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {connection.ops.quote_name(cache._table)}")  # noqa: S608, SLF001 - the setting's name, quoted
        return Fill(items=cursor.fetchone()[0])


def _of_redis(cache: Any) -> Fill:
    """Over a connection made as the cache's own client makes its, outside its pool, and with a deadline."""
    client = (cache.client if hasattr(cache, "client") else cache._cache).get_client(write=True)  # noqa: SLF001 - as above
    pool = getattr(client, "connection_pool", None)
    if pool is None:  # a cluster has one for each of its nodes
        return Fill(items=client.dbsize())
    given = {name: value for name, value in pool.connection_kwargs.items() if not name.startswith(_NOT_OURS)}
    timeouts = dict.fromkeys(("socket_timeout", "socket_connect_timeout"), conf.collect_timeout_seconds)
    connection = pool.connection_class(**{**given, **timeouts})
    try:
        connection.send_command("DBSIZE")
        items = connection.read_response()
        connection.send_command("INFO", "memory")
        found = _USED_MEMORY.search(_as_bytes(connection.read_response()))
    finally:
        connection.disconnect()
    return Fill(items, float(found[1]) if found else None)


def _as_bytes(reply: Any) -> bytes:
    return reply.encode() if isinstance(reply, str) else bytes(reply)
