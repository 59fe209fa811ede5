"""How many are admitted when many processes ask for one client, and what a bucket takes in Redis."""

from __future__ import annotations

import time
from contextlib import ExitStack

import redis

from tests.benchmarks.comparison.table import Row
from tests.benchmarks.ratelimit.workers import our_worker
from tests.services import RedisProcess, redis_process

_PROCESSES = 8
_REQUESTS, _WINDOW_SECONDS = 100, 60  # the anonymous tier, as shipped
_TRIALS = 3
_SECONDS = 1.5
_KEYS = 10_000


def many_processes(server: RedisProcess) -> Row:
    with ExitStack() as stack:
        workers = [stack.enter_context(our_worker("redis", server.url)) for _ in range(_PROCESSES)]
        for worker in workers:
            worker.ask("decided_by", backend="redis", patience_seconds=10)
        trials = []
        for trial in range(_TRIALS):
            for worker in workers:
                worker.tell("hammer", name=f"hammered-{trial}", start_at=time.monotonic() + 0.2, seconds=_SECONDS)
            trials.append([worker.hear() for worker in workers])
    admitted = [sum(one["admitted"] for one in trial) for trial in trials]
    elapsed = [max(one["last"] for one in trial) - min(one["first"] for one in trial) for trial in trials]
    most = [_REQUESTS + _REQUESTS / _WINDOW_SECONDS * seconds + 1 for seconds in elapsed]
    asked, alone = (sum(one[name] for trial in trials for one in trial) for name in ("asked", "alone"))
    return Row(
        f"{_PROCESSES} processes on one key of {_REQUESTS}: admitted",
        f"{_REQUESTS} to {min(most):.1f}",
        ", ".join(map(str, admitted)),
        f"of {asked:,} asked in {_TRIALS} times {_SECONDS} s; decided without Redis: {alone}",
        all(_REQUESTS <= number <= bound for number, bound in zip(admitted, most, strict=True)),
        {"fewest": min(admitted), "most": max(admitted), "allowed": min(most), "decided_without_redis": alone},
    )


def memory_of_a_bucket() -> Row:
    with redis_process() as server, our_worker("redis", server.url) as worker:
        client = redis.Redis.from_url(server.url)
        worker.ask("ask_each", names=["warm"])
        before, keys_before = client.info("memory")["used_memory"], client.dbsize()
        worker.ask("ask_each", names=[f"name-{number}" for number in range(_KEYS)])
        grown, keys = client.info("memory")["used_memory"] - before, client.dbsize() - keys_before
        key = next(key for key in client.scan_iter(count=100) if b"{probe}" not in key)
        used = int(client.memory_usage(key, samples=0) or 0)
        client.close()
    beyond_name = used - len(key)
    all_in_all = grown / keys if keys else float("nan")
    return Row(
        "bytes of a key in Redis beyond its name",
        "≤ 64",
        str(beyond_name),
        f"MEMORY USAGE {used}, its name {len(key)}; with Redis's own tables {all_in_all:.0f} a key",
        beyond_name <= 64,
        {"beyond_name": beyond_name, "memory_usage": used, "name": len(key), "used_memory_per_key": all_in_all},
    )
