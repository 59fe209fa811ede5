"""The Redis check, against real servers that hang, die, refuse and come back."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.test import Client

from health.checks.redis import RedisCheck
from health.status import HealthStatus
from tests.health.checks.faults import in_background, open_files, silent_server, until
from tests.health.fakes import only, path_of
from tests.services import RedisProcess, free_port, redis_process

DEADLINE_SECONDS = 0.5
SLACK_SECONDS = 0.3
SECRET = "planted-password"
DJANGO = "django.core.cache.backends.redis.RedisCache"
DJANGO_REDIS = "django_redis.cache.RedisCache"

AddCache = Callable[..., None]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisProcess]:
    with redis_process("--enable-debug-command", "local") as running:
        yield running


@pytest.fixture
def add_cache(settings: Any) -> AddCache:
    """Adds the cache “probed” to CACHES for the test."""

    def add(location: Any, backend: str = DJANGO, **entry: Any) -> None:
        settings.CACHES = {**settings.CACHES, "probed": {"BACKEND": backend, "LOCATION": location, **entry}}

    return add


@pytest.fixture(params=[DJANGO, DJANGO_REDIS])
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def check() -> Iterator[RedisCheck]:
    made = RedisCheck(name="redis", alias="probed")
    yield made
    made.close()


def clients(server: RedisProcess) -> int:
    """But for the one that asks."""
    with redis.Redis(port=server.port) as client:
        return len(client.client_list()) - 1


def test_it_answers(add_cache: AddCache, check: RedisCheck, server: RedisProcess, backend: str) -> None:
    add_cache(server.url, backend)
    finding = check.run()
    assert (finding.status, finding.code) == (HealthStatus.HEALTHY, "answers")


def test_one_connection_serves_all_runs_and_is_closed_at_last(
    add_cache: AddCache, check: RedisCheck, server: RedisProcess, backend: str
) -> None:
    add_cache(server.url, backend)
    until(lambda: clients(server) == 0)
    files = open_files()
    assert {check.run().code for _ in range(200)} == {"answers"}
    assert clients(server) == 1
    check.close()
    until(lambda: clients(server) == 0)
    assert open_files() == files


def test_a_slow_answer_is_degraded(add_cache: AddCache, server: RedisProcess) -> None:
    add_cache(server.url)
    check = RedisCheck(name="redis", alias="probed", deadline_seconds=2, slow_seconds=0.1)
    check.run()
    with redis.Redis(port=server.port) as client:
        asleep = in_background(lambda: client.execute_command("DEBUG", "SLEEP", "0.4"))
        time.sleep(0.1)
        finding = check.run()
        asleep.result(5)
    assert (finding.status, finding.code) == (HealthStatus.DEGRADED, "slow")
    check.close()


def test_a_refused_connection_is_unhealthy(add_cache: AddCache, check: RedisCheck, backend: str) -> None:
    add_cache(f"redis://:{SECRET}@127.0.0.1:{free_port()}/0", backend)
    finding = check.run()
    assert (finding.status, finding.code) == (HealthStatus.UNHEALTHY, "refused")


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({}, HealthStatus.DEGRADED, 200),
        ({"critical": True}, HealthStatus.DEGRADED, 200),
        ({"critical": True, "worst": "unhealthy"}, HealthStatus.UNHEALTHY, 503),
    ],
)
def test_a_project_that_cannot_do_without_it_says_so(
    settings: Any, add_cache: AddCache, options: dict[str, Any], status: HealthStatus, code: int
) -> None:
    add_cache(f"redis://127.0.0.1:{free_port()}/0")
    settings.HEALTH_CHECKS = only(redis={"check": path_of(RedisCheck), "alias": "probed", **options})
    answer = Client().get("/health/ready")
    assert (answer.status_code, answer.json()["components"][0]["status"]) == (code, status)


def test_an_ignored_exception_is_not_ignored_here(add_cache: AddCache, check: RedisCheck) -> None:
    add_cache(f"redis://127.0.0.1:{free_port()}/0", DJANGO_REDIS, OPTIONS={"IGNORE_EXCEPTIONS": True})
    assert check.run().code == "refused"


def test_a_server_that_never_answers_is_unhealthy_in_time(add_cache: AddCache, check: RedisCheck, backend: str) -> None:
    with silent_server() as port:
        retrying = {"retry_on_timeout": True, "socket_timeout": 9, "health_check_interval": 1}
        options = retrying if backend == DJANGO else {"CONNECTION_POOL_KWARGS": retrying, "SOCKET_TIMEOUT": 9}
        add_cache(f"redis://:{SECRET}@127.0.0.1:{port}/0", backend, OPTIONS=options)
        files = open_files()
        began_at = time.monotonic()
        finding = check.run()
        seconds = time.monotonic() - began_at
        assert seconds > DEADLINE_SECONDS * 1.2, "so that the engine, and never the client, says that it is late"
        assert seconds < DEADLINE_SECONDS * 1.5 + SLACK_SECONDS
        assert (finding.status, finding.code) == (HealthStatus.UNHEALTHY, "timed_out")
        assert open_files() == files


def test_an_unknown_host_is_told(add_cache: AddCache, check: RedisCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    add_cache("redis://nowhere.invalid:6379/0")
    assert check.run().code == "unknown_host"


def test_a_killed_server_is_refused_until_it_is_back(add_cache: AddCache, check: RedisCheck) -> None:
    with redis_process() as server:
        add_cache(server.url)
        assert check.run().status == HealthStatus.HEALTHY
        server.kill()
        assert check.run().code == "refused"
        server.start()
        assert check.run().status == HealthStatus.HEALTHY


def test_a_restart_between_two_runs_is_no_failure(add_cache: AddCache, check: RedisCheck) -> None:
    with redis_process() as server:
        add_cache(server.url)
        check.run()
        server.kill()
        server.start()
        assert check.run().status == HealthStatus.HEALTHY


def test_a_stopped_server_is_timed_out_until_it_goes_on(add_cache: AddCache, check: RedisCheck) -> None:
    with redis_process() as server:
        add_cache(server.url)
        check.run()
        server.hang()
        assert [check.run().code for _ in range(2)] == ["timed_out"] * 2
        server.go_on()
        assert check.run().status == HealthStatus.HEALTHY


def test_an_interrupted_run_ends_at_once_and_the_next_connects_anew(add_cache: AddCache) -> None:
    check = RedisCheck(name="redis", alias="probed", deadline_seconds=30)
    with redis_process() as server:
        add_cache(server.url)
        check.run()
        server.hang()
        outcome = in_background(check.run)
        time.sleep(0.2)
        assert not outcome.done()
        check.interrupt()
        assert outcome.result(DEADLINE_SECONDS).code == "timed_out"
        server.go_on()
        assert check.run().status == HealthStatus.HEALTHY
        check.close()


def test_a_greeting_that_hangs_can_be_interrupted(add_cache: AddCache) -> None:
    check = RedisCheck(name="redis", alias="probed", deadline_seconds=30)
    with silent_server() as port:
        add_cache(f"redis://:{SECRET}@127.0.0.1:{port}/1")
        outcome = in_background(check.run)
        time.sleep(0.2)
        check.interrupt()
        assert outcome.result(DEADLINE_SECONDS).code == "timed_out"


@pytest.mark.parametrize("password", ["", f":{SECRET}@", f"someone:{SECRET}@"], ids=["none", "wrong", "unknown user"])
def test_refused_credentials_are_told_and_not_shown(
    add_cache: AddCache, check: RedisCheck, backend: str, password: str
) -> None:
    with redis_process("--requirepass", "right") as server:
        add_cache(f"redis://{password}127.0.0.1:{server.port}/0", backend)
        finding = check.run()
    assert (finding.status, finding.code) == (HealthStatus.UNHEALTHY, "credentials")
    assert SECRET not in finding.message


@pytest.mark.parametrize(
    ("backend_path", "options"),
    [
        (DJANGO, {"password": "right", "db": 1}),
        (DJANGO_REDIS, {"PASSWORD": "right"}),
        (DJANGO_REDIS, {"CONNECTION_POOL_KWARGS": {"password": "right", "protocol": 2}}),
    ],
)
def test_credentials_may_stand_in_options(
    add_cache: AddCache, check: RedisCheck, backend_path: str, options: dict[str, Any]
) -> None:
    with redis_process("--requirepass", "right") as server:
        add_cache(server.url, backend_path, OPTIONS=options)
        assert check.run().status == HealthStatus.HEALTHY


def test_a_user_who_may_not_ping_is_told(add_cache: AddCache, check: RedisCheck) -> None:
    with redis_process("--user", "someone", "on", ">right", "~*", "+@all", "-ping") as server:
        add_cache(f"redis://someone:right@127.0.0.1:{server.port}/0")
        assert check.run().code == "credentials"


def test_a_server_that_loads_its_data_is_told(add_cache: AddCache, check: RedisCheck, tmp_path: Path) -> None:
    with redis_process("--dir", str(tmp_path)) as server, redis.Redis(port=server.port) as client:
        client.eval("for i = 1, 1000 do redis.call('set', i, i) end", 0)
        client.save()
        server.kill()
        server._command += ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"]
        server.start()
        add_cache(server.url)
        assert check.run().code == "loading"
        until(lambda: check.run().code == "answers", 20)


def test_a_server_that_is_busy_with_a_script_is_told(add_cache: AddCache, check: RedisCheck) -> None:
    with redis_process("--busy-reply-threshold", "20") as server:
        add_cache(server.url)
        with redis.Redis(port=server.port, socket_timeout=9) as client, redis.Redis(port=server.port) as killer:
            script = in_background(lambda: client.eval("while true do end", 0))
            time.sleep(0.2)
            assert check.run().code == "busy"
            killer.script_kill()
            assert isinstance(script.exception(5), redis.RedisError)


def test_something_else_than_redis_is_told(add_cache: AddCache, check: RedisCheck) -> None:
    def answer() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(100)
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        in_background(answer)
        add_cache(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        assert check.run().code == "failed"


def test_a_unix_socket_is_pinged(add_cache: AddCache, check: RedisCheck, tmp_path: Path, backend: str) -> None:
    with redis_process("--unixsocket", f"{tmp_path}/redis.sock"):
        add_cache(f"unix://{tmp_path}/redis.sock?db=1", backend)
        assert check.run().status == HealthStatus.HEALTHY


def test_a_sentinels_master_is_pinged(add_cache: AddCache, check: RedisCheck, tmp_path: Path) -> None:
    with redis_process() as master:
        written = tmp_path / "sentinel.conf"
        written.write_text(f"sentinel monitor main 127.0.0.1 {master.port} 1\n")
        with redis_process(settings=written) as sentinel:
            options = {
                "CLIENT_CLASS": "django_redis.client.SentinelClient",
                "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
                "SENTINELS": [("127.0.0.1", sentinel.port)],
            }
            add_cache("redis://main/0", DJANGO_REDIS, OPTIONS=options)
            before = clients(sentinel)
            assert [check.run().status for _ in range(3)] == [HealthStatus.HEALTHY] * 3
            until(lambda: clients(sentinel) == before)
            master.hang()
            assert check.run().code == "timed_out"
            master.go_on()
            assert check.run().status == HealthStatus.HEALTHY
            sentinel.hang()
            assert check.run().status == HealthStatus.HEALTHY
            sentinel.go_on()


def test_every_server_has_a_check(add_cache: AddCache, server: RedisProcess, backend: str) -> None:
    add_cache([server.url, f"redis://127.0.0.1:{free_port()}/0"], backend)
    checks = RedisCheck.expand("redis", {"alias": "probed"})
    assert [check.name for check in checks] == ["redis", "redis-2"]
    assert [check.run().code for check in checks] == ["answers", "refused"]
    for check in checks:
        check.close()


def test_every_shard_has_a_check(add_cache: AddCache, server: RedisProcess) -> None:
    options = {"CLIENT_CLASS": "django_redis.client.ShardClient"}
    add_cache([server.url, f"redis://127.0.0.1:{free_port()}/0"], DJANGO_REDIS, OPTIONS=options)
    checks = RedisCheck.expand("redis", {"alias": "probed"})
    assert [check.run().code for check in checks] == ["answers", "refused"]
    for check in checks:
        check.close()


def test_the_setting_says_which_cache(settings: Any, add_cache: AddCache) -> None:
    add_cache("redis://127.0.0.1:6379/0,redis://127.0.0.1:6380/0", DJANGO_REDIS)
    settings.HEALTH_CACHE = "probed"
    checks = RedisCheck.expand("redis", {})
    assert [(one.alias, one.server, one.critical, one.worst) for one in checks if isinstance(one, RedisCheck)] == [
        ("probed", 0, False, HealthStatus.DEGRADED),
        ("probed", 1, False, HealthStatus.DEGRADED),
    ]


@pytest.mark.parametrize("location", [[], "", ["redis://127.0.0.1:6379/0", ""]])
def test_a_cache_whose_server_is_not_named_is_told(add_cache: AddCache, backend: str, location: Any) -> None:
    add_cache(location, backend)
    with pytest.raises(ValueError, match="LOCATION of the cache “probed”"):
        RedisCheck.expand("redis", {"alias": "probed"})


def test_a_cache_that_is_no_redis_has_no_check(settings: Any, add_cache: AddCache) -> None:
    add_cache("", "django.core.cache.backends.locmem.LocMemCache")
    assert RedisCheck.expand("redis", {"alias": "probed"}) == []


def test_an_unknown_cache_is_told(add_cache: AddCache) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        RedisCheck.expand("redis", {"alias": "nowhere"})
    add_cache("", "there.is.no.such.Cache")
    with pytest.raises(ValueError, match="probed"):
        RedisCheck.expand("redis", {"alias": "probed"})


def test_a_project_without_the_client_library_can_import_it() -> None:
    code = "import sys; sys.modules['redis'] = None; import health.checks.redis, health.checks.celery"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_no_message_has_a_place_for_anything_but_a_number() -> None:
    for template in RedisCheck.messages.values():
        assert template.format(milliseconds=1.0)
