"""POST /harvest: who may, what may be sent, what comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from harvester.actions import WORKER_COMMAND
from harvester.models import LONGEST_NAME, Run
from harvester.pipeline.run import STAGES
from tests.factories import make_source, make_staff, make_user, make_worker
from tests.harvester.api.clients import CSRF_TOKEN, ApiClient, fields, problem, signed_in, staff

pytestmark = pytest.mark.django_db

CHALLENGE = 'Bearer realm="Signal Harvester"'


# --- who may ---------------------------------------------------------------------------------------------------------


def test_nobody_is_asked_to_sign_in() -> None:
    response = ApiClient().post("/harvest", {})
    problem(response, 401, "sign-in-required")
    assert response["WWW-Authenticate"] == CHALLENGE


def test_a_session_that_has_ended_is_nobody() -> None:
    client = staff()
    client.client.cookies[settings.SESSION_COOKIE_NAME] = "x" * 32
    problem(client.post("/harvest", {}), 401, "sign-in-required")


def test_whoever_is_not_staff_may_not() -> None:
    problem(signed_in(make_user()).post("/harvest", {}), 403, "not-permitted")


def test_whoever_was_deactivated_is_nobody() -> None:
    user = make_staff()
    client = signed_in(user)
    user.is_active = False
    user.save()
    problem(client.post("/harvest", {}), 401, "sign-in-required")


@pytest.mark.parametrize("token", ["", "b" * 32, "short", "ä" * 32])
def test_a_session_without_its_csrf_token_may_not(token: str) -> None:
    problem(staff().post("/harvest", {}, {"X-CSRFToken": token}), 403, "csrf-failed")


def test_a_session_without_the_csrf_cookie_may_not() -> None:
    client = staff()
    del client.client.cookies[settings.CSRF_COOKIE_NAME]
    problem(client.post("/harvest", {}), 403, "csrf-failed")


def test_a_session_from_another_site_may_not() -> None:
    problem(staff().post("/harvest", {}, {"Origin": "https://evil.example"}), 403, "csrf-failed")


def test_refused_requests_leave_nothing_behind() -> None:
    ApiClient().post("/harvest", {})
    signed_in(make_user()).post("/harvest", {})
    staff().post("/harvest", {}, {"X-CSRFToken": "b" * 32})
    assert not Run.objects.exists()


# --- what comes of it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [None, {}, {"source": None, "stage": None, "since": None}])
def test_everything_is_harvested_unless_said_otherwise(body: object) -> None:
    make_worker()
    user = make_staff()
    response = signed_in(user).post("/harvest", body)
    run = Run.objects.get()
    assert response.status_code == 202
    assert response["Location"] == f"/api/v1/runs/{run.pk}"
    assert response.json() == {
        "id": run.pk,
        "run_id": run.pk,
        "url": f"/api/v1/runs/{run.pk}",
        "status": "queued",
        "worker_alive": True,
        "detail": f"A worker takes it in a moment; /api/v1/runs/{run.pk} tells how it goes.",
    }
    assert (run.owner, run.trigger, run.parameters, run.idempotency_key) == (user, "api", {}, None)
    assert ApiClient().json(response["Location"])["status"] == "queued"


def test_what_was_asked_stands_on_the_run() -> None:
    make_source("Blög")
    body = {"source": "Blög", "stage": "ingest", "since": "2026-11-01T01:30:00+01:30"}
    assert staff().post("/harvest", body).status_code == 202
    assert Run.objects.get().parameters == {
        "source": "Blög",
        "stage": "ingest",
        "since": "2026-11-01T00:00:00+00:00",
    }


def test_without_a_worker_it_says_how_to_start_one() -> None:
    body = staff().post("/harvest").json()
    assert body["worker_alive"] is False
    assert WORKER_COMMAND in body["detail"]


def test_a_worker_is_told(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any) -> None:
    told: list[list[int]] = []
    monkeypatch.setattr("celery.current_app.send_task", lambda _, args, **__: told.append(args))
    with django_capture_on_commit_callbacks(execute=True):
        staff().post("/harvest")
    assert told == [[Run.objects.get().pk]]


# --- once ------------------------------------------------------------------------------------------------------------


def test_the_same_request_with_the_same_key_is_the_same_run() -> None:
    client = staff()
    first, second = (client.post("/harvest", {"stage": "score"}, {"Idempotency-Key": "k" * 255}) for _ in range(2))
    assert (first.status_code, first.json()) == (second.status_code, second.json()) == (202, first.json())
    assert Run.objects.count() == 1


def test_another_request_with_the_same_key_is_refused() -> None:
    client = staff()
    client.post("/harvest", {"stage": "score"}, {"Idempotency-Key": "k"})
    response = client.post("/harvest", {"stage": "ingest"}, {"Idempotency-Key": "k"})
    assert fields(response) == {("header", "Idempotency-Key")}


def test_a_key_belongs_to_its_owner() -> None:
    for client in (staff(), staff()):
        assert client.post("/harvest", {}, {"Idempotency-Key": "k"}).status_code == 202
    assert Run.objects.count() == 2


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_has_a_length(key: str) -> None:
    assert fields(staff().post("/harvest", {}, {"Idempotency-Key": key})) == {("header", "Idempotency-Key")}


# --- what may be sent ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"source": "nowhere"}, "source"),
        ({"source": ""}, "source"),
        ({"source": 5}, "source"),
        ({"source": "a\0b"}, "source"),
        ({"source": "\ud800"}, "source"),
        ({"source": "x" * (LONGEST_NAME + 1)}, "source"),
        ({"source": ["arXiv"]}, "source"),
        ({"stage": "embed"}, "stage"),
        ({"stage": "\ud800"}, "stage"),
        ({"stage": 1}, "stage"),
        ({"since": "yesterday"}, "since"),
        ({"since": 1_700_000_000}, "since"),
        ({"since": "2026-11-01T00:00:00"}, "since"),
        ({"limit": 5}, "limit"),
        ({"\ud800": 5}, "body"),
        ([], "body"),
        ("arXiv", "body"),
        (5, "body"),
        (True, "body"),
    ],
)
def test_what_cannot_be_used_is_named(body: object, field: str) -> None:
    assert fields(staff().post("/harvest", body)) == {("body", field)}
    assert not Run.objects.exists()


def test_null_is_no_request() -> None:
    assert fields(staff().send("POST", "/harvest", b"null", "application/json")) == {("body", "body")}


def test_all_that_is_wrong_is_named_at_once() -> None:
    response = staff().post("/harvest", {"source": 1, "since": 2, "limit": 3}, {"Idempotency-Key": "k" * 256})
    assert fields(response) == {
        ("body", "source"),
        ("body", "since"),
        ("body", "limit"),
        ("header", "Idempotency-Key"),
    }


def test_it_takes_no_parameters_in_the_address() -> None:
    assert fields(staff().post("/harvest?source=arXiv", {})) == {("query", "source")}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_may_be_asked_for(stage: str) -> None:
    assert staff().post("/harvest", {"stage": stage}).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"source=arXiv",
        b'{"source": NaN}',
        b'{"source": -Infinity}',
        b'{"source": "\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"stage": "score", "stage": "ingest"}',
        b"{}{}",
        b"[" * 100_000,
        b'{"x": ' + b"9" * 5000 + b"}",
        '{"source": "x"}'.encode("utf-16"),
    ],
    ids=range(11),
)
def test_what_is_not_json_cannot_be_read(body: bytes) -> None:
    problem(staff().send("POST", "/harvest", body, "application/json"), 400, "malformed")


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/problem+json", "json"]
)
def test_what_does_not_call_itself_json_is_refused(content_type: str) -> None:
    problem(staff().send("POST", "/harvest", b"{}", content_type), 415, "unsupported-media-type")


def test_a_form_is_refused_before_it_is_read() -> None:
    client = staff()
    response = client.client.post("/api/v1/harvest", {"csrfmiddlewaretoken": CSRF_TOKEN}, headers=client.headers)
    problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "APPLICATION/JSON"])
def test_json_may_be_called_so_in_several_ways(content_type: str) -> None:
    assert staff().send("POST", "/harvest", b"{}", content_type).status_code == 202


@pytest.mark.parametrize(
    ("length", "answer"),
    [
        (1_000_000, lambda response: fields(response) == {("body", "source")}),
        (1_000_001, lambda response: problem(response, 413, "too-large")),
    ],
    ids=["all of it", "a byte more"],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_has_at_most_a_million_bytes(length: int, answer: Callable[[Any], object], chunked: bool) -> None:
    frame = json.dumps({"source": ""}).encode()
    body = frame[:-2] + b"x" * (length - len(frame)) + frame[-2:]
    assert len(body) == length
    assert answer(_chunked(body) if chunked else staff().send("POST", "/harvest", body, "application/json"))


def test_a_body_in_chunks_is_read() -> None:
    assert _chunked(b'{"stage": "score"}').status_code == 202
    assert Run.objects.get().parameters == {"stage": "score"}


def test_a_body_in_chunks_has_to_call_itself_json() -> None:
    problem(_chunked(b"{}", content_type="text/plain"), 415, "unsupported-media-type")


def test_a_server_that_cannot_tell_where_chunks_end_asks_for_the_length() -> None:
    problem(_chunked(b"{}", ends=False), 411, "length-required")


def _chunked(body: bytes, *, content_type: str = "application/json", ends: bool = True) -> Any:
    """As gunicorn hands it over: no length, and an input that ends by itself."""
    environ = {"wsgi.input": BytesIO(body), "wsgi.input_terminated": ends, "CONTENT_TYPE": content_type}
    return staff().send("POST", "/harvest", headers={"Transfer-Encoding": "chunked"}, **environ)


def test_the_page_that_tries_it_out_can_sign_it(client: Client) -> None:
    page = client.get("/api/v1/docs").content.decode()
    assert 'data-api-csrf="true"' in page
    assert 'data-csrf-token="' in page
