"""Who asks: the order, what a request cannot do to it, and what is told to nobody.

The rows are read on the test's own connection (RATELIMIT_REFRESH_SECONDS = 0); ``test_processes.py`` has the threads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from ratelimit.identity import Identity, aresolve, resolve, resolver
from ratelimit.identity.suspects import FAILED_LOOKUPS, Suspects
from ratelimit.keys import new_key
from ratelimit.models import ApiKey, TierAssignment
from ratelimit.signals import identity_rejected

CLIENT = "203.0.113.9"


@pytest.fixture(autouse=True)
def rows_of_the_test(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.RATELIMIT_REFRESH_SECONDS = 0
    monkeypatch.setattr(resolver, "_suspects", Suspects())
    monkeypatch.setattr(resolver, "_unread", resolver._Unread())


@pytest.fixture
def rejections() -> Iterator[list[str]]:
    """The reasons told while a test runs."""
    told: list[str] = []

    def listen(reason: str, **_: Any) -> None:
        told.append(reason)

    identity_rejected.connect(listen)
    yield told
    identity_rejected.disconnect(listen)


@pytest.fixture
def user(db: None) -> Any:
    return get_user_model().objects.create_user("ada", password="nothing")


def request(**meta: Any) -> Any:
    return RequestFactory().get("/", **{"REMOTE_ADDR": CLIENT} | meta)


def request_of(user: Any) -> Any:
    asked = request()
    asked.user = user
    return asked


def request_with_session(session_key: str | None) -> Any:
    """As it comes out of Django's session and authentication middleware."""
    asked = request()
    asked.COOKIES = {} if session_key is None else {"sessionid": session_key}
    SessionMiddleware(lambda _: HttpResponse()).process_request(asked)
    AuthenticationMiddleware(lambda _: HttpResponse()).process_request(asked)
    return asked


def session_of(user: Any) -> str:
    client = Client()
    client.force_login(user)
    return str(client.session.session_key)


def issue(**fields: Any) -> str:
    return ApiKey.objects.issue(**{"name": "a key"} | fields)[1]


ANONYMOUS = resolve(request())


# --- addresses --------------------------------------------------------------------------------------------------------


def test_without_credentials_it_is_the_address() -> None:
    assert (ANONYMOUS.kind, ANONYMOUS.tier, ANONYMOUS.key) == ("address", "anonymous", None)
    assert resolve(request(REMOTE_ADDR="203.0.113.10")).digest != ANONYMOUS.digest


def test_no_query_is_made_for_an_address(db: None, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert resolve(request_with_session(None)) == ANONYMOUS


def test_the_identifier_is_32_hexadecimal_characters_and_needs_the_secret(settings: Settings) -> None:
    assert len(ANONYMOUS.digest) == 32
    int(ANONYMOUS.digest, 16)
    settings.RATELIMIT_SECRET = "another"
    assert resolve(request()).digest != ANONYMOUS.digest


def test_a_user_and_an_address_of_the_same_name_are_two(db: None) -> None:
    user = get_user_model()(pk=12)
    assert resolve(request_of(user)).digest != resolve(request(REMOTE_ADDR="12")).digest


def test_forwarding_headers_count_behind_a_trusted_proxy_only(settings: Settings) -> None:
    forwarded = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": CLIENT}
    assert resolve(request(**forwarded)).digest != ANONYMOUS.digest
    settings.RATELIMIT_TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert resolve(request(**forwarded)) == ANONYMOUS


def test_the_header_that_the_proxies_do_not_write_is_not_read(settings: Settings) -> None:
    settings.RATELIMIT_TRUSTED_PROXIES = ["10.0.0.0/8"]
    both = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": CLIENT, "HTTP_FORWARDED": "for=198.51.100.1"}
    assert resolve(request(**both)) == ANONYMOUS
    for header in ("", "X-Forwarded-For"):
        settings.RATELIMIT_FORWARDED_HEADER = header
        assert resolve(request(**both)) == ANONYMOUS
    settings.RATELIMIT_FORWARDED_HEADER = "Forwarded"
    assert resolve(request(**both)) == resolve(request(REMOTE_ADDR="198.51.100.1"))


def test_a_wrong_proxy_setting_trusts_nobody_and_is_logged_once(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.RATELIMIT_TRUSTED_PROXIES = ["10.0.0.1/8", "0.0.0.0/0"]
    for _ in range(3):
        assert resolve(request(HTTP_X_FORWARDED_FOR="198.51.100.1")) == ANONYMOUS
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_server_on_a_unix_socket_has_one_bucket_for_all() -> None:
    nowhere = request()
    del nowhere.META["REMOTE_ADDR"]
    assert resolve(nowhere) == resolve(request(REMOTE_ADDR=""))


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("header", ["HTTP_X_API_KEY", "HTTP_AUTHORIZATION"])
def test_a_good_key_is_the_identity(header: str) -> None:
    text = issue(name="a writer", scope="write")
    asked = request(**{header: text if header == "HTTP_X_API_KEY" else f"bEARER  {text} "})
    identity = resolve(asked)
    assert (identity.kind, identity.tier) == ("api_key", "api_key")
    assert asked.api_key is identity.key
    assert (asked.api_key.name, asked.api_key.scopes) == ("a writer", {"read", "write"})


@pytest.mark.django_db
def test_a_key_may_come_from_anywhere() -> None:
    text = issue()
    here, there = (resolve(request(HTTP_X_API_KEY=text, REMOTE_ADDR=f"203.0.113.{n}")) for n in (1, 2))
    assert here == there


@pytest.mark.django_db
def test_two_keys_are_two_identities() -> None:
    assert resolve(request(HTTP_X_API_KEY=issue())).digest != resolve(request(HTTP_X_API_KEY=issue())).digest


def test_a_key_knows_its_owner(user: Any) -> None:
    identity = resolve(request(HTTP_X_API_KEY=issue(owner=user)))
    assert identity.key is not None
    assert identity.key.owner_id == user.pk


@pytest.mark.django_db
@pytest.mark.parametrize("tier", ["anonymous", "api_key", "premium", "admin"])
def test_a_key_has_the_tier_it_is_assigned(tier: str) -> None:
    assert resolve(request(HTTP_X_API_KEY=issue(tier=tier))).tier == tier


def test_a_key_does_not_inherit_its_owners_tier(user: Any) -> None:
    TierAssignment.objects.create(user=user, tier="premium")
    get_user_model().objects.update(is_superuser=True)
    assert resolve(request(HTTP_X_API_KEY=issue(owner=user))).tier == "api_key"


def test_x_api_key_counts_before_bearer_and_one_credential_is_looked_at(db: None, rejections: list[str]) -> None:
    good, bad = issue(), new_key()
    assert resolve(request(HTTP_X_API_KEY=good, HTTP_AUTHORIZATION=f"Bearer {bad}")).kind == "api_key"
    assert rejections == []
    assert resolve(request(HTTP_X_API_KEY=bad, HTTP_AUTHORIZATION=f"Bearer {good}")) == ANONYMOUS
    assert rejections == ["unknown"]


def test_a_valid_key_leaves_the_session_alone(user: Any, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    asked = request_with_session(session_of(user))
    asked.META["HTTP_X_API_KEY"] = issue()
    with django_assert_num_queries(1):
        assert resolve(asked).kind == "api_key"
    assert not asked.session.accessed


def test_a_key_is_refused_with_the_reason(user: Any, rejections: list[str]) -> None:
    now = timezone.now()
    revoked, expired, orphaned = issue(), issue(), issue(owner=user)
    ApiKey.objects.filter(owner=None).update(created_at=now - timedelta(days=9))
    ApiKey.objects.filter(prefix=revoked[4:12]).update(revoked_at=now)
    ApiKey.objects.filter(prefix=expired[4:12]).update(expires_at=now)
    get_user_model().objects.update(is_active=False)
    for text in (revoked, expired, orphaned, new_key()):
        asked = request(HTTP_X_API_KEY=text)
        assert resolve(asked) == ANONYMOUS
        assert asked.api_key is None
    assert rejections == ["revoked", "expired", "inactive_owner", "unknown"]


def test_a_key_that_is_none_costs_no_query(
    db: None, rejections: list[str], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    key = new_key()
    other_last = "a" if key[-1] != "a" else "b"
    with django_assert_num_queries(0):
        for text in (key[:-1] + other_last, "a password", f"{key},{key}", "\x00" * 8192, key * 200, "schlüssel"):
            assert resolve(request(HTTP_X_API_KEY=text)) == ANONYMOUS
        assert resolve(request(HTTP_AUTHORIZATION="Bearer ")) == ANONYMOUS
    assert rejections == ["checksum"] + ["malformed"] * 6


def test_no_key_no_rejection(rejections: list[str]) -> None:
    resolve(request())
    resolve(request(HTTP_X_API_KEY=""))
    resolve(request(HTTP_AUTHORIZATION="Basic YTpi"))
    assert rejections == []


def test_a_key_of_a_tier_that_is_no_more_has_that_of_every_key(db: None, settings: Settings) -> None:
    settings.RATELIMIT_TIERS = {"gold": {"limit": 9}}
    text = issue(tier="gold")
    assert resolve(request(HTTP_X_API_KEY=text)).tier == "gold"
    settings.RATELIMIT_TIERS = {}
    assert resolve(request(HTTP_X_API_KEY=text)).tier == "api_key"


# --- addresses that guess ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_after_ten_failures_a_minute_unknown_keys_are_not_looked_up(
    rejections: list[str], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(FAILED_LOOKUPS.requests):
        resolve(request(HTTP_X_API_KEY=new_key()))
    with django_assert_num_queries(0):
        assert resolve(request(HTTP_X_API_KEY=new_key())) == ANONYMOUS
    assert rejections == ["unknown"] * 10 + ["too_many"]


@pytest.mark.django_db
def test_another_address_is_not_held_to_account() -> None:
    for _ in range(FAILED_LOOKUPS.requests):
        resolve(request(HTTP_X_API_KEY=new_key()))
    text = issue()
    assert resolve(request(HTTP_X_API_KEY=text, REMOTE_ADDR="203.0.113.10")).kind == "api_key"
    assert resolve(request(HTTP_X_API_KEY=text)).kind == "address"


@pytest.mark.django_db
def test_good_keys_cost_an_address_nothing() -> None:
    for _ in range(3 * FAILED_LOOKUPS.requests):
        assert resolve(request(HTTP_X_API_KEY=issue())).kind == "api_key"


# --- users ------------------------------------------------------------------------------------------------------------


def test_who_is_signed_in_is_a_user(user: Any) -> None:
    identity = resolve(request_with_session(session_of(user)))
    assert (identity.kind, identity.tier) == ("user", "api_key")
    assert identity == resolve(request_of(user))


def test_a_user_has_the_tier_that_is_assigned(user: Any) -> None:
    TierAssignment.objects.create(user=user, tier="premium")
    assert resolve(request_of(user)).tier == "premium"


def test_a_superuser_is_an_admin_whatever_is_assigned(
    user: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    TierAssignment.objects.create(user=user, tier="premium")
    user.is_superuser = True
    with django_assert_num_queries(0):
        assert resolve(request_of(user)).tier == "admin"


def test_a_bad_key_takes_nothing_from_a_signed_in_user(user: Any, rejections: list[str]) -> None:
    asked = request_of(user)
    asked.META["HTTP_X_API_KEY"] = "made up"
    assert resolve(asked).kind == "user"
    assert rejections == ["malformed"]


def test_a_visitor_without_session_is_not_looked_into() -> None:
    asked = request_with_session(None)
    assert resolve(asked) == ANONYMOUS
    assert not asked.session.accessed  # else every page would vary by cookie


def test_a_visitor_with_a_session_may_be_nobody(db: None) -> None:
    session = SessionStore()
    session["basket"] = 1
    session.save()
    assert resolve(request_with_session(session.session_key)) == ANONYMOUS


@pytest.mark.parametrize("nobody", [None, AnonymousUser(), SimpleLazyObject(AnonymousUser)])
def test_nobody_is_no_user(nobody: Any) -> None:
    assert resolve(request_of(nobody)) == ANONYMOUS


def test_a_user_of_another_kind_has_what_every_user_has(
    db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    class Robot:
        is_authenticated = True
        pk = "robot"

    with django_assert_num_queries(0):
        assert resolve(request_of(Robot())).tier == "api_key"


def test_an_error_of_the_session_store_is_not_the_requests_end(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Any:
        raise OperationalError("password=hunter2")

    for _ in range(3):
        assert resolve(request_of(SimpleLazyObject(broken))) == ANONYMOUS
    assert [record.getMessage() for record in caplog.records if record.name.startswith("ratelimit")] == [
        "Who is signed in cannot be read (OperationalError): the address counts."
    ]


# --- asynchronously ---------------------------------------------------------------------------------------------------


def test_the_event_loop_gets_the_same_identities(user: Any) -> None:
    TierAssignment.objects.create(user=user, tier="premium")
    for asked in (request(), request(HTTP_X_API_KEY=issue()), request(HTTP_X_API_KEY=new_key()), request_of(user)):
        expected = resolve(asked)
        del asked.api_key
        assert async_to_sync(aresolve)(asked) == expected
        assert asked.api_key == expected.key


def test_the_event_loop_reads_the_user_once() -> None:
    asked, read = request_with_session("a session"), []

    async def auser() -> Any:
        read.append(1)
        return get_user_model()(pk=7, is_superuser=True)

    asked.auser = auser
    assert async_to_sync(aresolve)(asked).tier == "admin"
    assert (asked.user.pk, read) == (7, [1])  # a synchronous view finds it read


def test_a_user_without_auser_is_read_in_a_thread(db: None) -> None:
    asked = request_of(SimpleLazyObject(lambda: get_user_model()(pk=7, is_superuser=True)))
    assert async_to_sync(aresolve)(asked).tier == "admin"


def test_an_error_of_auser_is_not_the_requests_end() -> None:
    asked = request_with_session("a session")

    async def broken() -> Any:
        raise OperationalError

    asked.auser = broken
    assert async_to_sync(aresolve)(asked) == ANONYMOUS


def test_a_visitor_costs_the_event_loop_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "sync_to_async", None)
    assert async_to_sync(aresolve)(request_with_session(None)) == ANONYMOUS


# --- what nobody is told ----------------------------------------------------------------------------------------------


def test_signals_and_logs_carry_none_of_twelve_secrets(
    user: Any, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings.RATELIMIT_SECRET = "secret-of-the-buckets"
    settings.RATELIMIT_TRUSTED_PROXIES = ["10.0.0.0/8"]
    user.username = "ada-lovelace"
    user.save()
    good, unknown, revoked = issue(name="name-of-the-key", owner=user), new_key(), issue()
    ApiKey.objects.filter(prefix=revoked[4:12]).update(revoked_at=timezone.now())
    secrets = {
        "secret-of-the-buckets": request(),
        good[4:]: request(HTTP_X_API_KEY=good),
        unknown[4:]: request(HTTP_X_API_KEY=unknown),
        revoked[4:]: request(HTTP_AUTHORIZATION=f"Bearer {revoked}"),
        "mistyped": request(HTTP_X_API_KEY="shk_mistyped" + "0" * 30),
        "password": request(HTTP_AUTHORIZATION="Bearer password"),
        "203.0.113.77": request(REMOTE_ADDR="203.0.113.77", HTTP_X_API_KEY="?"),
        "2001:db8:77": request(REMOTE_ADDR="2001:db8:77::1", HTTP_X_API_KEY="?"),
        "198.51.100.77": request(REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="198.51.100.77", HTTP_X_API_KEY="?"),
        "ada-lovelace": request_of(user),
        "name-of-the-key": request(HTTP_X_API_KEY=good),
        "hunter2": request_of(SimpleLazyObject(lambda: (_ for _ in ()).throw(OperationalError("hunter2")))),
    }
    told: list[str] = []

    def listen(**arguments: Any) -> None:
        told.append(repr(arguments))

    identity_rejected.connect(listen)
    identities: list[Identity] = [resolve(asked) for asked in secrets.values()]
    identity_rejected.disconnect(listen)
    heard = "\n".join([*told, caplog.text, *(identity.digest for identity in identities)])
    assert len(told) == 7
    assert len(secrets) == 12
    assert not [secret for secret in secrets if secret in heard]


def test_a_listener_that_fails_does_not_reach_the_request(caplog: pytest.LogCaptureFixture) -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError

    identity_rejected.connect(broken)
    try:
        assert resolve(request(HTTP_X_API_KEY="?")) == ANONYMOUS
    finally:
        identity_rejected.disconnect(broken)


def test_every_view_finds_the_attribute() -> None:
    asked = HttpRequest()
    resolve(asked)
    assert asked.api_key is None  # type: ignore[attr-defined]  # the attribute under test
