"""gunicorn's own ASGI worker with a Redis of its own: limiting sends no request to another thread, and is exact."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import count
from pathlib import Path

import pytest
import redis

import ratelimit
from tests.services import free_port, redis_process

HOUSE = Path(ratelimit.__file__).parent.parent
PROJECT = "tests.ratelimit.asgi_project"
PATIENCE_SECONDS = 60
REQUESTS = 200
_clients = count(1)
_labels = count(1)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def stands(self) -> tuple[int, str, str, str, str]:
        """What does not depend on the time."""
        names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "RateLimit-Policy")
        limit, remaining, policy = (self.headers.get(name, "") for name in names)
        return self.status, limit, remaining, policy, self.headers.get("RateLimit", "").partition(";t=")[0]


class Served:
    """The project in one worker, and a connection to it that is kept."""

    def __init__(self, port: int, key: str = "", redis_url: str = "") -> None:
        self.key = key
        self.redis_url = redis_url
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)

    def close(self) -> None:
        self._connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        self._connection.request("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
        response = self._connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def hops(self, path: str, requests: int, clients: list[dict[str, str]], status: int = 200) -> int:
        """How often so many requests, of each client in turn, went to other threads."""
        label = f"label-{next(_labels)}"
        for number in range(requests):
            assert self.get(f"{path}?{label}", **clients[number % len(clients)]).status == status
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:  # the last answer may be here before its request is over
            told = json.loads(self.get("/hops").body)[label]
            if told["requests"] == requests:
                return int(told["hops"])
            assert time.monotonic() < deadline, told
            time.sleep(0.01)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, port = tmp_path_factory.mktemp("asgi"), free_port()
    with redis_process() as server, (folder / "log").open("w+") as log:
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"sqlite:///{folder}/tables.sqlite3",
            "REDIS_URL": server.url,
        }

        def manage(*arguments: str) -> str:
            command = [sys.executable, "-m", PROJECT, *arguments]
            return subprocess.run(
                command, cwd=HOUSE, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=60
            ).stdout

        manage("migrate", "--verbosity", "0")
        key = json.loads(manage("apikey", "create", "--name", "a program", "--json"))["key"]
        worker = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--worker-class", "asgi", "--bind", f"127.0.0.1:{port}",
             "--timeout", "60", f"{PROJECT}:application"],
            cwd=HOUSE, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _wait_for(port)
            with closing(Served(port, key, server.url)) as ready:
                yield ready
            log.seek(0)
            assert "Traceback" not in log.read()
        finally:
            worker.terminate()
            worker.wait(PATIENCE_SECONDS)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with closing(Served(port)) as asking:
                asking.get("/hops")
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def new_client() -> dict[str, str]:
    """Somebody with full buckets."""
    return {"X_Forwarded_For": f"198.51.100.{next(_clients)}"}


def new_clients() -> list[dict[str, str]]:
    return [new_client() for _ in range(REQUESTS // 10)]


@pytest.fixture
def hot(served: Served) -> Served:
    """Connected to Redis, with its classes imported and the key known."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for path in ("/plain", "/dear"):
        assert served.get(path, **new_client()).status == 200
        assert served.get(path, X_API_Key=served.key).status in {200, 429}
    while served.get("/plain", X_API_Key=served.key).headers["X-RateLimit-Limit"] == "100":  # not found within 50 ms
        assert time.monotonic() < deadline
    return served


def test_the_counter_counts(hot: Served) -> None:
    """Django itself goes to another thread for its signals, for closing an answer, and for logging an error."""
    fine = hot.hops("/exempt/plain", 10, [{}])
    refused = hot.hops("/exempt/refusing", 10, [{}], status=429)
    assert fine >= 10
    assert refused == fine + 10


@pytest.mark.parametrize("path", ["/plain", "/dear"])
def test_limiting_anonymous_clients_takes_no_other_thread(hot: Served, path: str) -> None:
    clients = new_clients()
    assert hot.hops(path, REQUESTS, clients) == hot.hops(f"/exempt{path}", REQUESTS, clients)


def test_limiting_a_key_takes_no_other_thread(hot: Served) -> None:
    key = [{"X_API_Key": hot.key}]
    assert hot.get("/plain", **key[0]).stands[:2] == (200, "1000"), "the key is known"
    assert hot.hops("/plain", REQUESTS, key) == hot.hops("/exempt/plain", REQUESTS, key)


@pytest.mark.parametrize("who", ["anonymous", "key"])
def test_refusing_takes_no_other_thread(hot: Served, who: str) -> None:
    client = {"X_API_Key": hot.key} if who == "key" else new_client()
    while hot.get("/dear", **client).status == 200:
        pass
    refusing = hot.hops("/exempt/refusing", REQUESTS, [client], status=429)
    assert hot.hops("/dear", REQUESTS, [client], status=429) == refusing


def test_every_request_is_told_exactly(hot: Served) -> None:
    client = new_client()
    policy, scope = '"default";q=100;w=2592000', '"search";q=12;w=2592000'
    assert hot.get("/plain", **client).stands == (200, "100", "99", policy, '"default";r=99')
    assert hot.get("/plain", **client).stands == (200, "100", "98", policy, '"default";r=98')
    for left in range(11, -1, -1):
        assert hot.get("/dear", **client).stands == (200, "12", str(left), scope, f'"search";r={left}')
    assert hot.get("/dear", **client).stands == (429, "12", "0", scope, '"search";r=0')
    with closing(redis.Redis.from_url(hot.redis_url)) as buckets:
        assert buckets.dbsize() >= 2, "and it is Redis that knows"
    assert hot.get("/plain", **client).stands == (200, "100", "73", policy, '"default";r=73'), "no token is lost"
    assert "X-RateLimit-Limit" not in hot.get("/exempt/dear", **client).headers


def test_a_refusal_tells_when_to_come_back(hot: Served) -> None:
    client, began = new_client(), time.time()
    while (answer := hot.get("/dear", **client)).status == 200:
        pass
    ended, problem = time.time(), json.loads(answer.body)
    interval = 30 * 86_400 / 12  # seconds until one more search may be made
    wait = int(answer.headers["Retry-After"])
    assert interval - (ended - began) <= wait <= interval
    assert answer.headers["RateLimit"] == f'"search";r=0;t={wait}'
    full_at = int(answer.headers["X-RateLimit-Reset"])
    assert math.floor(began) + 12 * interval <= full_at <= math.ceil(ended) + 12 * interval
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (problem["status"], problem["limit"], problem["retry_after"]) == (429, 12, wait)
    assert problem["violated-policies"] == ["search"]


def test_the_tier_refuses_there_too(hot: Served) -> None:
    client = new_client()
    answers = [hot.get("/plain", **client) for _ in range(101)]
    assert [answer.status for answer in answers] == [200] * 100 + [429]
    assert answers[-1].stands == (429, "100", "0", '"default";q=100;w=2592000', '"default";r=0')
