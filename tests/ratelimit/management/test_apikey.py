"""`manage.py apikey` makes, lists, revokes and rotates keys, and changes nothing when something is wrong."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
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
        (("--name", "n", "--expires", "000000001" + "9" * 20), "a whole number of days"),
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


# --- list -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def keys() -> dict[str, ApiKey]:
    """One in each state, by its name."""
    users = get_user_model().objects
    ada, gone = users.create(username="ada"), users.create(username="gone", is_active=False)
    made = {
        name: ApiKey.objects.issue(name=name, **fields)[0]
        for name, fields in {
            "active": {"owner": ada, "tier": "premium", "scope": "write"},
            "rotated": {},
            "expired": {},
            "inactive_owner": {"owner": gone},
            "revoked": {"owner": ada},
        }.items()
    }
    made["revoked"].revoke()
    past = timezone.now() - timedelta(hours=1)
    ApiKey.objects.filter(name="expired").update(created_at=past - timedelta(hours=1), expires_at=past)
    ApiKey.objects.filter(name="rotated").update(rotated_at=timezone.now())
    return {name: ApiKey.objects.get(pk=key.pk) for name, key in made.items()}


def listed(*arguments: str) -> set[str]:
    return {key["name"] for key in json.loads(printed("list", *arguments, "--json"))}


def test_the_list_is_of_those_that_are_good(keys: dict[str, ApiKey]) -> None:
    assert listed() == {"active", "rotated"}
    told = json.loads(printed("list", "--all", "--json"))
    assert {key["name"]: key["state"] for key in told} == {name: name for name in keys}


def test_the_list_can_be_of_one_owner_or_tier(keys: dict[str, ApiKey]) -> None:
    assert listed("--user", "ada") == {"active"}
    assert listed("--user", "ada", "--all") == {"active", "revoked"}
    assert listed("--tier", "premium") == {"active"}
    assert listed("--tier", "api_key") == {"rotated"}
    assert listed("--user", "ada", "--tier", "admin") == set()


def test_the_list_tells_all_but_the_secret(keys: dict[str, ApiKey]) -> None:
    key = keys["active"]
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=key.created_at)
    told = json.loads(printed("list", "--tier", "premium", "--json"))
    assert told == [
        {
            "name": "active",
            "prefix": key.prefix,
            "tier": "premium",
            "scopes": ["read", "write"],
            "user": "ada",
            "created_at": key.created_at.isoformat(),
            "expires_at": None,
            "state": "active",
            "last_used_at": key.created_at.isoformat(),
            "rotated_at": None,
            "revoked_at": None,
        }
    ]
    everything = printed("list", "--all") + printed("list", "--all", "--json")
    assert not any(key.key_hash in everything for key in keys.values())


def test_the_table_has_a_line_for_each_key(keys: dict[str, ApiKey]) -> None:
    header, *lines = printed("list", "--all").splitlines()
    assert header.split()[:6] == ["prefix", "name", "owner", "scope", "tier", "state"]
    assert len(lines) == len(keys)
    active = next(line for line in lines if line.startswith(keys["active"].prefix))
    assert active.split()[1:6] == ["active", "ada", "write", "premium", "active"]
    assert active.split()[-2:] == ["never", "never"]


def test_a_list_of_none_says_how_to_make_one() -> None:
    assert "apikey create" in printed("list")
    assert json.loads(printed("list", "--json")) == []


def test_the_list_takes_as_many_queries_for_many_keys_as_for_one(
    keys: dict[str, ApiKey], django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        printed("list", "--all")


def test_a_name_cannot_drive_the_terminal_or_forge_a_line() -> None:
    ApiKey.objects.issue(name="a\x1b[2J\nb\x9b\u202ec")
    assert len(printed("list").splitlines()) == 2
    rotated = printed("rotate", ApiKey.objects.get().prefix)
    for shown in (printed("list", "--all"), rotated, printed("revoke", ApiKey.objects.latest("pk").prefix)):
        assert not re.search("[\x1b\x9b\u202e]", shown)
        assert "a [2J b c" in shown


# --- revoke and rotate ------------------------------------------------------------------------------------------------


def test_a_revoked_key_is_refused_within_5_seconds_and_says_so() -> None:
    issued, _ = ApiKey.objects.issue(name="a reader")
    words = printed("revoke", issued.prefix)
    assert ApiKey.objects.get().revoked_at is not None
    assert words.startswith(f"Revoked “a reader” ({issued.prefix}).")
    assert "within 5 seconds" in words


def test_revoking_answers_in_json() -> None:
    issued, _ = ApiKey.objects.issue(name="a reader")
    told = json.loads(printed("revoke", issued.prefix, "--json"))
    assert (told["prefix"], told["state"]) == (issued.prefix, "revoked")
    assert told["revoked_at"] == ApiKey.objects.get().revoked_at.isoformat()


def test_a_successor_stands_alone_on_the_first_line_and_the_old_key_has_a_day() -> None:
    old, _ = ApiKey.objects.issue(name="a reader")
    key, _, predecessor = printed("rotate", old.prefix).splitlines()
    old.refresh_from_db()
    assert ApiKey.objects.get(key_hash=hash_of(key)).name == "a reader"
    assert old.expires_at is not None
    assert abs(old.expires_at - timezone.now() - timedelta(hours=24)) < timedelta(minutes=1)
    assert predecessor == f"Its predecessor {old.prefix} is good until {old.expires_at:%Y-%m-%d %H:%M} UTC."


def test_rotating_answers_in_json() -> None:
    old, _ = ApiKey.objects.issue(name="a reader", tier="premium")
    told = json.loads(printed("rotate", old.prefix, "--overlap", "2", "--json"))
    old.refresh_from_db()
    assert (told["name"], told["tier"], told["prefix"]) == ("a reader", "premium", told["key"][4:12])
    assert told["predecessor"]["prefix"] == old.prefix
    assert told["predecessor"]["state"] == "rotated"
    assert told["predecessor"]["expires_at"] == old.expires_at.isoformat()


def test_without_overlap_the_old_key_is_revoked() -> None:
    old, _ = ApiKey.objects.issue(name="a reader")
    words = printed("rotate", old.prefix, "--overlap", "0")
    old.refresh_from_db()
    assert old.state == "revoked"
    assert f"Its predecessor {old.prefix} is revoked." in words


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("list", "--user", "nobody"), "There is no user “nobody”."),
        (("list", "--tier", "gold"), "There is no tier “gold”. Known tiers: anonymous"),
        (("revoke", "00000000"), "There is no key “00000000”."),
        (("rotate", "00000000"), "There is no key “00000000”."),
        (("revoke", "short"), "A key is named by the 8 letters and digits after shk_"),
        (("revoke", "ended revoked"), "It was revoked already, on "),
        (("rotate", "ended revoked"), "This key is revoked. Make a new one."),
        (("rotate", "ended expired"), "This key has expired. Make a new one."),
        (("rotate", "ended rotated"), "This key has been rotated already. Rotate its successor."),
        (("rotate", "00000000", "--overlap=-1"), "a whole number of hours from 0 to 8,784"),
        (("rotate", "00000000", "--overlap", "9999"), "a whole number of hours"),
        (("rotate", "00000000", "--overlap", "000000000" + "9" * 20), "a whole number of hours"),
        (("revoke",), "required: PREFIX"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    keys: dict[str, ApiKey], arguments: tuple[str, ...], sentence: str
) -> None:
    before = list(ApiKey.objects.values())
    written = [keys[part.removeprefix("ended ")].prefix if part.startswith("ended ") else part for part in arguments]
    with pytest.raises(CommandError, match=re.escape(sentence)) as raised:
        printed(*written)
    assert raised.value.returncode == 2 or "PREFIX" in sentence or "hours" in sentence  # argparse's own
    assert list(ApiKey.objects.values()) == before


@pytest.mark.parametrize("action", ["revoke", "rotate"])
def test_a_whole_key_on_the_command_line_is_refused_and_not_repeated(action: str) -> None:
    issued, key = ApiKey.objects.issue(name="a reader")
    with pytest.raises(CommandError, match=f"Write {issued.prefix}, the 8 characters") as raised:
        printed(action, key)
    assert raised.value.returncode == 2
    assert key not in str(raised.value)
    assert ApiKey.objects.get().state == "active"


def test_a_lost_database_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("connection to hunter2 failed")

    issued, _ = ApiKey.objects.issue(name="a reader")
    with connection.execute_wrapper(fail), pytest.raises(CommandError) as raised:
        printed("revoke", issued.prefix)
    assert raised.value.returncode == 3
    assert "hunter2" not in str(raised.value)
