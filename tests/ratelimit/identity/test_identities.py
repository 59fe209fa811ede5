"""Names of buckets tell nobody whose they are."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from pytest_django.fixtures import Settings

from ratelimit.identity.identities import address_identity, digest_of, key_identity, user_identity
from ratelimit.keys import VerifiedKey


def test_a_digest_is_the_same_in_every_process_and_no_bare_hash() -> None:
    assert digest_of("address", "192.0.2.1") == digest_of("address", "192.0.2.1")
    bare = {hashlib.sha256(text).hexdigest()[:32] for text in (b"192.0.2.1", b"address:192.0.2.1")}
    assert digest_of("address", "192.0.2.1") not in bare


def test_kinds_are_apart() -> None:
    assert len({digest_of(kind, "7") for kind in ("address", "user", "api_key", "name")}) == 4


@pytest.mark.parametrize("name", ["RATELIMIT_SECRET", "SECRET_KEY"])
def test_another_secret_gives_other_digests(settings: Settings, name: str) -> None:
    before = address_identity("192.0.2.1").digest
    setattr(settings, name, "another secret")
    assert address_identity("192.0.2.1").digest != before


def test_the_secret_itself_is_not_what_digests_are_keyed_with(settings: Settings) -> None:
    settings.RATELIMIT_SECRET = "a secret"
    direct = hmac.digest(b"a secret", b"address:192.0.2.1", "sha256").hex()[:32]
    assert digest_of("address", "192.0.2.1") != direct


def test_text_that_is_no_unicode_has_a_digest_too() -> None:
    assert len(digest_of("user", "\ud800\x00")) == 32


def test_no_representation_shows_who_it_is() -> None:
    key = VerifiedKey(7, "name", "01234567", frozenset({"read"}), None)
    shown = f"{address_identity('192.0.2.1')} {user_identity('4711', 'api_key')} {key_identity(key, 'premium').digest}"
    assert "192.0.2.1" not in shown
    assert "4711" not in shown
