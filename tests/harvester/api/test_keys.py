"""What a key opens, and that it never opens more than its owner may."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from harvester.models import Run, User
from ratelimit.models import ApiKey
from tests.factories import make_staff, make_user
from tests.harvester.api.clients import ApiClient, problem, staff

pytestmark = pytest.mark.django_db

READ, WRITE = "read", "write"


def with_key(owner: User | None = None, scope: str = WRITE, *, as_bearer: bool = False, **fields: Any) -> ApiClient:
    _, key = ApiKey.objects.issue(name="a program", owner=owner, scope=scope, **fields)
    return ApiClient(headers={"Authorization": f"Bearer {key}"} if as_bearer else {"X-API-Key": key})


@pytest.mark.parametrize("as_bearer", [False, True])
@pytest.mark.parametrize("scope", [READ, WRITE])
def test_a_good_key_may_read(scope: str, as_bearer: bool) -> None:
    response = with_key(scope=scope, as_bearer=as_bearer).get("/discoveries")
    assert response.status_code == 200
    assert "WWW-Authenticate" not in response


@pytest.mark.parametrize("as_bearer", [False, True])
def test_a_key_of_staff_with_the_scope_may_write(as_bearer: bool) -> None:
    owner = make_staff()
    response = with_key(owner, as_bearer=as_bearer).post("/harvest", {"stage": "score"})
    assert response.status_code == 202, response.content
    assert Run.objects.get().owner == owner


def test_a_key_for_reading_may_not_write() -> None:
    response = with_key(make_staff(), READ).post("/harvest", {})
    assert problem(response, 403, "not-permitted")["detail"] == "This key may only read."
    assert 'error="insufficient_scope"' in response["WWW-Authenticate"]


@pytest.mark.parametrize("owner", ["nobody", "not staff"])
def test_a_key_may_not_more_than_its_owner(owner: str) -> None:
    client = with_key(None if owner == "nobody" else make_user())
    problem(client.post("/harvest", {}), 403, "not-permitted")
    assert not Run.objects.exists()


def test_a_key_ends_with_the_rights_of_its_owner() -> None:
    owner = make_staff()
    client = with_key(owner)
    owner.is_staff = False
    owner.save()
    problem(client.post("/harvest", {}), 403, "not-permitted")


def test_a_key_whose_owner_was_deactivated_does_not_verify() -> None:
    owner = make_staff()
    client = with_key(owner)
    owner.is_active = False
    owner.save()
    problem(client.post("/harvest", {}), 401, "key-not-verified")
    problem(client.get("/discoveries"), 401, "key-not-verified")


def test_a_revoked_key_does_not_verify() -> None:
    issued, key = ApiKey.objects.issue(name="a program")
    issued.revoke()
    problem(ApiClient(headers={"X-API-Key": key}).get("/discoveries"), 401, "key-not-verified")


def test_an_expired_key_does_not_verify() -> None:
    issued, key = ApiKey.objects.issue(name="a program", expires_at=timezone.now() + timedelta(days=1))
    ApiKey.objects.filter(pk=issued.pk).update(
        created_at=timezone.now() - timedelta(days=2), expires_at=timezone.now() - timedelta(days=1)
    )
    problem(ApiClient(headers={"X-API-Key": key}).get("/discoveries"), 401, "key-not-verified")


def test_a_key_takes_the_place_of_the_session() -> None:
    """Also where the session might: what a program sends with its key is what it means."""
    client = staff()
    _, key = ApiKey.objects.issue(name="a program", scope=READ)
    problem(client.post("/harvest", {}, {"X-API-Key": key}), 403, "not-permitted")


def test_a_key_needs_no_csrf_token() -> None:
    client = with_key(make_staff())
    assert "X-CSRFToken" not in client.headers
    assert client.post("/harvest", {}).status_code == 202


def test_runs_of_a_key_are_told_apart_by_owner() -> None:
    """The same idempotency key of two owners is two runs, of one owner by key or session one."""
    owner, other = make_staff(), make_staff()
    sent = {"Idempotency-Key": "once"}
    first = with_key(owner).post("/harvest", {}, sent)
    assert with_key(owner).post("/harvest", {}, sent).content == first.content
    assert with_key(other).post("/harvest", {}, sent).status_code == 202
    assert Run.objects.count() == 2


def test_reading_with_a_key_asks_for_no_more_than_reading_without(django_assert_max_num_queries: Any) -> None:
    client = with_key()
    client.get("/discoveries")
    with django_assert_max_num_queries(2):  # the page, and the key, which in life is known already
        client.get("/discoveries")
