"""What an operation costs is what its document says, and is taken whole or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse

from harvester.conf import HARVEST_COST
from harvester.models import Run, User
from ratelimit import get_rate_limiter
from ratelimit.identity.identities import address_identity, user_identity
from tests.factories import make_artifact, make_run, make_staff
from tests.harvester.api.clients import ApiClient, problem, signed_in
from tests.harvester.api.test_document import Json, each_operation

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def enforced(settings: Any) -> None:
    """A hundred an hour, so that hardly any comes back meanwhile."""
    hundred = {"limit": 100, "window_seconds": 3600}
    settings.RATELIMIT_TIERS = {"anonymous": hundred, "api_key": hundred}
    settings.RATELIMIT_ENFORCE = True


@pytest.fixture
def owner() -> User:
    return make_staff()


def left(owner: User) -> int:
    return get_rate_limiter().peek(user_identity(str(owner.pk), "api_key")).remaining


def ask_for_harvest(client: ApiClient, **asked: Any) -> HttpResponse:
    return client.post("/harvest", {"stage": "score", **asked})


@each_operation
def test_an_operation_takes_its_price(method: str, path: str, operation: Json, owner: User) -> None:
    make_artifact(pk=1)
    if method == "get":
        make_run(pk=1)
    example, client = operation["x-example"], signed_in(owner)
    response = client.get(example["path"]) if method == "get" else client.post(example["path"], example["body"])
    assert response.status_code in (200, 202)
    assert left(owner) == 100 - operation["x-cost"]


def test_a_harvest_that_is_too_dear_is_refused_and_takes_nothing(owner: User) -> None:
    client = signed_in(owner)
    for _ in range(95):
        client.get("/openapi.json")
    response = ask_for_harvest(client)
    assert response.status_code == 429
    assert response["Content-Type"] == "application/problem+json"
    assert response["Cache-Control"] == "no-store"
    assert 0 < int(response["Retry-After"]) <= 5 * 36
    assert left(owner) == 5
    assert not Run.objects.exists()


def test_harvests_have_a_limit_of_their_own(owner: User, settings: Any) -> None:
    client = signed_in(owner)
    assert [ask_for_harvest(client).status_code for _ in range(7)] == [202] * 6 + [429]
    refused = ask_for_harvest(client)
    assert refused["RateLimit-Policy"] == '"harvest";q=6;w=60'
    assert 1 <= int(refused["Retry-After"]) <= 10
    assert left(owner) == 100 - 6 * HARVEST_COST
    assert Run.objects.count() == 6
    assert client.get("/runs").status_code == 200


def test_the_button_and_the_api_share_that_limit(owner: User) -> None:
    client = signed_in(owner)
    for _ in range(6):
        ask_for_harvest(client)
    pressed = client.client.post("/harvest", headers={"X-CSRFToken": client.headers["X-CSRFToken"]})
    assert pressed.status_code == 429


@pytest.mark.parametrize("body", [{"source": 5}, {"unknown": 1}])
def test_a_request_that_cannot_be_read_costs_as_any_other(owner: User, body: Json) -> None:
    client = signed_in(owner)
    assert {client.post("/harvest", body).status_code for _ in range(7)} == {422}
    assert left(owner) == 93


def test_who_may_not_harvest_pays_as_for_any_request() -> None:
    problem(ApiClient().post("/harvest", {}), 401, "sign-in-required")
    assert get_rate_limiter().peek(address_identity("127.0.0.1")).remaining == 99
