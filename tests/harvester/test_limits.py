"""The product's own limits: what anybody may, what keys may, and what becomes of it while Redis is away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from django.http import HttpResponse
from django.test import Client, RequestFactory

from ratelimit import get_rate_limiter
from ratelimit.identity import resolve
from ratelimit.models import ApiKey, TierAssignment
from tests import services
from tests.factories import make_user
from tests.harvester.hammer import Answer, Hammering
from tests.installation import HOUSE, installation

CHEAP = "/robots.txt"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


# --- as shipped, in memory -------------------------------------------------------------------------------------------


@pytest.fixture
def limits_of_the_product(settings: Any) -> None:
    """Not those that let tests pass."""
    settings.RATELIMIT_TIERS = {}
    settings.RATELIMIT_ENFORCE = True


@dataclass
class Tried:
    """What came of asking until a few requests were denied."""

    answers: list[HttpResponse]
    sent_at: list[float]
    """Unix time of each."""

    @property
    def admitted(self) -> int:
        return sum(answer.status_code == 200 for answer in self.answers)

    @property
    def seconds(self) -> float:
        return time.time() - self.sent_at[0]


def try_until_denied(client: Client, *, most: int, **headers: str) -> Tried:
    tried = Tried([], [])
    denied = 0
    while denied < 5 and len(tried.answers) < most:
        tried.sent_at.append(time.time())
        tried.answers.append(client.get(CHEAP, headers=headers))
        denied += tried.answers[-1].status_code == 429
    return tried


def assert_limited_to(tried: Tried, limit: int, *, taken: int = 0, taken_at: float | None = None) -> None:
    """``taken``: tokens that were gone before, since ``taken_at`` (Unix time)."""
    came_back = limit / 60 * (tried.sent_at[0] - taken_at) + 1 if taken_at else 0
    assert limit <= taken + tried.admitted <= limit + limit / 60 * tried.seconds + came_back + 1
    assert {answer.status_code for answer in tried.answers} == {200, 429}
    for answer, sent_at in zip(tried.answers, tried.sent_at, strict=True):
        assert answer["X-RateLimit-Limit"] == str(limit)
        assert answer["RateLimit-Policy"] == f'"default";q={limit};w=60'
        assert 0 <= int(answer["X-RateLimit-Remaining"]) < limit
        assert 0 <= int(answer["X-RateLimit-Reset"]) - sent_at <= 62
        assert ("Retry-After" in answer) == (answer.status_code == 429)
    at_first = int(tried.answers[0]["X-RateLimit-Remaining"])
    assert -1 <= at_first - (limit - taken) <= came_back + limit / 60 * (tried.sent_at[1] - tried.sent_at[0])
    assert tried.answers[-1]["X-RateLimit-Remaining"] == "0"
    assert tried.answers[-1]["Retry-After"] == "1"


@pytest.mark.django_db
@pytest.mark.usefixtures("limits_of_the_product")
class TestTiers:
    def test_anybody_may_100_a_minute(self, client: Client) -> None:
        assert_limited_to(try_until_denied(client, most=200), 100)

    def test_an_address_has_one_limit_whatever_it_sends(self, client: Client) -> None:
        assert_limited_to(try_until_denied(client, most=200, **{"X-Forwarded-For": "198.51.100.7"}), 100)
        assert client.get(CHEAP, headers={"X-Forwarded-For": "198.51.100.8"}).status_code == 429
        assert client.get(CHEAP, headers={"X-API-Key": "shk_invented"}).status_code == 429
        assert client.get(CHEAP, REMOTE_ADDR="198.51.100.9").status_code == 200

    def test_a_key_may_1000(self, client: Client) -> None:
        _, key = ApiKey.objects.issue(name="a program")
        assert_limited_to(try_until_denied(client, most=1_500, **{"X-API-Key": key}), 1_000)
        assert client.get(CHEAP).status_code == 200

    def test_a_premium_key_may_5000(self, client: Client) -> None:
        _, key = ApiKey.objects.issue(name="a large program", tier="premium")
        request = RequestFactory().get("/", headers={"X-API-Key": key})
        taken_at = time.time()
        assert get_rate_limiter().check(resolve(request), cost=4_900).allowed  # 83 come back each second meanwhile
        tried = try_until_denied(client, most=3_000, Authorization=f"Bearer {key}")
        assert_limited_to(tried, 5_000, taken=4_900, taken_at=taken_at)

    def test_a_user_may_what_their_tier_may(self, client: Client) -> None:
        client.force_login(make_user())
        assert client.get(CHEAP)["X-RateLimit-Limit"] == "1000"
        premium = make_user()
        TierAssignment.objects.create(user=premium, tier="premium")
        client.force_login(premium)
        assert client.get(CHEAP)["X-RateLimit-Limit"] == "5000"

    @pytest.mark.parametrize("who", ["superuser", "key"])
    def test_an_admin_is_never_denied(self, client: Client, who: str) -> None:
        headers = {}
        if who == "superuser":
            client.force_login(make_user(is_superuser=True))
        else:
            headers["X-API-Key"] = ApiKey.objects.issue(name="of the installation", tier="admin")[1]
        tried = try_until_denied(client, most=1_200, **headers)
        assert tried.admitted == 1_200
        assert not any("X-RateLimit-Limit" in answer for answer in tried.answers)


@pytest.fixture
def denied(settings: Any, client: Client) -> Callable[..., HttpResponse]:
    """Ask when nothing is left."""
    settings.RATELIMIT_TIERS = {"anonymous": {"limit": 1, "window_seconds": 3600}}
    settings.RATELIMIT_ENFORCE = True
    assert client.get(CHEAP).status_code == 200
    return client.generic


def test_the_api_denies_with_a_problem(denied: Callable[..., HttpResponse]) -> None:
    response = denied("GET", "/api/v1/discoveries", headers={"Accept": FIREFOX})
    body = json.loads(response.content)
    assert response.status_code == 429
    assert response["Content-Type"] == "application/problem+json"
    assert response["Cache-Control"] == "no-store"
    assert body["type"] == "/about/api#too-many-requests"
    assert body["instance"] == response["X-Request-ID"]
    assert (body["status"], body["limit"], body["retry_after"]) == (429, 1, int(response["Retry-After"]))
    assert "The limit of 1 request every hour is used up." in body["detail"]


def test_the_api_denies_head_without_a_body(denied: Callable[..., HttpResponse]) -> None:
    length = len(denied("GET", "/api/v1/runs").content)
    response = denied("HEAD", "/api/v1/runs")
    assert (response.status_code, response.content) == (429, b"")
    assert abs(int(response["Content-Length"]) - length) <= 1


def test_a_browser_gets_a_page_of_the_product(denied: Callable[..., HttpResponse], db: None) -> None:
    response = denied("GET", "/", headers={"Accept": FIREFOX})
    assert response.status_code == 429
    assert "<h1>Too many requests</h1>" in response.content.decode()
    assert "Signal Harvester" in response.content.decode()
    assert 'id="main"' in response.content.decode()


def test_programs_get_a_problem_elsewhere_too(denied: Callable[..., HttpResponse]) -> None:
    assert denied("GET", "/", headers={"Accept": "*/*"})["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/", "/api/v1/discoveries"])
def test_a_denial_has_the_headers_that_protect(denied: Callable[..., HttpResponse], path: str) -> None:
    response = denied("GET", path, headers={"Accept": FIREFOX})
    assert "default-src 'none'" in response["Content-Security-Policy"]
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Request-ID"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/api/v1/discoveries", "/nowhere"])
def test_a_denial_asks_no_database(
    denied: Callable[..., HttpResponse], django_assert_num_queries: Any, path: str
) -> None:
    with django_assert_num_queries(0):
        assert denied("GET", path, headers={"Accept": FIREFOX}).status_code == 429


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/health/live", "/metrics", "/static/harvester/style.css"])
def test_probes_metrics_and_static_files_are_never_denied(denied: Callable[..., HttpResponse], path: str) -> None:
    response = denied("GET", path)
    response.close()  # a file is still open
    assert response.status_code in {200, 404}


# --- as shipped, several processes on one Redis ----------------------------------------------------------------------

WORKERS = 4
PATIENCE_SECONDS = 30
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "2.2"))
"""How long Redis is away under load; OUTAGE_SECONDS=30 shows a long one."""
LIMIT = 240  # a minute, so 4 a second
RATE = LIMIT / 60
SHARE = LIMIT // WORKERS
THREADS = 4  # of each worker
# What a busy machine may add to a request by itself, and how much may go as if Redis were away because the machine is
# so busy that Redis does not answer in 50 ms.
MACHINE_SECONDS = 0.05
USUALLY = 0.95


@dataclass(frozen=True)
class Served:
    address: str
    log: Path
    redis: services.RedisProcess

    def begin(self) -> None:
        """With full buckets, and every worker warm."""
        with redis.Redis.from_url(self.redis.url) as client:
            client.flushall()
        for _ in range(8 * WORKERS):
            _wait_for(f"{self.address}/metrics")  # exempt, so that it takes no token

    def changes(self) -> list[str]:
        """What the processes have logged of their backends, without the reasons."""
        finished, _, _ = self.log.read_text().rpartition("\n")  # the last line may still be being written
        events = [str(json.loads(line).get("event", "")) for line in finished.splitlines()]
        return [event.split(" (")[0] for event in events if event.startswith("rate limit backend changed")]


@pytest.fixture(scope="module", params=["gthread", "asgi"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The product in four processes, on a Redis of its own."""
    folder = tmp_path_factory.mktemp("served")
    port, log = services.free_port(), folder / "log"
    worker = [] if request.param == "gthread" else ["--worker-class", "asgi", "harvester.config.asgi:application"]
    with services.redis_process() as server_of_buckets:
        extra = {
            "PORT": str(port),
            "WEB_CONCURRENCY": str(WORKERS),
            "RATELIMIT_EXPECTED_PROCESSES": str(WORKERS),
            "RATELIMIT_TIERS": json.dumps({"anonymous": {"limit": LIMIT, "window_seconds": 60}}),
            "REDIS_URL": server_of_buckets.url,
            "CELERY_BROKER_URL": "memory://",
            "LOG_LEVEL": "INFO",
        }
        with installation(folder, extra=extra) as ready, log.open("w") as stream:
            ready.manage("collectstatic", "--no-input", "--verbosity", "0")
            server = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", *worker],
                cwd=HOUSE,
                env=ready.environment,
                stdout=stream,
                stderr=stream,
            )
            try:
                address = f"http://127.0.0.1:{port}"
                _wait_for(f"{address}/metrics")
                yield Served(address, log, server_of_buckets)
            finally:
                server.terminate()
                server.wait(PATIENCE_SECONDS)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def assert_no_interval_admits_too_much(answers: list[Answer], limit: int, rate: float) -> None:
    """Whatever was decided between a sending and a receiving: at most the bucket and what came back meanwhile."""
    admitted = [answer for answer in answers if answer.status == 200]
    for begin in admitted:
        within = sorted(answer.received for answer in admitted if answer.sent >= begin.sent)
        for number, end in enumerate(within, start=1):
            assert number <= limit + rate * (end - begin.sent) + 1


def test_four_workers_and_eight_clients_share_one_bucket(served: Served) -> None:
    served.begin()
    answers = Hammering(f"{served.address}{CHEAP}", processes=8, seconds=3).answers()
    shared = [answer for answer in answers if answer.limit == LIMIT]
    elapsed = max(answer.received for answer in shared) - shared[0].sent
    assert LIMIT <= sum(answer.status == 200 for answer in shared) <= LIMIT + RATE * elapsed + 1
    assert_no_interval_admits_too_much(shared, LIMIT, RATE)
    assert {answer.status for answer in answers} == {200, 429}
    assert len(shared) >= USUALLY * len(answers)
    assert 2 <= served.changes().count("rate limit backend changed: none -> redis") <= WORKERS


@pytest.mark.parametrize("trouble", ["killed", "hung"])
def test_redis_goes_and_comes_back_under_load(served: Served, trouble: str) -> None:
    served.begin()
    changes_before = len(served.changes())
    hammering = Hammering(f"{served.address}{CHEAP}", processes=8, seconds=OUTAGE_SECONDS + 3.8, pause_seconds=0.02)
    time.sleep(1.2)
    gone_at = time.monotonic()
    served.redis.kill() if trouble == "killed" else served.redis.hang()
    time.sleep(OUTAGE_SECONDS)
    served.redis.start() if trouble == "killed" else served.redis.go_on()
    back_at = time.monotonic()
    answers = hammering.answers()

    before = [answer for answer in answers if answer.received < gone_at]
    during = [answer for answer in answers if answer.sent > gone_at + 0.3 and answer.received < back_at]
    after = [answer for answer in answers if answer.sent > back_at + 1.2]
    assert min(len(before), len(during), len(after)) > 50, "there was load all the time"
    assert {answer.status for answer in answers} == {200, 429}, "no error, ever"
    assert sum(answer.limit == LIMIT for answer in before) >= USUALLY * len(before)
    assert {answer.limit for answer in during} == {SHARE}, "each process decides by its share, and says so"
    assert sum(answer.limit == LIMIT for answer in after) >= USUALLY * len(after), "all are back after 1.2 s"
    alone = [answer for answer in answers if answer.limit == SHARE]
    elapsed = max(answer.received for answer in alone) - alone[0].sent
    assert sum(answer.status == 200 for answer in alone) <= WORKERS * (SHARE + RATE / WORKERS * elapsed + 1)
    usual = max(answer.seconds for answer in before)
    late = [
        answer for answer in answers if answer.sent > gone_at - 1 and answer.seconds > usual + 0.06 + MACHINE_SECONDS
    ]
    assert len(late) <= WORKERS * THREADS + (1 - USUALLY) * len(answers), "a thread waits for Redis once, and no more"
    assert all(answer.seconds < 1 for answer in late)
    changes = served.changes()[changes_before:]
    gone = changes.count("rate limit backend changed: redis -> memory")
    back = changes.count("rate limit backend changed: memory -> redis")
    assert 2 <= gone == back, "one line when it is gone, one when it is back"
    assert gone < 2 * WORKERS, "for each process, not for each request"
