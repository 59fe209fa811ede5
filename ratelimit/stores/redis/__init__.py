"""Buckets in Redis: one script, one round trip, the server's clock."""

from ratelimit.stores.redis.store import RedisStore, speaks_redis

__all__ = ["RedisStore", "speaks_redis"]
