"""What a probe's answer says, to whom, and in which form."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client, RequestFactory
from django.urls import reverse

from health.access import may_see_details
from health.lifecycle import Lifecycle
from health.views import view
from tests.health.conftest import Ask, told
from tests.health.fakes import Hangs, Raises, only, path_of

TOKEN = "correct-horse-battery"
ADMITTED = {"Authorization": f"Bearer {TOKEN}"}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.fixture(autouse=True)
def project(settings: Any, life: Lifecycle) -> Any:
    settings.HEALTH_CHECKS = only(
        database="healthy",
        redis={"status": "healthy", "critical": False},
        migrations={"status": "healthy", "startup_only": True},
    )
    settings.HEALTH_TOKEN = TOKEN
    settings.HEALTH_VERSION = "4.2"
    settings.ALLOWED_HOSTS = ["example.com"]
    return settings


# --- the answer -------------------------------------------------------------------------------------------------------


def test_anybody_sees_states_names_and_durations(ask: Ask) -> None:
    response = ask("/health/ready")
    body = told(response)
    assert set(body) == {"status", "timestamp", "components"}
    assert datetime.fromisoformat(body["timestamp"]).utcoffset() == timedelta(0)
    assert [set(one) for one in body["components"]] == [{"name", "status", "check_duration_ms"}] * 2
    assert [one["name"] for one in body["components"]] == ["database", "redis"]
    assert response["Content-Type"] == "application/json"


def test_who_is_admitted_and_asks_for_it_sees_all(ask: Ask) -> None:
    body = told(ask("/health/ready?verbose", **ADMITTED))
    assert set(body) == {"status", "timestamp", "components", "version", "uptime_seconds"}
    assert (body["version"], body["uptime_seconds"] >= 0) == ("4.2", True)
    [database, redis] = body["components"]
    assert set(database) == {
        "name", "status", "check_duration_ms", "message", "critical", "checked_at", "age_ms",
    }  # fmt: skip
    assert (database["critical"], redis["critical"]) == (True, False)
    assert database["message"] == "It was told to say so."


def test_details_have_to_be_asked_for_and_admitted(ask: Ask) -> None:
    assert "version" not in told(ask("/health/ready", **ADMITTED))
    assert "version" not in told(ask("/health/ready?verbose"))
    assert "version" in told(ask("/health/live?verbose=1", **ADMITTED))


def test_the_default_answer_is_short(ask: Ask, settings: Any) -> None:
    """What a kubelet keeps of it."""
    names = ("database", "redis", "disk", "memory", "migrations")
    settings.HEALTH_CHECKS = {name: only(x="degraded")["x"] for name in names}
    assert len(ask("/health/").content) < 1000


@pytest.mark.parametrize(
    ("states", "status", "word"),
    [
        (("healthy", "healthy"), 200, "healthy"),
        (("healthy", "degraded"), 200, "degraded"),
        (("healthy", "unhealthy"), 200, "degraded"),
        (("degraded", "healthy"), 200, "degraded"),
        (("unhealthy", "healthy"), 503, "unhealthy"),
    ],
)
def test_the_status_follows_the_components(
    ask: Ask, settings: Any, states: tuple[str, str], status: int, word: str
) -> None:
    settings.HEALTH_CHECKS = only(database=states[0], redis={"status": states[1], "critical": False})
    response = ask()
    assert (response.status_code, told(response)["status"]) == (status, word)


def test_a_draining_process_is_not_ready_but_lives(ask: Ask, life: Lifecycle) -> None:
    life.drain()
    for path in ("/health/ready", "/health/"):
        response = ask(path)
        assert (response.status_code, told(response)["status"]) == (503, "unhealthy")
        assert told(response)["reason"] == "draining"
    assert ask("/health/live").status_code == 200
    assert ask("/health/ready/database").status_code == 200


def test_startup_is_latched(ask: Ask, settings: Any) -> None:
    settings.HEALTH_CHECKS = only(migrations={"status": "unhealthy", "startup_only": True})
    response = ask("/health/startup")
    assert (response.status_code, told(response)["reason"]) == (503, "starting")
    settings.HEALTH_CHECKS = only(migrations={"status": "healthy", "startup_only": True})
    assert ask("/health/startup").status_code == 200
    settings.HEALTH_CHECKS = only(database="unhealthy")
    assert ask("/health/startup").status_code == 200


def test_a_single_component_answers_for_itself(ask: Ask, settings: Any) -> None:
    settings.HEALTH_CHECKS = only(database="healthy", redis={"status": "unhealthy", "critical": False})
    assert ask("/health/ready/database").status_code == 200
    response = ask("/health/ready/redis")
    assert (response.status_code, [one["name"] for one in told(response)["components"]]) == (503, ["redis"])


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("exclude=redis", ["database", "disk"]),
        ("exclude=redis&exclude=disk", ["database"]),
        ("exclude=redis,disk", ["database"]),
        ("exclude=redis,%20disk,,", ["database"]),
        ("exclude=nobody", ["database", "redis", "disk"]),
        ("exclude=", ["database", "redis", "disk"]),
        ("exclude", ["database", "redis", "disk"]),
        ("exclude=%ff%00", ["database", "redis", "disk"]),
        ("&".join(["x=1"] * 2000), ["database", "redis", "disk"]),
    ],
)
def test_components_may_be_left_out(ask: Ask, settings: Any, query: str, names: list[str]) -> None:
    settings.HEALTH_CHECKS = only(database="healthy", redis="healthy", disk="healthy")
    for path in ("/health/ready", "/health/"):
        assert [one["name"] for one in told(ask(f"{path}?{query}"))["components"]] == names


def test_startup_leaves_nothing_out(ask: Ask, settings: Any) -> None:
    settings.HEALTH_CHECKS = only(database="unhealthy")
    assert ask("/health/startup?exclude=database").status_code == 503
    assert ask("/health/ready?exclude=database").status_code == 200


def test_a_hung_component_is_told_in_time_and_keeps_its_flag(ask: Ask, settings: Any) -> None:
    hangs = {"check": path_of(Hangs), "deadline_seconds": 0.05}
    settings.HEALTH_CHECKS = only(database="healthy", redis={**hangs, "critical": False})
    assert told(ask())["status"] == "degraded"
    settings.HEALTH_CHECKS = only(database=hangs)
    assert told(ask("/health/ready?verbose", **ADMITTED))["components"][0]["message"] == (
        "It did not answer within 0.05 s."
    )


def test_what_a_check_raises_is_told_by_its_class_alone(ask: Ask, settings: Any) -> None:
    settings.HEALTH_CHECKS = only(database={"check": path_of(Raises)})
    assert told(ask("/health/ready?verbose", **ADMITTED))["components"][0]["message"] == "It failed (RuntimeError)."


# --- its form ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/*", False),
        ("image/png", False),
        ("text/plain", False),
        ("text/html;q=0", False),
        ("text/html;q=0, */*", False),
        ("application/json, text/html;q=0.9", False),
        ("text/html" + ", x/y" * 200, False),
        ("text/html;charset=*utf-99''x", False),
        (";;;,,text/html;q=", True),
        (BROWSER, True),
        ("text/html", True),
        ("TEXT/HTML", True),
        ("text/html, application/json;q=0.9", True),
    ],
)
@pytest.mark.parametrize("path", ["live", "ready", "startup", "", "ready/redis"])
def test_a_page_is_for_those_who_prefer_one(ask: Ask, accept: str | None, is_page: bool, path: str) -> None:
    response = ask(f"/health/{path}") if accept is None else ask(f"/health/{path}", Accept=accept)
    assert response.status_code == 200
    assert response["Content-Type"] == ("text/html; charset=utf-8" if is_page else "application/json")
    assert response["Vary"] == "Accept"
    assert response["Cache-Control"] == "no-store"
    assert response["X-Content-Type-Options"] == "nosniff"


# --- who sees details -------------------------------------------------------------------------------------------------


def is_admitted(ask: Ask, **headers: str) -> bool:
    response = ask("/health/ready?verbose", **headers)
    assert response.status_code == 200
    in_json = "version" in told(response)
    assert ("Version" in ask("/health/ready", Accept="text/html", **headers).content.decode()) is in_json
    return in_json


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER   {TOKEN} "])
def test_the_token_admits(ask: Ask, header: str) -> None:
    assert is_admitted(ask, Authorization=header)


@pytest.mark.parametrize(
    "header",
    [
        "", "Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}", f"Token {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}", f"Bearer {TOKEN},Bearer {TOKEN}", f"Bearer \t{TOKEN}", "Bearer größe", "Bearer \xff",
    ],
)  # fmt: skip
def test_nothing_else_does(ask: Ask, header: str) -> None:
    assert not is_admitted(ask, Authorization=header)


def test_the_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody learns from the time it takes how much of a guess was right."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(sent: bytes, expected: bytes) -> bool:
        compared.append((sent, expected))
        return True

    monkeypatch.setattr("health.access.constant_time_compare", compare)
    request = RequestFactory().get("/health/ready", headers={"Authorization": "Bearer a guess"})
    assert may_see_details(request)
    assert compared == [(b"a guess", TOKEN.encode())]


def test_the_token_is_not_taken_from_the_query(ask: Ask) -> None:
    for name in ("token", "HEALTH_TOKEN", "access_token", "Authorization"):
        assert "version" not in told(ask(f"/health/ready?verbose&{name}={TOKEN}"))


@pytest.mark.parametrize("header", ["Bearer ", "Bearer", "", "Bearer x", 'Bearer ""'])
def test_an_empty_token_admits_nobody(ask: Ask, settings: Any, header: str) -> None:
    settings.HEALTH_TOKEN = ""
    assert not is_admitted(ask, Authorization=header)


def test_a_token_may_be_in_any_script(ask: Ask, settings: Any) -> None:
    settings.HEALTH_TOKEN = "größe-und-länge"
    assert is_admitted(ask, Authorization="Bearer größe-und-länge".encode().decode("latin-1"))
    request = RequestFactory().get("/", headers={"Authorization": "Bearer ☃"})
    assert not may_see_details(request)


@pytest.mark.parametrize(
    ("peer", "networks", "admitted"),
    [
        ("10.1.2.3", ["10.0.0.0/8"], True),
        ("10.1.2.3", ["10.0.0.1/8"], True),  # as `ip address` prints it
        ("11.1.2.3", ["10.0.0.0/8"], False),
        ("10.1.2.3", [], False),
        ("10.1.2.3", ["192.0.2.0/24", "10.1.2.3"], True),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"], True),
        ("::ffff:11.1.2.3", ["10.0.0.0/8"], False),
        ("::ffff:10.1.2.3", ["::ffff:10.0.0.0/104"], True),
        ("::1", ["::1"], True),
        ("fe80::1%eth0", ["fe80::/10"], True),
        ("2001:db8::1", ["fe80::/10", "0.0.0.0/0"], False),
        ("", ["0.0.0.0/0", "::/0"], False),
        ("unix", ["0.0.0.0/0", "::/0"], False),
        ("10.1.2.3, 10.1.2.4", ["10.0.0.0/8"], False),
        ("010.1.2.3", ["0.0.0.0/0"], False),
    ],
)
def test_a_network_admits_the_bare_peer(settings: Any, peer: str, networks: list[str], admitted: bool) -> None:
    settings.HEALTH_DETAIL_NETWORKS = networks
    request = RequestFactory().get("/health/ready", REMOTE_ADDR=peer)
    assert may_see_details(request) is admitted


def test_a_peer_without_an_address_is_nobody(settings: Any) -> None:
    settings.HEALTH_DETAIL_NETWORKS = ["0.0.0.0/0", "::/0"]
    request = RequestFactory().get("/health/ready")
    del request.META["REMOTE_ADDR"]
    assert not may_see_details(request)


def test_a_network_admits_under_both_kinds_of_server(ask: Ask, settings: Any) -> None:
    assert not is_admitted(ask)
    settings.HEALTH_DETAIL_NETWORKS = ["127.0.0.0/8"]
    assert is_admitted(ask)


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For",
        "Forwarded",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Real-IP",
        "Via",
        "CF-Connecting-IP",
        "True-Client-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "X-Original-Forwarded-For",
        "X-Envoy-External-Address",
        "Client-IP",
        "Fastly-Client-IP",
    ],
)
@pytest.mark.parametrize("text", ["", "127.0.0.1", "for=127.0.0.1"])
def test_nothing_that_a_proxy_passed_on_is_admitted_by_network(ask: Ask, settings: Any, header: str, text: str) -> None:
    settings.HEALTH_DETAIL_NETWORKS = ["127.0.0.0/8"]
    assert not is_admitted(ask, **{header: text})
    assert is_admitted(ask, **{header: text}, **ADMITTED)


# --- settings that cannot be meant ------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [5, True, ["a.b"], {"check": None}])
def test_an_entry_of_the_wrong_kind_is_unhealthy_and_leaves_the_others_alone(
    ask: Ask, settings: Any, entry: object
) -> None:
    settings.HEALTH_CHECKS = only(database="healthy") | {"mine": entry}
    body = told(ask("/health/ready"))
    assert {one["name"]: one["status"] for one in body["components"]} == {"database": "healthy", "mine": "unhealthy"}


@pytest.mark.parametrize("name", [5, "a\udcff", b"mine"])
def test_so_is_one_whose_name_is_none(ask: Ask, settings: Any, name: object) -> None:
    settings.HEALTH_CHECKS = only(database="healthy") | {name: path_of(Raises)}
    assert [one["status"] for one in told(ask("/health/ready"))["components"]] == ["healthy", "unhealthy"]
    assert ask("/health/", Accept="text/html").status_code == 503


# --- without the middleware -------------------------------------------------------------------------------------------


def test_a_project_may_mount_the_addresses_instead(ask: Ask, settings: Any) -> None:
    settings.MIDDLEWARE = []
    settings.ROOT_URLCONF = "tests.health.mounted_urls"
    names = {"page": "", "live": "live", "ready": "ready", "startup": "startup"}
    for name, path in names.items():
        assert reverse(f"health:{name}") == f"/health/{path}"
        assert ask(f"/health/{path}").status_code == 200
    assert reverse("health:component", kwargs={"component": "redis"}) == "/health/ready/redis"
    assert [one["name"] for one in told(ask("/health/ready/redis/"))["components"]] == ["redis"]
    assert ask("/health/ready/nobody").status_code == 404
    assert told(ask("/health/nowhere"))["error"] == "unknown path"
    assert ask("/health/live", "POST").status_code == 405


@pytest.mark.parametrize("path", ["live", "ready", "startup", "", "ready/redis", "nowhere"])
def test_no_mounted_address_opens_a_transaction(settings: Any, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Whatever ATOMIC_REQUESTS says; a test that touches the database without asking for it fails."""
    settings.MIDDLEWARE = []
    settings.ROOT_URLCONF = "tests.health.mounted_urls"
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    assert Client().get(f"/health/{path}").status_code == (404 if path == "nowhere" else 200)


def test_a_view_answers_what_the_middleware_does() -> None:
    request = RequestFactory().get("/anything")
    assert json.loads(view(request, "ready", "redis").content)["components"][0]["name"] == "redis"
