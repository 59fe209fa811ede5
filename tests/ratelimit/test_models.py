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


def test_a_successor_may_what_the_key_may_and_as_long(owner: Any) -> None:
    until = timezone.now() + timedelta(days=9)
    old, _ = ApiKey.objects.issue(
        name="a key", scope="write", owner=owner, tier="premium", note="for the lab", expires_at=until
    )
    new, key = old.rotate(timedelta(hours=24))
    new.refresh_from_db()
    assert (new.name, new.scope, new.owner, new.tier, new.note) == ("a key", "write", owner, "premium", "for the lab")
    assert (new.expires_at, new.revoked_at, new.rotated_at) == (until, None, None)
    assert new.key_hash == hash_of(key) != old.key_hash


@pytest.mark.parametrize(("own_hours", "hours_left"), [(None, 24), (48, 24), (3, 3)])
def test_a_rotated_key_is_good_for_the_overlap_at_the_most(own_hours: int | None, hours_left: int) -> None:
    now = timezone.now()
    until = now + timedelta(hours=own_hours) if own_hours else None
    old, _ = ApiKey.objects.issue(name="a key", expires_at=until)
    old.rotate(timedelta(hours=24))
    stored = ApiKey.objects.get(pk=old.pk)
    assert stored.expires_at is not None
    assert abs(stored.expires_at - now - timedelta(hours=hours_left)) < timedelta(minutes=1)
    assert (old.expires_at, old.rotated_at, stored.revoked_at) == (stored.expires_at, stored.rotated_at, None)


def test_without_overlap_the_old_key_is_revoked_at_once() -> None:
    old, _ = ApiKey.objects.issue(name="a key")
    old.rotate(timedelta())
    assert ApiKey.objects.get(pk=old.pk).revoked_at is not None


@pytest.mark.parametrize("code", ["revoked", "expired", "rotated", "gone", "overlap"])
def test_what_cannot_be_rotated_stays_as_it_is(code: str) -> None:
    old, _ = ApiKey.objects.issue(name="a key")
    hour = timedelta(hours=1)
    seen = ApiKey.objects.get(pk=old.pk)  # before that happened
    if code == "revoked":
        old.revoke()
    elif code == "expired":
        past = timezone.now() - hour
        ApiKey.objects.filter(pk=old.pk).update(created_at=past - hour, expires_at=past)
    elif code == "rotated":
        old.rotate(hour)
    elif code == "gone":
        old.delete()
    before = list(ApiKey.objects.values())
    with pytest.raises(ValidationError) as raised:
        seen.rotate(-hour if code == "overlap" else hour)
    assert raised.value.code == code
    assert list(ApiKey.objects.values()) == before


def test_a_successor_that_cannot_be_made_leaves_the_key_as_it_was(settings: Settings) -> None:
    settings.RATELIMIT_TIERS = {"gold": {"limit": 9}}
    old, _ = ApiKey.objects.issue(name="a key", tier="gold")
    settings.RATELIMIT_TIERS = {}
    with pytest.raises(ValidationError, match="gold"):
        old.rotate(timedelta(hours=1))
    assert (old.rotated_at, ApiKey.objects.get().rotated_at) == (None, None)


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
