"""What every operation does alike: media types, methods, validators, keys, errors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.test import Client, override_settings

from harvester.api.problems import PROBLEM_TYPES
from tests.factories import make_artifact, make_run, make_source
from tests.harvester.api.clients import ApiClient, problem, staff

pytestmark = pytest.mark.django_db

anonymous = ApiClient()

LISTS = ["/discoveries", "/sources", "/runs"]
READS = [*LISTS, "/artifacts/1", "/artifacts/1/relationships", "/runs/1"]


@pytest.fixture
def world() -> None:
    make_artifact(make_source("arXiv"), pk=1)
    make_run(pk=1)


# --- media types -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/*",
        "application/json",
        "application/problem+json",
        "text/html, application/json;q=0.1",
        "application/json; charset=utf-8",
        "application/json; charset*=klingon''x; q=nan",
    ],
)
def test_who_takes_json_gets_json(accept: str) -> None:
    response = anonymous.get("/discoveries", {"Accept": accept})
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    "accept", ["text/html", "application/xml", "image/*", "json", "application/json;q=0", "*/*;q=0.000", ";;;"]
)
@pytest.mark.parametrize("path", ["/discoveries", "/nowhere", "/openapi.json"])
def test_who_takes_no_json_is_told_so(accept: str, path: str) -> None:
    problem(anonymous.get(path, {"Accept": accept}), 406, "not-acceptable")


# --- methods and addresses -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"])
@pytest.mark.parametrize("path", [*READS, "/openapi.json"])
def test_what_is_read_takes_no_other_method(method: str, path: str) -> None:
    response = anonymous.send(method, path)
    problem(response, 405, "method-not-allowed")
    assert response["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_what_is_written_takes_no_other_method(method: str) -> None:
    response = staff().send(method, "/harvest")
    assert response.status_code == 405
    assert response["Allow"] == "POST"


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("path", [*READS, "/openapi.json"])
def test_head_says_what_get_would(path: str) -> None:
    got, asked = anonymous.get(path), anonymous.send("HEAD", path)
    assert asked.status_code == 200
    assert asked["ETag"] == got["ETag"]
    assert asked.content == b""


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v1", "/api/v1/", "/api/v2/runs", "/api/v1/discoveries/", "/api/v1/topics"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_address_is_a_problem_too(path: str, method: str) -> None:
    response = anonymous.send(method, path)
    problem(response, 404, "not-found")
    assert "Accept" in response["Vary"]


# --- validators ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("path", [*READS, "/openapi.json"])
def test_every_answer_says_how_it_may_be_kept(path: str) -> None:
    response = anonymous.get(path)
    assert response["ETag"].startswith('"')
    assert response["Cache-Control"] == "private, no-cache"
    assert response["Vary"] == "Accept, Authorization, Cookie, X-API-Key"


@pytest.mark.parametrize("header", ["{etag}", "W/{etag}", '"other", {etag}', '"other",W/{etag}', "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_still_right_is_not_sent_again(header: str, method: str) -> None:
    make_artifact()
    etag = anonymous.get("/discoveries")["ETag"]
    response = anonymous.send(method, "/discoveries", headers={"If-None-Match": header.format(etag=etag)})
    assert response.status_code == 304
    assert response.content == b""
    assert response["ETag"] == etag
    assert response["Cache-Control"] == "private, no-cache"
    assert response["Vary"] == "Accept, Authorization, Cookie, X-API-Key"


@pytest.mark.parametrize("header", ["", '"other"', "rubbish", '"', "W/", ",,,"])
def test_what_is_no_longer_right_is_sent(header: str) -> None:
    assert anonymous.get("/discoveries", {"If-None-Match": header}).status_code == 200


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("path", READS)
def test_an_answer_is_the_same_within_the_hour_and_another_after_it(path: str) -> None:
    with time_machine.travel(datetime(2027, 1, 1, 10, 0, tzinfo=UTC), tick=False) as clock:
        first = anonymous.get(path)["ETag"]
        clock.move_to(datetime(2027, 1, 1, 10, 59, 59, tzinfo=UTC))
        assert anonymous.get(path)["ETag"] == first
        clock.move_to(datetime(2027, 1, 1, 11, 0, tzinfo=UTC))
        later = anonymous.get(path, {"If-None-Match": first})
    assert later.status_code == (304 if path == "/runs/1" else 200)


def test_a_change_changes_the_validator() -> None:
    artifact = make_artifact()
    first = anonymous.get("/discoveries")["ETag"]
    artifact.title = "Another"
    artifact.save()
    assert anonymous.get("/discoveries", {"If-None-Match": first}).status_code == 200


def test_problems_have_no_validator() -> None:
    response = anonymous.get("/artifacts/1", {"If-None-Match": "*"})
    assert response.status_code == 404
    assert "ETag" not in response


# --- who asks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-API-Key", "shk_something"),
        ("X-API-Key", ""),
        ("Authorization", "Bearer shk_something"),
        ("Authorization", "bearer"),
        ("Authorization", "Token x"),
        ("Authorization", "shk_something"),
    ],
)
@pytest.mark.parametrize("path", READS)
def test_a_key_that_does_not_verify_is_never_taken_for_nobody(path: str, header: str, value: str) -> None:
    response = anonymous.get(path, {header: value})
    problem(response, 401, "key-not-verified")
    assert response["WWW-Authenticate"] == 'Bearer realm="Signal Harvester", error="invalid_token"'


def test_a_key_is_judged_before_the_session() -> None:
    problem(staff().post("/harvest", {}, {"X-API-Key": "x"}), 401, "key-not-verified")


def test_what_a_proxy_asks_for_is_not_ours_to_judge() -> None:
    assert anonymous.get("/discoveries", {"Authorization": "Basic YTpi"}).status_code == 200


def test_reading_asks_for_no_session(settings: Any, django_assert_num_queries: Any) -> None:
    settings.RATELIMIT_EXEMPT_PATHS = ["/*"]  # the limiter does, to know whom it limits
    client = staff()
    with django_assert_num_queries(1):
        client.get("/discoveries")


# --- when it breaks --------------------------------------------------------------------------------------------------


def test_what_breaks_is_a_problem_with_the_id_the_log_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("harvester.api.discoveries.discoveries", broken)
    response = ApiClient(Client(raise_request_exception=False)).get("/discoveries")
    assert "secret" not in str(problem(response, 500, "broken"))


@override_settings(ALLOWED_HOSTS=["harvester.example"])
def test_a_foreign_host_is_a_problem_too() -> None:
    problem(anonymous.get("/discoveries"), 400, "malformed")


def test_every_problem_has_an_explanation_of_its_own() -> None:
    slugs = [kind.slug for kind in PROBLEM_TYPES]
    assert len(slugs) == len(set(slugs))
    page = Client().get("/about/api").content.decode()
    assert [slug for slug in slugs if f'id="{slug}"' not in page] == []
