"""On event loops: no thread, a deadline, and nothing left over for the next request or the next loop."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest
import redis

from ratelimit.bucket import Limit
from ratelimit.errors import StoreError
from ratelimit.stores.base import Charge, Verdict
from ratelimit.stores.fallback import FallbackStore
from ratelimit.stores.redis import RedisStore
from ratelimit.stores.redis.loops import MOST_CONNECTIONS, LoopPools
from tests.ratelimit.stores.patience import TRIALS, in_time
from tests.ratelimit.stores.redis.talker import CLOSE, SILENCE, Reply, deaf_port, talker
from tests.services import RedisProcess, redis_process

KEY = "rate_limit:{somebody}:anonymous"
SLOW = Limit(10, 3600)
GOOD = b"*3\r\n:1795453159416624\r\n:1\r\n:1795453159417603\r\n"
READ, CONNECT = 0.05, 0.25
MARGIN = 0.01  # seconds that the contract allows on top of a timeout
TALK = 0.25  # timeout for the stand-in, which shares this process's lock

MakeStore = Callable[..., RedisStore]
MakeFallback = Callable[..., FallbackStore]


@pytest.fixture
def operator(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, client_name="operator") as client:
        yield client


def others(operator: redis.Redis) -> int:
    """How many connections there are besides the operator's."""
    return sum(client["name"] != "operator" for client in operator.client_list())


def left(verdict: Verdict) -> int:
    return (verdict.limit.capacity_us - max(verdict.arrival_us - verdict.now_us, 0)) // verdict.limit.interval_us


async def take(store: RedisStore, cost: int = 1, key: str = KEY) -> Verdict:
    return (await store.atake([Charge(key, SLOW, cost)]))[0]


async def reason(store: RedisStore) -> str:
    with pytest.raises(StoreError) as caught:
        await take(store)
    return caught.value.reason


def test_a_hot_request_needs_no_thread(redis_url: str, make_redis_store: MakeStore) -> None:
    store = make_redis_store(redis_url)

    def no_thread(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a thread was asked for")

    async def story() -> None:
        await take(store)
        loop: Any = asyncio.get_running_loop()
        loop.run_in_executor = no_thread
        before = threading.active_count()
        for remaining in (8, 7, 6):
            assert left(await take(store)) == remaining
        assert threading.active_count() == before

    asyncio.run(story())


def test_connections_are_bounded_and_end_with_their_loop(
    redis_url: str, operator: redis.Redis, make_redis_store: MakeStore
) -> None:
    store = make_redis_store(redis_url)

    async def story() -> int:
        verdicts = await asyncio.gather(*(take(store) for _ in range(300)))
        assert sum(verdict.allowed for verdict in verdicts) == 10
        return others(operator)

    for _ in range(2):
        assert 1 <= asyncio.run(story()) <= MOST_CONNECTIONS
        store.reset([KEY])
        store.close()  # the connection of this thread
        _until(lambda: others(operator) == 0)


def test_a_loop_that_is_thrown_away_is_forgotten(redis_url: str, make_redis_store: MakeStore) -> None:
    store = make_redis_store(redis_url)
    loops: dict[AbstractEventLoop, Any] = store._transport()._loops._pools  # type: ignore[attr-defined]  # the direct way has it
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(take(store)).allowed
    assert list(loops) == [loop]
    for pool, _ in loops.values():
        loop.run_until_complete(pool.close())  # what the end of the process would do; else Python warns
    loop.close()  # without a word to its generators
    asyncio.run(take(store))
    assert not loops
    gc.collect()


def test_loops_in_several_threads_do_not_meet(redis_url: str, make_redis_store: MakeStore) -> None:
    store = make_redis_store(redis_url)

    async def story() -> int:
        return sum([(await take(store)).allowed for _ in range(20)])

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(lambda _: asyncio.run(story()), range(6))) == 10


def test_closing_the_store_closes_the_pool_of_a_running_loop(
    redis_url: str, operator: redis.Redis, make_redis_store: MakeStore
) -> None:
    store = make_redis_store(redis_url)

    async def story() -> None:
        await take(store)
        assert others(operator) == 1
        store.close()
        deadline = time.monotonic() + 10
        while others(operator):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert left(await take(store)) == 8

    asyncio.run(story())


def test_a_loop_that_goes_on_after_a_close_keeps_its_new_pool(redis_url: str, make_redis_store: MakeStore) -> None:
    store = make_redis_store(redis_url)

    async def story() -> None:
        await take(store)
        loops: LoopPools = store._transport()._loops  # type: ignore[attr-defined]  # the direct way has it
        loops.close()
        await take(store)
        (new,) = loops._pools.values()
        await asyncio.sleep(0.05)  # the former one has been closed
        assert list(loops._pools.values()) == [new]
        assert left(await take(store)) == 7

    asyncio.run(story())


def test_a_flushed_script_is_loaded_again(redis_url: str, operator: redis.Redis, make_redis_store: MakeStore) -> None:
    store = make_redis_store(redis_url)

    async def story() -> None:
        for remaining in (9, 8):
            operator.script_flush()
            assert left(await take(store)) == remaining

    asyncio.run(story())


def test_a_killed_connection_is_noticed_before_anything_is_sent(
    redis_url: str, operator: redis.Redis, make_redis_store: MakeStore
) -> None:
    store = make_redis_store(redis_url)

    async def story() -> None:
        for remaining in (9, 8, 7):
            assert left(await take(store)) == remaining
            operator.client_kill_filter(_type="normal", skipme=True)
            await asyncio.sleep(0.02)  # the loop hears of it

    asyncio.run(story())


def test_a_server_that_hangs_is_waited_for_no_longer_than_the_timeout(
    own_redis: RedisProcess, make_redis_store: MakeStore
) -> None:
    store = make_redis_store(own_redis.url, READ, CONNECT)

    async def story() -> float:
        await take(store)
        own_redis.hang()
        begin = time.monotonic()
        assert await reason(store) == "timeout"
        took = time.monotonic() - begin
        own_redis.go_on()
        return took

    in_time(lambda: asyncio.run(story()), READ + MARGIN)


def test_what_may_have_run_is_not_sent_again(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    store, patient = make_redis_store(own_redis.url, READ, CONNECT), make_redis_store(own_redis.url)

    async def story() -> None:
        await take(store)
        own_redis.hang()
        assert await reason(store) == "timeout"
        own_redis.go_on()
        assert left(await take(patient)) == 7

    asyncio.run(story())


def test_a_loop_that_was_held_up_reads_its_answers_before_it_gives_up(
    redis_url: str, make_redis_store: MakeStore
) -> None:
    store = make_redis_store(redis_url, READ, CONNECT)

    async def hold_up() -> None:
        time.sleep(3 * READ)  # noqa: ASYNC251 - a view that does not know better

    async def story() -> None:
        await asyncio.gather(*(take(store) for _ in range(5)))  # connections are there
        for _ in range(5):
            verdicts = await asyncio.gather(take(store), take(store), hold_up())
            assert all(verdict is None or verdict.backend == "redis" for verdict in verdicts)

    asyncio.run(story())


def test_a_cancelled_request_leaves_no_answer_behind(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    store = make_redis_store(own_redis.url)

    async def story() -> None:
        await take(store)
        own_redis.hang()
        waiting = [asyncio.create_task(take(store, cost=3)) for _ in range(3)]
        await asyncio.sleep(0.05)
        for task in waiting:
            task.cancel()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(end) for end in ended} == {asyncio.CancelledError}
        own_redis.go_on()
        answers = await asyncio.gather(*(take(store, key=f"{KEY}{number}") for number in range(40)))
        assert {left(verdict) for verdict in answers} == {9}

    asyncio.run(story())


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (b"-READONLY You can't write against a read only replica.\r\n", "readonly"),
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "oom"),
        (b"-MOVED 1234 127.0.0.1:7001\r\n", "moved"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "loading"),
        (b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", "wrongtype"),
        (b"-10.0.0.1 is who asked\r\n", "error"),
        (b"+OK\r\n", "garbage"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "garbage"),
        (b"*3\r\n:1\r\n:1\r\n$1\r\nx\r\n", "garbage"),
        (b"*2\r\n:1\r\n:1\r\n", "garbage"),
        (GOOD[:-12], "timeout"),
        (SILENCE, "timeout"),
        ([GOOD[:20], CLOSE], "closed"),
        ([CLOSE], "closed"),
    ],
)
def test_anything_but_the_numbers_is_one_word_and_a_new_connection(
    make_redis_store: MakeStore, reply: Reply, word: str
) -> None:
    async def story(store: RedisStore) -> None:
        assert await reason(store) == word
        assert (await take(store)).arrival_us == 1795453159417603

    with talker(reply, GOOD) as server:
        asyncio.run(story(make_redis_store(server.url, TALK, TALK)))
        assert (len(server.asked), server.connections) == (2, 2)


def test_a_server_that_is_not_there_refuses(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    own_redis.kill()
    assert asyncio.run(reason(make_redis_store(own_redis.url))) == "refused"


def test_a_burst_on_a_healthy_server_is_decided_by_it(redis_url: str, make_fallback: MakeFallback) -> None:
    limit = Limit(100, 3600)

    async def story(store: FallbackStore) -> list[Verdict]:
        answers = await asyncio.gather(*(store.atake([Charge(KEY, limit)]) for _ in range(2_000)))
        return [verdict for (verdict,) in answers]

    for _ in range(TRIALS):  # a machine so busy that the server has no turn for 50 ms is no burst's fault
        with redis.Redis.from_url(redis_url) as operator:
            operator.delete(KEY)
        verdicts = asyncio.run(story(make_fallback(redis_url)))  # with the shipped timeouts
        if {verdict.backend for verdict in verdicts} == {"redis"}:
            break
    assert {verdict.backend for verdict in verdicts} == {"redis"}
    assert sum(verdict.allowed for verdict in verdicts) == 100


def test_who_waits_for_a_place_when_the_server_hangs_does_not_wait_in_turn(
    own_redis: RedisProcess, make_redis_store: MakeStore
) -> None:
    store = make_redis_store(own_redis.url, READ, CONNECT)

    async def story() -> float:
        await asyncio.gather(*(take(store) for _ in range(MOST_CONNECTIONS)))
        own_redis.hang()
        begin = time.monotonic()
        reasons = await asyncio.gather(*(reason(store) for _ in range(10 * MOST_CONNECTIONS)))
        took = time.monotonic() - begin
        assert set(reasons) == {"timeout"}
        own_redis.go_on()
        assert (await take(store, key=KEY + "2")).allowed  # places are not lost
        return took

    in_time(lambda: asyncio.run(story()), READ + 5 * MARGIN)  # 320 tasks are begun and ended besides


def test_who_gives_up_waiting_leaves_the_place_to_the_next(
    own_redis: RedisProcess, make_redis_store: MakeStore
) -> None:
    store = make_redis_store(own_redis.url)

    async def story() -> None:
        await asyncio.gather(*(take(store) for _ in range(MOST_CONNECTIONS)))
        own_redis.hang()
        asking = [asyncio.create_task(take(store, key=f"{KEY}-{number}")) for number in range(3 * MOST_CONNECTIONS)]
        await asyncio.sleep(0.05)
        for task in asking[: 2 * MOST_CONNECTIONS : 2]:  # half of those that have a place, and of those that wait
            task.cancel()
        await asyncio.sleep(0)
        own_redis.go_on()
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert sum(isinstance(end, asyncio.CancelledError) for end in ended) == MOST_CONNECTIONS
        assert sum(isinstance(end, Verdict) for end in ended) == 2 * MOST_CONNECTIONS
        for _ in range(3):
            assert len(await asyncio.gather(*(take(store) for _ in range(2 * MOST_CONNECTIONS)))) == 64

    asyncio.run(story())


# --- forks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def parents_loop() -> Iterator[AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_childs_loop_has_connections_of_its_own(
    redis_url: str, operator: redis.Redis, make_redis_store: MakeStore, parents_loop: AbstractEventLoop
) -> None:
    store, limit = make_redis_store(redis_url), Limit(1000, 3600)

    async def story(requests: int) -> bool:
        answers = [await store.atake([Charge(KEY, limit)]) for _ in range(requests)]
        return all(verdict.allowed for (verdict,) in answers)

    def ids() -> set[str]:
        return {client["id"] for client in operator.client_list() if client["name"] != "operator"}

    assert parents_loop.run_until_complete(story(1))
    (parents,) = ids()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            admitted = asyncio.run(story(25)) and asyncio.run(story(25))
            store.close()
            gc.collect()  # what is given up must not take the parent's along
            os._exit(0 if admitted else 1)
        children.append(child)
    assert parents_loop.run_until_complete(story(50))
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert parents_loop.run_until_complete(story(749))  # 1,000 in all, and none was charged twice
    assert not parents_loop.run_until_complete(story(1))
    assert ids() == {parents}  # no child has closed it


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_that_takes_over_the_parents_loop_does_not_take_its_connections(
    redis_url: str, operator: redis.Redis, make_redis_store: MakeStore, parents_loop: AbstractEventLoop
) -> None:
    store = make_redis_store(redis_url)
    parents_loop.run_until_complete(take(store))
    loops: LoopPools = store._transport()._loops  # type: ignore[attr-defined]  # the direct way has it
    assert parents_loop in loops._pools
    child = os.fork()
    if child == 0:
        os._exit(1 if loops._pools else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert left(parents_loop.run_until_complete(take(store))) == 8


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_that_closes_its_store_leaves_the_parents_running_loop_alone(
    redis_url: str, operator: redis.Redis, make_redis_store: MakeStore
) -> None:
    store = make_redis_store(redis_url)

    async def story() -> None:
        await take(store)
        child = os.fork()
        if child == 0:
            store.close()
            gc.collect()
            os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)
        assert others(operator) == 1
        assert left(await take(store)) == 8
        assert others(operator) == 1

    asyncio.run(story())


# --- real servers in trouble -----------------------------------------------------------------------------------------


def test_a_full_server_is_no_reason_to_admit_everything(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    store = make_redis_store(own_redis.url)

    async def story() -> None:
        assert (await take(store, cost=10)).allowed
        with redis.Redis.from_url(own_redis.url) as operator:
            operator.config_set("maxmemory", 1)
            assert not (await take(store)).allowed  # a denial writes nothing
            for charges in ([Charge(KEY + "2", SLOW)], [Charge(KEY + "2", SLOW), Charge(KEY + "3", SLOW)]):
                with pytest.raises(StoreError, match=r"^oom$"):
                    await store.atake(charges)
            operator.config_set("maxmemory", 0)
        assert left(await take(store, key=KEY + "2")) == 9

    asyncio.run(story())


def test_a_replica_is_not_written_to(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    with redis_process() as replica, redis.Redis.from_url(replica.url) as operator:
        with redis.Redis.from_url(own_redis.url) as master:
            master.config_set("repl-diskless-sync-delay", 0)
        operator.replicaof("127.0.0.1", own_redis.port)
        _until(lambda: operator.info("replication")["master_link_status"] == "up")
        store = make_redis_store(replica.url)

        async def story() -> None:
            assert [await reason(store), await reason(store)] == ["readonly", "readonly"]
            operator.replicaof("NO", "ONE")
            assert left(await take(store)) == 9

        asyncio.run(story())


@pytest.mark.parametrize("garbage", [["rpush", "1795453159417603"], ["hset", "arrival", "1"], ["set", "abc"]])
def test_what_is_no_arrival_time_counts_as_nothing(
    redis_url: str, operator: redis.Redis, make_redis_store: MakeStore, garbage: list[str]
) -> None:
    operator.execute_command(garbage[0], KEY, *garbage[1:])
    store = make_redis_store(redis_url)

    async def story() -> list[int]:
        return [left(await take(store)) for _ in range(3)]

    assert asyncio.run(story()) == [9, 8, 7]


def test_a_server_that_drops_packets_is_waited_for_no_longer_than_the_connect_timeout(
    make_redis_store: MakeStore,
) -> None:
    with deaf_port() as port:
        store = make_redis_store(f"redis://127.0.0.1:{port}/0", READ, CONNECT)

        async def story() -> float:
            begin = time.monotonic()
            reasons = await asyncio.gather(*(reason(store) for _ in range(2 * MOST_CONNECTIONS)))
            took = time.monotonic() - begin
            assert set(reasons) == {"timeout"}
            return took

        in_time(lambda: asyncio.run(story()), CONNECT + 10 * MARGIN)  # 32 connections are begun and ended besides


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
