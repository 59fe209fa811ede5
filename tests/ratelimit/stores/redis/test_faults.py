"""Servers that die, hang, refuse and talk nonsense: one word for each, in time, and nothing sent twice."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable

import pytest
import redis

from ratelimit.bucket import SECOND, Limit
from ratelimit.errors import StoreError
from ratelimit.stores.base import Charge, Verdict
from ratelimit.stores.redis import RedisStore
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


def left(verdict: Verdict) -> int:
    return (verdict.limit.capacity_us - max(verdict.arrival_us - verdict.now_us, 0)) // verdict.limit.interval_us


def reason(store: RedisStore) -> str:
    with pytest.raises(StoreError) as caught:
        store.take_one(KEY, SLOW)
    assert str(caught.value) == caught.value.reason
    return caught.value.reason


def failure(store: RedisStore) -> float:
    """How long it takes to time out, in seconds."""
    begin = time.monotonic()
    assert reason(store) == "timeout"
    return time.monotonic() - begin


# --- the server goes and comes ---------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_refuses(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    store = make_redis_store(own_redis.url)
    store.take_one(KEY, SLOW)
    own_redis.kill()
    assert [reason(store) for _ in range(3)] == ["refused"] * 3


def test_after_a_restart_it_goes_on_without_a_failure(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    store = make_redis_store(own_redis.url)
    store.take_one(KEY, SLOW)
    own_redis.kill()
    own_redis.start()  # which neither knows the script nor the connection
    assert left(store.take_one(KEY, SLOW)) == 9
    assert left(store.take_one(KEY, SLOW)) == 8


def test_a_flushed_script_is_loaded_again(redis_url: str, make_redis_store: MakeStore) -> None:
    store, operator = make_redis_store(redis_url), redis.Redis.from_url(redis_url)
    with operator:
        for remaining in (9, 8, 7):
            operator.script_flush()
            assert left(store.take_one(KEY, SLOW)) == remaining
        operator.script_flush()
        assert left(store.take([Charge(KEY, SLOW), Charge(KEY + "2", SLOW)])[0]) == 6


def test_a_killed_connection_is_noticed_before_anything_is_sent(redis_url: str, make_redis_store: MakeStore) -> None:
    store, operator = make_redis_store(redis_url), redis.Redis.from_url(redis_url)
    with operator:
        for remaining in range(9, 4, -1):
            assert left(store.take_one(KEY, SLOW)) == remaining
            operator.client_kill_filter(_type="normal", skipme=True)


def test_a_server_that_hangs_is_waited_for_no_longer_than_the_timeout(
    own_redis: RedisProcess, make_redis_store: MakeStore
) -> None:
    store = make_redis_store(own_redis.url, READ, CONNECT)

    def trial() -> float:
        store.take_one(KEY, SLOW)
        own_redis.hang()
        took = failure(store)
        in_time(lambda: failure(store), READ + 2 * MARGIN)  # it still accepts connections, and does not greet
        own_redis.go_on()
        return took

    in_time(trial, READ + MARGIN)


def test_what_may_have_run_is_not_sent_again(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    store = make_redis_store(own_redis.url, READ, CONNECT)
    store.take_one(KEY, SLOW)
    own_redis.hang()
    assert reason(store) == "timeout"
    own_redis.go_on()
    patient = make_redis_store(own_redis.url)
    assert left(patient.take_one(KEY, SLOW)) == 7  # the one that timed out was executed once


def test_a_server_that_drops_packets_is_waited_for_no_longer_than_the_connect_timeout(
    make_redis_store: MakeStore,
) -> None:
    with deaf_port() as port:
        store = make_redis_store(f"redis://127.0.0.1:{port}/0", READ, CONNECT)
        in_time(lambda: failure(store), CONNECT + MARGIN)


def test_a_name_that_does_not_resolve_is_a_reason(make_redis_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody_knows(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody_knows)
    assert reason(make_redis_store("redis://redis.invalid:6379/0")) == "dns"


def test_a_replica_is_not_written_to(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    with redis.Redis.from_url(own_redis.url) as operator:
        operator.config_set("repl-diskless-sync-delay", 0)
    with redis_process() as replica, redis.Redis.from_url(replica.url) as operator:
        operator.replicaof("127.0.0.1", own_redis.port)
        deadline = time.monotonic() + 20
        while operator.info("replication")["master_link_status"] != "up" and time.monotonic() < deadline:
            time.sleep(0.02)
        store = make_redis_store(replica.url)
        assert [reason(store), reason(store)] == ["readonly", "readonly"]
        operator.replicaof("NO", "ONE")
        assert left(store.take_one(KEY, SLOW)) == 9


def test_a_full_server_is_no_reason_to_admit_everything(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    store = make_redis_store(own_redis.url)
    assert store.take_one(KEY, SLOW, 10).allowed
    with redis.Redis.from_url(own_redis.url) as operator:
        operator.config_set("maxmemory-policy", "noeviction")
        operator.config_set("maxmemory", 1)
        assert not store.take_one(KEY, SLOW).allowed  # a denial writes nothing
        for charges in ([Charge(KEY + "2", SLOW)], [Charge(KEY + "2", SLOW), Charge(KEY + "3", SLOW)]):
            with pytest.raises(StoreError, match=r"^oom$"):
                store.take(charges)
        operator.config_set("maxmemory", 0)
    assert left(store.take_one(KEY + "2", SLOW)) == 9


def test_a_loading_server_is_a_reason(make_redis_store: MakeStore) -> None:
    with talker(b"-LOADING Redis is loading the dataset in memory\r\n") as server:
        assert reason(make_redis_store(server.url)) == "loading"


# --- what lies at the key --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["list", "hash", "set", "zset", "stream"])
def test_another_type_at_the_key_counts_as_nothing(redis_url: str, make_redis_store: MakeStore, kind: str) -> None:
    store = make_redis_store(redis_url)
    with redis.Redis.from_url(redis_url) as operator:
        _put(operator, kind)
        assert left(store.peek([Charge(KEY, SLOW)])[0]) == 10
        store.refund([Charge(KEY, SLOW)], "redis")
        _put(operator, kind)
        assert [left(store.take_one(KEY, SLOW)) for _ in range(3)] == [9, 8, 7]


def _put(operator: redis.Redis, kind: str) -> None:
    operator.delete(KEY)
    match kind:
        case "list":
            operator.rpush(KEY, "1795453159417603")
        case "hash":
            operator.hset(KEY, "arrival", 1)
        case "set":
            operator.sadd(KEY, 1)
        case "zset":
            operator.zadd(KEY, {"1": 1})
        case _:
            operator.xadd(KEY, {"1": 1})


@pytest.mark.parametrize(
    "garbage",
    [
        *("", "abc", "nan", "inf", "-inf", "\x00", "0x7fffffffffffffff", "1795453159417603 apples"),
        *("-5", "1.5", "1795453159417603.5", "1e18", "1e300", "9007199254740993", "99999999999999999999999999"),
    ],
)
def test_garbage_at_the_key_counts_as_nothing(redis_url: str, make_redis_store: MakeStore, garbage: str) -> None:
    store = make_redis_store(redis_url)
    with redis.Redis.from_url(redis_url) as operator:
        operator.set(KEY, garbage)
        assert left(store.peek([Charge(KEY, SLOW)])[0]) == 10
        assert [left(store.take_one(KEY, SLOW)) for _ in range(3)] == [9, 8, 7]


# --- clocks ----------------------------------------------------------------------------------------------------------


def test_a_server_clock_that_stepped_back_leaves_an_empty_bucket_that_refills(
    redis_url: str, make_redis_store: MakeStore
) -> None:
    store, limit = make_redis_store(redis_url), Limit(20, 1)
    with redis.Redis.from_url(redis_url) as operator:
        seconds, micros = operator.time()
        a_day_ahead = (seconds + 86_400) * SECOND + micros
        operator.set(KEY, a_day_ahead, ex=86_400)
        denied = store.take([Charge(KEY, limit), Charge(KEY + "2", limit)])[0]
        assert (denied.allowed, left(denied)) == (False, 0)
        assert 0 < operator.pttl(KEY) <= 1001  # of the second in which it fills, rounded up
        deadline = time.monotonic() + 5
        while not store.take_one(KEY, limit).allowed:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_the_clocks_of_hosts_do_not_matter(
    redis_url: str, make_redis_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = make_redis_store(redis_url), make_redis_store(redis_url)
    admitted = 0
    real_time, real_time_ns = time.time, time.time_ns
    for _ in range(20):
        for store, skew in ((here, 0), (there, -30)):
            monkeypatch.setattr(time, "time", lambda skew=skew: real_time() + skew)
            monkeypatch.setattr(time, "time_ns", lambda skew=skew: real_time_ns() + skew * 10**9)
            admitted += store.take_one(KEY, Limit(10, 600)).allowed
    assert admitted == 10


# --- what comes back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (b"-READONLY You can't write against a read only replica. script: f1, on @user_script:1.\r\n", "readonly"),
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "oom"),
        (b"-MOVED 1234 127.0.0.1:7001\r\n", "moved"),
        (b"-ASK 1234 127.0.0.1:7001\r\n", "ask"),
        (b"-CLUSTERDOWN Hash slot not served\r\n", "clusterdown"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "loading"),
        (b"-BUSY Redis is busy running a script.\r\n", "busy"),
        (b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", "wrongtype"),
        (b"-NOAUTH Authentication required.\r\n", "noauth"),
        (b"-NOPERM this user has no permissions\r\n", "noperm"),
        (b"-MISCONF Redis is configured to save RDB snapshots\r\n", "misconf"),
        (b"-ERR unknown command\r\n", "error"),
        (b"-10.0.0.1 is who asked\r\n", "error"),
        (b"-\xff\xfe\r\n", "error"),
        (b"-\r\n", "error"),
        (b"$5\r\nhello\r\n", "garbage"),
        (b"+OK\r\n", "garbage"),
        (b":1\r\n", "garbage"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "garbage"),
        (b"*3\r\n:1\r\n:1\r\n:x\r\n", "garbage"),
        (b"*3\r\n:1\r\n:1\r\n:\r\n", "garbage"),
        (b"*3\r\n$1\r\n1\r\n:1\r\n:1\r\n", "garbage"),
        (b"*5\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n", "garbage"),
        (GOOD + GOOD, "garbage"),
        (GOOD[:-12], "timeout"),
        (GOOD[:-1], "timeout"),
        (b"-READO", "timeout"),
        (b"*", "timeout"),
        (SILENCE, "timeout"),
        ([GOOD[:20], CLOSE], "closed"),
        ([CLOSE], "closed"),
        (b"x" * 100_000, "garbage"),
    ],
)
def test_anything_but_the_numbers_is_one_word_and_a_new_connection(
    make_redis_store: MakeStore, reply: Reply, word: str
) -> None:
    with talker(reply, GOOD) as server:
        store = make_redis_store(server.url, TALK, TALK)
        begin = time.monotonic()
        assert reason(store) == word
        assert time.monotonic() - begin < 4 * TALK  # the stand-in's own time; how exact we are is measured above
        assert (len(server.asked), server.connections) == (1, 1)  # nothing was sent twice
        verdict = store.take_one(KEY, SLOW)
        assert (verdict.allowed, verdict.now_us, verdict.arrival_us) == (True, 1795453159416624, 1795453159417603)
        assert (len(server.asked), server.connections) == (2, 2)


def test_an_answer_may_come_in_pieces(make_redis_store: MakeStore) -> None:
    with talker([bytes([byte]) for byte in GOOD[:6]] + [GOOD[6:]], GOOD) as server:
        store = make_redis_store(server.url)
        assert store.take_one(KEY, SLOW).arrival_us == 1795453159417603
        assert store.take_one(KEY, SLOW).arrival_us == 1795453159417603
        assert server.connections == 1


def test_an_answer_that_drips_does_not_get_more_time(make_redis_store: MakeStore) -> None:
    with talker(*[[b":"] * 200] * TRIALS) as server:
        store = make_redis_store(server.url, TALK, TALK)

        def trial() -> float:
            begin = time.monotonic()
            assert reason(store) in {"timeout", "garbage"}
            return time.monotonic() - begin

        in_time(trial, 2 * TALK)  # for the first piece, and for the rest


def test_an_unknown_script_is_sent_in_full_once(make_redis_store: MakeStore) -> None:
    with talker(b"-NOSCRIPT No matching script.\r\n", b"-NOSCRIPT No matching script.\r\n") as server:
        assert reason(make_redis_store(server.url)) == "noscript"
        assert [b"EVALSHA" in asked for asked in server.asked] == [True, False]


def test_an_interrupted_wait_closes_the_connection(own_redis: RedisProcess, make_redis_store: MakeStore) -> None:
    class OutOfTimeError(Exception):
        """As a task queue raises it, in the middle of anything."""

    def interrupt(*_: object) -> None:
        raise OutOfTimeError

    store = make_redis_store(own_redis.url)
    store.take_one(KEY, SLOW)
    own_redis.hang()
    former = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(OutOfTimeError):
            store.take_one(KEY, SLOW, 5)
    finally:
        signal.signal(signal.SIGALRM, former)
    own_redis.go_on()
    assert left(store.take_one(KEY + "2", SLOW)) == 9  # and not the answer to the former question
