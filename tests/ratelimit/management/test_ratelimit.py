"""`manage.py ratelimit` tells how limiting and a client stand, and fills a client's bucket."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.test import RequestFactory
from django.utils import timezone

from ratelimit.identity import Identity, resolve
from ratelimit.limiter import get_rate_limiter
from ratelimit.management import status
from ratelimit.models import ApiKey, TierAssignment
from tests.ratelimit.management.conftest import Outcome
from tests.services import redis_process

pytestmark = pytest.mark.django_db

Run = Callable[..., Outcome]
HOUSE = Path(__file__).resolve().parents[3]


def seconds_until(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()


# --- tiers ------------------------------------------------------------------------------------------------------------


def test_tiers_tell_limit_share_outage_and_enforcement(run: Run, settings: Any) -> None:
    settings.RATELIMIT_TIERS = {"gold": {"limit": 90, "window_seconds": 30, "burst": 9}}
    settings.RATELIMIT_EXPECTED_PROCESSES = 4
    settings.RATELIMIT_ON_OUTAGE = {"gold": "closed"}
    settings.RATELIMIT_ENFORCE = {"gold": False}
    told = {tier["tier"]: tier for tier in run("ratelimit", "tiers", "--json").data}
    assert list(told) == ["anonymous", "api_key", "premium", "admin", "gold"]
    assert told["gold"] == {
        "tier": "gold",
        "limit": 90,
        "window_seconds": 30,
        "burst": 9,
        "share": 22,
        "on_outage": "closed",
        "enforced": False,
        "error": None,
    }
    assert (told["anonymous"]["share"], told["anonymous"]["on_outage"], told["anonymous"]["enforced"]) == (
        25,
        "local",
        True,
    )
    assert (told["admin"]["limit"], told["admin"]["share"]) == (None, None)
    words = run("ratelimit", "tiers").out.splitlines()
    assert words[5].split() == ["gold", "90", "30", "s", "9", "22", "closed", "shadow"]


def test_a_tier_that_is_written_wrongly_is_told_beside_the_others(run: Run, settings: Any) -> None:
    settings.RATELIMIT_TIERS = {"premium": {"limit": 0}}
    told = {tier["tier"]: tier for tier in run("ratelimit", "tiers", "--json").data}
    assert "whole number" in told["premium"]["error"]
    assert told["anonymous"]["limit"] == 100
    assert "RATELIMIT_TIERS['premium']" in run("ratelimit", "tiers").out


# --- status -----------------------------------------------------------------------------------------------------------


def test_status_of_a_redis_that_is_well(run: Run, on_redis: str, settings: Any) -> None:
    settings.RATELIMIT_EXPECTED_PROCESSES = 10
    for name in ("one", "two"):
        get_rate_limiter().check(Identity.of(name, "anonymous"), 50)
    outcome = run("ratelimit", "status", "--json")
    told = outcome.data
    assert outcome.exit_code == 0
    assert told.pop("round_trip_ms") > 0
    assert told == {
        "verdict": "ok",
        "backend": "redis",
        "wanted": "redis",
        "reason": "",
        "cache": "ratelimit",
        "address": on_redis,
        "maxmemory_policy": "noeviction",
        "drops_buckets": False,
        "buckets": 2,
        "expected_processes": 10,
        "shares": {"anonymous": 10, "api_key": 100, "premium": 500, "admin": None},
    }
    words = run("ratelimit", "status").out
    assert words.startswith("Redis decides, for all processes.\n")
    assert "2 that are not full" in words


def test_status_leaves_nothing_behind(run: Run, on_redis: str) -> None:
    run("ratelimit", "status")
    with redis.Redis.from_url(on_redis) as client:
        assert client.keys("*") == []


def test_status_says_when_there_are_too_many_buckets_to_count(
    run: Run, on_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(get_rate_limiter()), "count_buckets", lambda *_: None)
    assert run("ratelimit", "status", "--json").data["buckets"] is None
    assert "more than could be counted in 1 s" in run("ratelimit", "status").out


def test_status_where_no_tier_has_a_limit(run: Run, on_redis: str, settings: Any) -> None:
    settings.RATELIMIT_TIERS = {tier: {"limit": None} for tier in ("anonymous", "api_key", "premium")}
    outcome = run("ratelimit", "status", "--json")
    assert (outcome.exit_code, outcome.data["backend"], outcome.data["round_trip_ms"]) == (0, "redis", None)
    assert "no limits" in run("ratelimit", "status").out


def test_status_warns_of_a_redis_that_drops_buckets(run: Run, buckets_at: Callable[[str], None]) -> None:
    with redis_process("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru") as server:
        buckets_at(server.url)
        outcome = run("ratelimit", "status", "--json")
        words = run("ratelimit", "status")
    assert (outcome.exit_code, words.exit_code) == (4, 4)
    assert (outcome.data["verdict"], outcome.data["maxmemory_policy"], outcome.data["drops_buckets"]) == (
        "drops_buckets",
        "allkeys-lru",
        True,
    )
    assert "drops buckets" in words.out


@pytest.mark.parametrize("harm", ["kill", "hang"])
def test_status_of_a_redis_that_is_away_comes_at_once(
    run: Run, buckets_at: Callable[[str], None], settings: Any, harm: str
) -> None:
    with redis_process() as server:
        buckets_at(server.url)
        settings.RATELIMIT_READ_TIMEOUT_SECONDS = 0.05
        getattr(server, harm)()
        began = time.monotonic()
        outcome = run("ratelimit", "status", "--json")
        seconds = time.monotonic() - began
    told = outcome.data
    assert outcome.exit_code == 1
    assert (told["verdict"], told["backend"], told["wanted"]) == ("redis_away", "memory", "redis")
    assert told["reason"] in {"refused", "timeout"}
    assert (told["address"], told["round_trip_ms"], told["buckets"]) == (server.url, None, None)
    assert seconds < 1
    assert "Redis is away" in run("ratelimit", "status").out


def test_status_of_a_redis_that_cannot_write_says_so(run: Run, buckets_at: Callable[[str], None]) -> None:
    with redis_process() as server:
        with redis.Redis.from_url(server.url) as client:
            client.replicaof("127.0.0.1", 1)
        buckets_at(server.url)
        outcome = run("ratelimit", "status", "--json")
    assert (outcome.exit_code, outcome.data["reason"]) == (1, "readonly")


def test_memory_by_choice_is_well_and_says_so(run: Run, buckets_at: Callable[[str], None]) -> None:
    buckets_at("")
    outcome = run("ratelimit", "status", "--json")
    told = outcome.data
    assert outcome.exit_code == 0
    assert (told["verdict"], told["backend"], told["wanted"]) == ("ok", "memory", "memory")
    assert "as the settings want it" in run("ratelimit", "status").out


def test_a_cache_that_is_not_there_is_not_well(run: Run, settings: Any) -> None:
    settings.RATELIMIT_CACHE = "nowhere"
    outcome = run("ratelimit", "status", "--json")
    assert (outcome.exit_code, outcome.data["reason"]) == (1, "no_cache")
    assert "There is no cache “nowhere”" in run("ratelimit", "status").out


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("rediss://ada:hunter2@cache.example:6380/1", "rediss://cache.example:6380/1"),
        ("redis://:hunter2@cache.example?password=hunter2&db=3", "redis://cache.example"),
        ("unix://:hunter2@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        (["redis://:hunter2@one/0", "redis://:hunter2@two/0"], "redis://one/0, redis://two/0"),
        ("redis://one/0,redis://ada:hunter2@[::1]:6379/0", "redis://one/0, redis://[::1]:6379/0"),
        ("redis://hunter2/x@cache.example/0", status._UNSHOWN),
        ("redis://hunter2?x@cache.example/0", status._UNSHOWN),
        ("redis://cache.example/0?password=x@hunter2", status._UNSHOWN),
        ("", None),
    ],
)
def test_an_address_is_shown_without_credentials(settings: Any, location: Any, shown: str | None) -> None:
    settings.CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": location}}
    assert status.address_of("default") == shown


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_tells_how_a_client_stands_and_takes_nothing(run: Run, on_redis: str) -> None:
    get_rate_limiter().check(Identity.of("worker-7", "anonymous"), 60)
    for _ in range(2):
        outcome = run("ratelimit", "check", "--name", "worker-7", "--tier", "anonymous", "--json")
    told = outcome.data
    assert outcome.exit_code == 0
    assert 30 < seconds_until(told.pop("full_again_at")) <= 36
    assert abs(seconds_until(told.pop("admitted_at"))) < 5
    assert told.pop("remaining") in range(40, 50)
    assert told == {
        "kind": "name",
        "tier": "anonymous",
        "limit": 100,
        "window_seconds": 60,
        "burst": 100,
        "cost": 1,
        "admitted": True,
        "shadow": False,
        "retry_after_seconds": None,
    }


def test_check_of_a_request_that_would_be_refused_says_when_it_would_not(run: Run, on_redis: str) -> None:
    get_rate_limiter().check(Identity.of("worker-7", "anonymous"), 100)
    outcome = run("ratelimit", "check", "--name", "worker-7", "--tier", "anonymous", "--cost", "50", "--json")
    assert (outcome.exit_code, outcome.data["admitted"]) == (1, False)
    assert 20 < outcome.data["retry_after_seconds"] <= 30
    assert 20 < seconds_until(outcome.data["admitted_at"]) <= 30
    words = run("ratelimit", "check", "--name", "worker-7", "--tier", "anonymous", "--cost", "50")
    assert words.exit_code == 1
    assert "would be refused; it would be admitted in " in words.out


def test_a_cost_above_the_burst_is_never_admitted(run: Run, on_redis: str) -> None:
    outcome = run("ratelimit", "check", "--name", "n", "--tier", "anonymous", "--cost", "101", "--json")
    assert (outcome.exit_code, outcome.data["admitted_at"]) == (1, None)
    assert "never admitted" in run("ratelimit", "check", "--name", "n", "--tier", "anonymous", "--cost", "101").out


def test_a_refusal_in_shadow_is_let_through(run: Run, on_redis: str, settings: Any) -> None:
    settings.RATELIMIT_ENFORCE = False
    get_rate_limiter().check(Identity.of("n", "anonymous"), 100)
    outcome = run("ratelimit", "check", "--name", "n", "--tier", "anonymous", "--json")
    assert (outcome.exit_code, outcome.data["admitted"], outcome.data["shadow"]) == (0, True, True)
    assert "let through all the same" in run("ratelimit", "check", "--name", "n", "--tier", "anonymous").out


def test_an_unlimited_client_has_no_bucket_to_look_at(run: Run, buckets_at: Callable[[str], None]) -> None:
    buckets_at("")
    outcome = run("ratelimit", "check", "--name", "n", "--tier", "admin", "--json")
    assert (outcome.exit_code, outcome.data["limit"], outcome.data["remaining"]) == (0, None, None)
    assert "no limit" in run("ratelimit", "check", "--name", "n", "--tier", "admin").out


@pytest.mark.parametrize(
    ("remote_addr", "written"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7", "::ffff:192.0.2.7"),
        ("2001:db8:0:1::5", "2001:DB8:0:1:ffff::9"),
        ("fe80::1%eth0", "fe80::2"),
    ],
)
def test_an_address_is_the_client_that_its_requests_are(
    run: Run, on_redis: str, remote_addr: str, written: str
) -> None:
    get_rate_limiter().check(resolve(RequestFactory().get("/", REMOTE_ADDR=remote_addr)), 90)
    told = run("ratelimit", "check", "--address", written, "--json").data
    assert (told["kind"], told["tier"]) == ("address", "anonymous")
    assert told["remaining"] < 50


def test_addresses_are_grouped_as_the_setting_says(run: Run, on_redis: str, settings: Any) -> None:
    settings.RATELIMIT_IPV6_PREFIX = 48
    get_rate_limiter().check(resolve(RequestFactory().get("/", REMOTE_ADDR="2001:db8:0:1::5")), 90)
    assert run("ratelimit", "check", "--address", "2001:db8:0:2::5", "--json").data["remaining"] < 50


@pytest.mark.parametrize(
    ("is_superuser", "assigned", "tier"), [(False, "", "api_key"), (False, "premium", "premium"), (True, "", "admin")]
)
def test_a_user_is_the_client_that_their_requests_are(
    run: Run, on_redis: str, settings: Any, is_superuser: bool, assigned: str, tier: str
) -> None:
    settings.RATELIMIT_REFRESH_SECONDS = 0
    user = get_user_model().objects.create(username="ada", is_superuser=is_superuser)
    if assigned:
        TierAssignment.objects.create(user=user, tier=assigned)
    request = RequestFactory().get("/")
    request.user = user
    identity = resolve(request)
    get_rate_limiter().check(identity, 900)
    told = run("ratelimit", "check", "--user", "ada", "--json").data
    assert (told["kind"], told["tier"]) == ("user", tier)
    assert tier == identity.tier
    assert told["remaining"] is None or told["remaining"] < told["limit"] - 500


@pytest.mark.parametrize(("assigned", "tier"), [("", "api_key"), ("premium", "premium"), ("gold", "api_key")])
def test_a_key_is_the_client_that_its_requests_are(
    run: Run, on_redis: str, settings: Any, assigned: str, tier: str
) -> None:
    settings.RATELIMIT_REFRESH_SECONDS = 0
    issued, key = ApiKey.objects.issue(name="a key")
    ApiKey.objects.update(tier=assigned)
    get_rate_limiter().check(resolve(RequestFactory().get("/", HTTP_X_API_KEY=key)), 900)
    told = run("ratelimit", "check", "--key", issued.prefix, "--json").data
    assert (told["kind"], told["tier"]) == ("api_key", tier)
    assert told["remaining"] < told["limit"] - 500


# --- reset ------------------------------------------------------------------------------------------------------------


def test_reset_fills_the_bucket_and_says_how_it_stood(run: Run, on_redis: str) -> None:
    identity = resolve(RequestFactory().get("/", REMOTE_ADDR="192.0.2.7"))
    get_rate_limiter().check(identity, 100)
    outcome = run("ratelimit", "reset", "--address", "192.0.2.7", "--json")
    told = outcome.data
    assert (outcome.exit_code, told["filled"], told["before"]["tier"]) == (0, True, "anonymous")
    assert told["before"]["remaining"] < 20
    assert get_rate_limiter().check(identity, 100).allowed
    words = run("ratelimit", "reset", "--address", "192.0.2.7").out
    assert "It is full now." in words
    assert "2 seconds more" in words


def test_a_full_bucket_has_nothing_to_fill(run: Run, on_redis: str) -> None:
    outcome = run("ratelimit", "reset", "--name", "n")
    assert (outcome.exit_code, "Nothing had to be filled" in outcome.out) == (0, True)


def test_other_buckets_stay_as_they_are(run: Run, on_redis: str) -> None:
    limiter = get_rate_limiter()
    for name in ("one", "other"):
        limiter.check(Identity.of(name, "anonymous"), 100)
    run("ratelimit", "reset", "--name", "one", "--tier", "anonymous")
    assert limiter.peek(Identity.of("one", "anonymous"), 100).allowed
    assert not limiter.peek(Identity.of("other", "anonymous"), 50).allowed


@pytest.mark.parametrize(("action", "exit_code"), [("check", 3), ("reset", 1)])
def test_while_redis_is_away_nothing_is_said_of_a_client_nor_done(
    run: Run, buckets_at: Callable[[str], None], action: str, exit_code: int
) -> None:
    with redis_process() as server:
        buckets_at(server.url)
        server.kill()
        outcome = run("ratelimit", action, "--name", "n", "--json")
    assert (outcome.exit_code, outcome.out) == (exit_code, "")
    assert "Redis is away (refused)" in outcome.error


@pytest.mark.parametrize(("action", "exit_code"), [("check", 3), ("reset", 1)])
def test_the_memory_of_other_processes_cannot_be_seen(
    run: Run, buckets_at: Callable[[str], None], action: str, exit_code: int
) -> None:
    buckets_at("")
    outcome = run("ratelimit", action, "--name", "n", "--json")
    assert (outcome.exit_code, outcome.out) == (exit_code, "")
    assert "in its own memory" in outcome.error


def test_an_outage_policy_that_admits_everything_is_not_taken_for_an_unlimited_tier(
    run: Run, buckets_at: Callable[[str], None], settings: Any
) -> None:
    settings.RATELIMIT_ON_OUTAGE = {"api_key": "open"}
    with redis_process() as server:
        buckets_at(server.url)
        server.kill()
        assert run("ratelimit", "check", "--name", "n").exit_code == 3


# --- what is not there ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["check", "reset"])
@pytest.mark.parametrize(
    ("client", "sentence"),
    [
        (("--user", "nobody"), "There is no user “nobody”."),
        (("--key", "00000000"), "There is no key “00000000”."),
        (("--key", "short"), "named by the 8 letters and digits"),
        (("--address", "junk"), "“junk” is no address. Write one such as"),
        (("--address", "192.0.2.7:80"), "is no address"),
        (("--address", ""), "is no address"),
        (("--address", "\x1b[31m"), "“ [31m” is no address"),
        (("--name", "n", "--tier", "gold"), "There is no tier “gold”. Known tiers: anonymous"),
        (("--user", "ada", "--tier", "premium"), "--tier goes with --name"),
        ((), "one of the arguments --user --key --address --name is required"),
        (("--user", "a", "--name", "b"), "not allowed with argument"),
    ],
)
def test_a_client_that_is_not_there_is_told_and_nothing_is_changed(
    run: Run, on_redis: str, action: str, client: tuple[str, ...], sentence: str
) -> None:
    outcome = run("ratelimit", action, *client)
    assert outcome.exit_code in {1, 2}
    assert outcome.exit_code == 2 or "argument" in sentence  # argparse's own, which a shell sees as 2
    assert sentence in outcome.error
    assert outcome.out == ""


@pytest.mark.parametrize("state", ["revoked", "expired", "inactive_owner"])
def test_a_key_that_is_refused_has_no_bucket(run: Run, on_redis: str, state: str) -> None:
    owner = get_user_model().objects.create(username="ada", is_active=state != "inactive_owner")
    issued, _ = ApiKey.objects.issue(name="a key", owner=owner)
    past = timezone.now() - timedelta(hours=1)
    if state == "revoked":
        issued.revoke()
    elif state == "expired":
        ApiKey.objects.update(created_at=past - timedelta(hours=1), expires_at=past)
    sentence = {
        "revoked": "is revoked",
        "expired": "has expired",
        "inactive_owner": "belongs to a user who is not active",
    }[state]
    outcome = run("ratelimit", "check", "--key", issued.prefix)
    assert (outcome.exit_code, f"The key “{issued.prefix}” {sentence}" in outcome.error) == (2, True)


def test_a_whole_key_is_refused_and_not_repeated(run: Run, on_redis: str) -> None:
    issued, key = ApiKey.objects.issue(name="a key")
    outcome = run("ratelimit", "check", "--key", key)
    assert outcome.exit_code == 2
    assert f"Write {issued.prefix}" in outcome.error
    assert key not in outcome.error


@pytest.mark.parametrize("cost", ["0", "-1", "1.5", "much", "9" * 20])
def test_a_cost_is_a_whole_number_of_tokens(run: Run, on_redis: str, cost: str) -> None:
    outcome = run("ratelimit", "check", "--name", "n", f"--cost={cost}")
    assert "a whole number of tokens" in outcome.error


# --- from a shell -----------------------------------------------------------------------------------------------------


def shell(*arguments: str, database: str = "sqlite:///:memory:") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=HOUSE,
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "tests.ratelimit.settings",
            "DATABASE_URL": database,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_lost_database_is_one_sentence_on_standard_error() -> None:
    lost = "postgresql://ada:hunter2@127.0.0.1:1/tables"
    for arguments in (("ratelimit", "check", "--user", "ada"), ("apikey", "list"), ("apikey", "revoke", "00000000")):
        ended = shell(*arguments, database=lost)
        assert (ended.returncode, ended.stdout) == (3, "")
        assert "The database did not do it (OperationalError)" in ended.stderr
        assert "hunter2" not in ended.stderr
        assert "Traceback" not in ended.stderr


def test_wrong_arguments_exit_with_2() -> None:
    assert shell("ratelimit", "check").returncode == 2
    assert shell("ratelimit", "status").returncode == 0
