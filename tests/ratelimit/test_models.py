"""The rules that hold for keys and assignments whoever writes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from pytest_django.fixtures import Settings

from ratelimit.keys import fault_of, hash_of, prefix_of
from ratelimit.models import ApiKey, TierAssignment

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> Any:
    return get_user_model().objects.create(username="owner")


def test_an_issued_key_is_good_and_kept_nowhere() -> None:
    issued, key = ApiKey.objects.issue(name="a reader")
    assert fault_of(key) == ""
    with connection.cursor() as cursor:
        cursor.execute("select * from ratelimit_apikey")
        stored = cursor.fetchone()
    assert not any(key[-28:] in str(value) for value in stored)
    assert (issued.prefix, issued.key_hash) == (prefix_of(key), hash_of(key))


def test_a_key_reads_unless_it_is_given_more() -> None:
    issued, _ = ApiKey.objects.issue(name="a reader")
    assert (issued.scopes, issued.tier, issued.owner, issued.expires_at) == ({"read"}, "", None, None)


def test_a_writing_key_reads_too(owner: Any) -> None:
    issued, _ = ApiKey.objects.issue(name="a writer", scope="write", owner=owner, tier="premium")
    assert issued.scopes == {"read", "write"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a" * 101},
        {"name": "a\x00b"},
        {"scope": "everything"},
        {"tier": "gold"},
        {"note": "\x00"},
        {"expires_at": timezone.now() - timedelta(days=1)},
    ],
)
def test_a_wrong_key_is_not_issued(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ApiKey.objects.issue(**{"name": "a key"} | wrong)
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"prefix": "short"},
        {"key_hash": "short"},
        {"scope": "all"},
        {"expires_at": timezone.now() - timedelta(days=1)},
    ],
)
def test_the_database_itself_refuses_a_wrong_key(wrong: dict[str, Any]) -> None:
    issued, _ = ApiKey.objects.issue(name="a key")
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiKey.objects.filter(pk=issued.pk).update(**wrong)


@pytest.mark.parametrize("field", ["prefix", "key_hash"])
def test_no_two_keys_share_what_they_are_known_by(field: str) -> None:
    one, _ = ApiKey.objects.issue(name="one")
    other, _ = ApiKey.objects.issue(name="other")
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiKey.objects.filter(pk=one.pk).update(**{field: getattr(other, field)})


def test_a_key_goes_with_its_owner(owner: Any) -> None:
    ApiKey.objects.issue(name="a key", owner=owner)
    owner.delete()
    assert not ApiKey.objects.exists()


def test_the_moment_of_the_first_revocation_stays() -> None:
    issued, _ = ApiKey.objects.issue(name="a key")
    issued.revoke()
    first = issued.revoked_at
    issued.revoke()
    issued.refresh_from_db()
    assert issued.revoked_at == first


def test_a_key_is_followed_by_one_that_may_the_same(owner: Any) -> None:
    until = timezone.now() + timedelta(days=30)
    old, text = ApiKey.objects.issue(name="a", scope="write", owner=owner, tier="premium", note="n", expires_at=until)
    new, key = old.rotate(timedelta(hours=24))
    assert (new.name, new.scope, new.owner, new.tier, new.note, new.expires_at) == (
        "a",
        "write",
        owner,
        "premium",
        "n",
        until,
    )
    assert key != text
    old.refresh_from_db()
    assert old.expires_at is not None
    assert timedelta(hours=23) < old.expires_at - timezone.now() <= timedelta(hours=24)


def test_an_overlap_lengthens_no_life() -> None:
    until = timezone.now() + timedelta(hours=1)
    old, _ = ApiKey.objects.issue(name="a key", expires_at=until)
    old.rotate(timedelta(days=7))
    old.refresh_from_db()
    assert old.expires_at == until


def test_a_key_that_has_ended_has_no_successor() -> None:
    revoked, _ = ApiKey.objects.issue(name="revoked")
    revoked.revoke()
    expired, _ = ApiKey.objects.issue(name="expired")
    expired.rotate(timedelta())
    for ended in (revoked, expired):
        with pytest.raises(ValidationError):
            ended.rotate(timedelta(hours=1))
    assert ApiKey.objects.count() == 3


def test_a_user_has_one_assignment(owner: Any) -> None:
    TierAssignment.objects.create(user=owner, tier="premium")
    with pytest.raises(IntegrityError), transaction.atomic():
        TierAssignment.objects.create(user=owner, tier="admin")


def test_an_assignment_names_a_tier(owner: Any) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        TierAssignment.objects.create(user=owner, tier="")
    with pytest.raises(ValidationError):
        TierAssignment(user=owner, tier="gold").full_clean()


def test_a_tier_of_the_project_can_be_assigned(settings: Settings, owner: Any) -> None:
    settings.RATELIMIT_TIERS = {"gold": {"limit": 9}}
    TierAssignment(user=owner, tier="gold").full_clean()


def test_they_name_themselves_without_a_secret(owner: Any) -> None:
    issued, key = ApiKey.objects.issue(name="a key")
    assert str(issued) == f"a key ({key[4:12]}…)"
    assert str(TierAssignment(user=owner, tier="premium")) == "owner: premium"


def test_the_migrations_are_complete() -> None:
    call_command("makemigrations", "ratelimit", check=True, dry_run=True, verbosity=0)
