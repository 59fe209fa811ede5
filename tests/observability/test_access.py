"""The page is read by whoever knows the token, or from near without a proxy; nobody else, whatever is sent."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observability.access import may_read
from observability.conf import conf

TOKEN = "a token of some length"
PROXY_HEADERS = (
    "HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_X_REAL_IP",
    "HTTP_VIA", "HTTP_CLIENT_IP", "HTTP_TRUE_CLIENT_IP", "HTTP_CF_CONNECTING_IP", "HTTP_X_ENVOY_EXTERNAL_ADDRESS",
)  # fmt: skip


def asked(peer: Any = "198.51.100.7", **meta: Any) -> bool:
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": peer, **meta}
    return may_read(request)


@pytest.fixture
def token(settings: Any) -> str:
    settings.OBSERVABILITY_TOKEN = TOKEN
    return TOKEN


# --- by address -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_loopback_may_read_without_any_setting(peer: str) -> None:
    assert asked(peer)


@pytest.mark.parametrize(
    "peer",
    [
        "198.51.100.7",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "fe80::1%eth0",
        "",
        None,
        "unix:",
        "127.0.0.1:80",
        b"\x7f\0\0\1",
        1,
    ],
)
def test_other_peers_may_not(peer: Any) -> None:
    assert not asked(peer)


def test_a_request_without_a_peer_may_not() -> None:
    assert not may_read(HttpRequest())


@pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::5"])
def test_the_named_networks_may(settings: Any, peer: str) -> None:
    settings.OBSERVABILITY_ALLOWED_NETWORKS = ["10.0.0.0/8", "2001:db8::/32"]
    assert asked(peer)
    assert not asked("127.0.0.1")


def test_no_networks_let_nobody_in(settings: Any) -> None:
    settings.OBSERVABILITY_ALLOWED_NETWORKS = []
    assert not asked("127.0.0.1")


@pytest.mark.parametrize("sent", ["127.0.0.1", ""])
@pytest.mark.parametrize("header", PROXY_HEADERS)
def test_what_a_proxy_has_passed_on_is_not_near_even_where_the_header_is_empty(header: str, sent: str) -> None:
    assert not asked("127.0.0.1", **{header: sent})


def test_networks_that_cannot_be_understood_leave_the_default(settings: Any) -> None:
    settings.OBSERVABILITY_ALLOWED_NETWORKS = ["the office"]
    conf.forget()
    assert asked("127.0.0.1")
    assert not asked("198.51.100.7")


# --- by token ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_token_opens_from_anywhere_in_any_case_of_its_scheme(token: str, scheme: str) -> None:
    assert asked(HTTP_AUTHORIZATION=f"{scheme} {token}")
    assert asked(HTTP_AUTHORIZATION=f"{scheme}  {token} ")


def test_the_token_opens_through_a_proxy(token: str) -> None:
    assert asked("127.0.0.1", HTTP_AUTHORIZATION=f"Bearer {token}", HTTP_X_FORWARDED_FOR="198.51.100.7")


@pytest.mark.parametrize(
    "sent",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN.upper()}", TOKEN,
     f"Basic {TOKEN}", f"Token {TOKEN}", f"Bearer{TOKEN}", f"Bearer\t{TOKEN}", f"Bearer, Bearer {TOKEN}", "Bearer ключ",
     "Bearer \ud800", "Bearer \x00", None, b"Bearer x"],
)  # fmt: skip
def test_nothing_else_does(token: str, sent: Any) -> None:
    assert not asked(HTTP_AUTHORIZATION=sent)


@pytest.mark.parametrize("sent", ["Bearer", "Bearer ", "Bearer  ", "bearer \t", "Bearer None"])
def test_an_empty_token_opens_to_nobody(settings: Any, sent: str) -> None:
    settings.OBSERVABILITY_TOKEN = ""
    assert not asked(HTTP_AUTHORIZATION=sent)


def test_a_token_beyond_ascii_is_compared_by_the_bytes_that_were_sent(settings: Any) -> None:
    settings.OBSERVABILITY_TOKEN = "schlüssel-ключ"
    assert asked(HTTP_AUTHORIZATION=f"Bearer {'schlüssel-ключ'.encode().decode('latin-1')}")
    assert not asked(HTTP_AUTHORIZATION="Bearer schlüssel-ключ")


def test_a_token_that_is_no_text_opens_to_nobody(settings: Any) -> None:
    settings.OBSERVABILITY_TOKEN = None
    conf.forget()
    assert not asked(HTTP_AUTHORIZATION="Bearer None")


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    authorization=st.one_of(st.text(), st.binary(), st.none(), st.text().map("Bearer {}".format)),
    peer=st.one_of(st.text(), st.binary(), st.none(), st.integers(), st.ip_addresses().map(str)),
    forwarded=st.text(),
)
def test_whatever_bytes_come_nothing_is_raised_and_nobody_is_let_in(
    token: str, authorization: Any, peer: Any, forwarded: str
) -> None:
    assert not asked(peer, HTTP_AUTHORIZATION=authorization, HTTP_X_FORWARDED_FOR=forwarded)
