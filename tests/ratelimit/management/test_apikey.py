"""`manage.py apikey create` makes a key, shows it once, and changes nothing when something is wrong."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.utils import timezone

from ratelimit.keys import fault_of, hash_of
from ratelimit.models import ApiKey

pytestmark = pytest.mark.django_db


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("apikey", *arguments, stdout=out)
    return out.getvalue()


def test_the_key_stands_alone_on_the_first_line() -> None:
    key, *_ = printed("create", "--name", "a reader").splitlines()
    assert fault_of(key) == ""
    assert ApiKey.objects.get().key_hash == hash_of(key)


def test_the_words_say_what_was_made() -> None:
    words = printed("create", "--name", "a reader", "--tier", "premium", "--scope", "write")
    assert "“a reader” (premium; read, write)" in words
    assert "until it is revoked" in words


def test_it_answers_in_json() -> None:
    owner = get_user_model().objects.create(username="ada")
    made: dict[str, Any] = json.loads(
        printed("create", "--name", "n", "--user", "ada", "--tier", "admin", "--expires", "30", "--json")
    )
    key = ApiKey.objects.get()
    assert made == {
        "key": made["key"],
        "name": "n",
        "prefix": made["key"][4:12],
        "tier": "admin",
        "scopes": ["read"],
        "user": "ada",
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at.isoformat(),
    }
    assert key.owner == owner
    assert abs(key.expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)


def test_a_key_without_tier_has_that_of_every_key() -> None:
    assert json.loads(printed("create", "--name", "n", "--json"))["tier"] == "api_key"
    assert ApiKey.objects.get().tier == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--name", "n", "--tier", "gold"), "There is no tier “gold”. Known tiers: anonymous, api_key, premium, admin"),
        (("--name", "n", "--user", "nobody"), "There is no user “nobody”."),
        (("--name", " "), "name: This field cannot be blank."),
        (("--name", "n" * 101), "name: Ensure this value has at most 100 characters"),
        (("--name", "n", "--expires", "0"), "a whole number of days from 1 to 36,500"),
        (("--name", "n", "--expires", "9" * 99), "a whole number of days"),
        (("--name", "n", "--expires", "soon"), "a whole number of days"),
        (("--name", "n", "--scope", "all"), "invalid choice: 'all'"),
        ((), "required: --name"),
    ],
)
def test_a_wrong_order_says_so_and_changes_nothing(arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError, match=re.escape(sentence)) as raised:
        printed("create", *arguments)
    assert raised.value.returncode in {1, 2}
    assert not ApiKey.objects.exists()
