"""Which address a request comes from: only what trusted proxies wrote counts, and nothing a client writes matters."""

from __future__ import annotations

import time
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit.proxies import UNKNOWN, TrustedProxies, client_address

NOBODY = TrustedProxies()
NETWORKS = ["10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.7"]
PROXIES = TrustedProxies.parse(NETWORKS)
PROXIES_OF_RFC_7239 = TrustedProxies.parse(NETWORKS, "Forwarded")
PROXY = "10.0.0.1"
CLIENT = "203.0.113.9"
JUNK = [
    "",
    "unknown",
    "_hidden",
    "_gazonk",
    "300.1.2.3",
    "1.2.3",
    "01.2.3.4",
    "\x00",
    "é",
    "1.2.3.4:port",
    "[::1",
    "::1]",
]


def behind_proxy(forwarded_for: str = "", *, forwarded: str | None = None) -> str:
    """By X-Forwarded-For or, where that is given, by Forwarded."""
    if forwarded is not None:
        return client_address(PROXY, forwarded, PROXIES_OF_RFC_7239)
    return client_address(PROXY, forwarded_for, PROXIES)


# --- whom to believe --------------------------------------------------------------------------------------------------


def test_without_trusted_proxies_no_header_is_read() -> None:
    assert client_address(CLIENT, "198.51.100.1", NOBODY) == CLIENT
    assert NOBODY.header_in_environ == TrustedProxies.parse([], "Forwarded").header_in_environ == ""


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ("X-Forwarded-For", "HTTP_X_FORWARDED_FOR"),
        ("x-forwarded-for", "HTTP_X_FORWARDED_FOR"),
        ("Forwarded", "HTTP_FORWARDED"),
        ("X-Real-IP", ""),
    ],
)
def test_the_header_that_the_proxies_write_is_read(header: str, read: str) -> None:
    assert TrustedProxies.parse(["unix"], header).header_in_environ == read
    assert TrustedProxies.parse(NETWORKS, header).header_in_environ == read


def test_a_header_that_nobody_knows_is_not_believed() -> None:
    assert client_address(PROXY, CLIENT, TrustedProxies.parse(NETWORKS, "X-Real-IP")) == PROXY


def test_an_untrusted_peer_is_the_client_whatever_it_writes() -> None:
    assert client_address(CLIENT, "198.51.100.1", PROXIES) == CLIENT


def test_a_trusted_peer_tells_the_client() -> None:
    assert behind_proxy(CLIENT) == CLIENT
    assert behind_proxy(forwarded=f"for={CLIENT}") == CLIENT


def test_what_the_client_wrote_stands_to_the_left_and_is_not_read() -> None:
    assert behind_proxy(f"198.51.100.1, 10.9.9.9, {CLIENT}") == CLIENT
    assert behind_proxy(forwarded=f'for=198.51.100.1, for="10.9.9.9", for={CLIENT}') == CLIENT


def test_the_walk_goes_past_trusted_hops() -> None:
    assert behind_proxy(f"198.51.100.1, {CLIENT}, 192.0.2.7, [2001:db8:ffff::9]:443") == CLIENT
    assert behind_proxy(forwarded=f'for={CLIENT};proto=https, for=192.0.2.7, For="[2001:db8:ffff::9]:443"') == CLIENT


def test_where_every_hop_is_trusted_the_farthest_one_asks() -> None:
    assert behind_proxy("10.0.0.3, 10.0.0.2") == "10.0.0.3"
    assert behind_proxy(forwarded="for=10.0.0.3, for=10.0.0.2") == "10.0.0.3"


@pytest.mark.parametrize("junk", JUNK)
def test_junk_ends_the_walk_at_the_last_hop_that_was_believed(junk: str) -> None:
    assert behind_proxy(f"{CLIENT}, {junk}, 10.0.0.2") == "10.0.0.2"
    assert behind_proxy(f"{CLIENT}, {junk}") == PROXY
    assert behind_proxy(forwarded=f'for={CLIENT}, for="{junk}", for=10.0.0.2') == "10.0.0.2"


def test_an_empty_last_hop_is_junk() -> None:
    assert behind_proxy(f"{CLIENT},") == PROXY
    assert behind_proxy(forwarded=f"for={CLIENT}, ") == PROXY


def test_no_more_than_32_hops_are_walked() -> None:
    assert behind_proxy(", ".join([CLIENT, *["10.0.0.2"] * 31])) == CLIENT
    assert behind_proxy(", ".join([CLIENT, *["10.0.0.2"] * 32])) == "10.0.0.2"


# --- Unix sockets -----------------------------------------------------------------------------------------------------


def test_a_unix_socket_has_no_address_and_is_not_believed_by_default() -> None:
    assert client_address("", CLIENT, PROXIES) == UNKNOWN


def test_a_trusted_unix_socket_tells_the_client() -> None:
    trusted = TrustedProxies.parse(["unix"])
    assert client_address("", f"198.51.100.1, {CLIENT}", trusted) == CLIENT
    assert client_address("", "junk", trusted) == UNKNOWN
    assert client_address(CLIENT, "198.51.100.1", trusted) == CLIENT


def test_a_peer_that_is_no_address_is_never_trusted() -> None:
    everybody = TrustedProxies.parse(["0.0.0.0/0", "::/0", "unix"])
    assert client_address("junk", CLIENT, everybody) == UNKNOWN


# --- one client, one text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9\t", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("203.0.113.9:_secret", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:80", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::/64"),
        ("[2001:db8::1]", "2001:db8::/64"),
        ("[2001:db8::ffff:1]:4711", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_all_ways_to_write_an_address_are_one_client(written: str, address: str) -> None:
    assert behind_proxy(f"198.51.100.1, {written}") == address
    assert behind_proxy(forwarded=f'for=198.51.100.1;by=x, by=y ;for="{written}"; proto=https') == address


@pytest.mark.parametrize(
    "junk", ["[203.0.113.9]", "[::1]x", "[::1]:", "203.0.113.9:", "203.0.113.9:123456", "1:2", ":"]
)
def test_what_only_looks_like_an_address_is_junk(junk: str) -> None:
    assert behind_proxy(junk) == PROXY


def test_ipv6_clients_are_grouped_by_the_prefix_that_is_set() -> None:
    def grouped(prefix: int) -> str:
        return client_address("2001:db8:1:2:3:4:5:6", "", NOBODY, prefix)

    assert grouped(128) == "2001:db8:1:2:3:4:5:6"
    assert grouped(56) == "2001:db8:1::/56"
    assert grouped(48) == "2001:db8:1::/48"
    assert grouped(0) == "::/0"


def test_a_mapped_address_of_a_trusted_proxy_is_trusted() -> None:
    assert client_address("::ffff:10.0.0.1", CLIENT, PROXIES) == CLIENT


def test_a_zone_makes_no_other_client() -> None:
    assert client_address("fe80::1%a", "", NOBODY, 128) == client_address("fe80::1%b", "", NOBODY, 128)


# --- RFC 7239 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "element",
    [
        f"for={CLIENT}",
        f"FOR={CLIENT}",
        f'for="{CLIENT}"',
        f'for="{CLIENT}:4711";by=10.0.0.1',
        f"proto=http;by=203.0.113.43;for={CLIENT}",
        f"for={CLIENT};",
        f';;for={CLIENT};secret="a, b; for=198.51.100.1"',
        f'for={CLIENT};note="say \\"for=198.51.100.1\\""',
        'for="203.0.113\\.9"',
    ],
)
def test_an_element_of_forwarded_is_read_as_the_rfc_says(element: str) -> None:
    assert behind_proxy(forwarded=f"for=198.51.100.1, {element}") == CLIENT


@pytest.mark.parametrize(
    "element",
    [
        "by=10.0.0.2",
        "for=",
        "for",
        f"for={CLIENT};for=198.51.100.1",
        f"for={CLIENT} 198.51.100.1",
        f'for="{CLIENT}',
        "=;=",
    ],
)
def test_an_element_that_does_not_name_one_hop_is_junk(element: str) -> None:
    assert behind_proxy(forwarded=f"for=198.51.100.1, {element}") == PROXY


def test_an_open_quote_on_the_clients_side_swallows_nothing() -> None:
    assert behind_proxy(forwarded=f'for="198.51.100.1, for={CLIENT}') == CLIENT
    assert behind_proxy(forwarded=f'for="\\, for={CLIENT}') == CLIENT


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "proxy.example", "", "10.0.0.0/33"])
def test_a_network_that_is_none_is_told(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|has host bits"):
        TrustedProxies.parse([wrong])


# --- anything at all --------------------------------------------------------------------------------------------------

hop_texts = st.one_of(
    st.ip_addresses().map(str), st.text(max_size=40), st.sampled_from([*JUNK, '"', "\\", ",", ";", "for=", "=", "unix"])
)
header_texts = st.one_of(st.text(max_size=300), st.lists(hop_texts, max_size=12).map(", ".join))


@given(header_texts)
def test_no_header_moves_an_untrusted_peer(written: str) -> None:
    assert client_address(CLIENT, written, PROXIES) == CLIENT
    assert client_address(CLIENT, written, PROXIES_OF_RFC_7239) == CLIENT


@given(header_texts)
def test_nothing_left_of_the_proxys_own_entry_matters(written: str) -> None:
    assert behind_proxy(f"{written}, {CLIENT}") == CLIENT
    assert behind_proxy(forwarded=f"{written}, for={CLIENT}") == CLIENT
    assert behind_proxy(forwarded=f'{written}, for="{CLIENT}:80";proto=https') == CLIENT


@given(header_texts, st.sampled_from(["X-Forwarded-For", "Forwarded"]), st.text(max_size=60), st.integers(-5, 200))
def test_whatever_is_written_the_answer_is_an_address_or_unknown(
    written: str, header: str, remote_addr: str, prefix: int
) -> None:
    everybody = TrustedProxies.parse(["0.0.0.0/0", "::/0", "unix"], header)
    answer = client_address(remote_addr, written, everybody, prefix)
    if answer != UNKNOWN:
        ip_address(answer.partition("/")[0])


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_two_addresses_of_one_64_are_one_client(address: IPv6Address, other: int) -> None:
    neighbour = IPv6Address(int(address) >> 64 << 64 | other)
    if address.ipv4_mapped is None and neighbour.ipv4_mapped is None:
        assert client_address(str(address), "", NOBODY) == client_address(str(neighbour), "", NOBODY)


@given(st.ip_addresses(v=4))
def test_ipv4_clients_are_told_apart(address: IPv4Address) -> None:
    assert client_address(str(address), "", NOBODY) == str(address)
    assert client_address(f"::ffff:{address}", "", NOBODY) == str(address)


@pytest.mark.parametrize(
    "filler", ["10.0.0.2,", ",", " ", '"', "for=10.0.0.2,", 'for="', ";", "a=b;", 'x="', "\\", '\\"', "[", ":", "\t;\t"]
)
def test_8_kb_of_anything_are_read_in_no_time(filler: str) -> None:
    text = filler * (8192 // len(filler))
    random = Random(8192)  # noqa: S311 - makes a mess, guards nothing
    mess = "".join(random.sample(text, len(text)))
    began = time.perf_counter()
    for header in (text, f"for={CLIENT}, {text}", f"{text}, for={CLIENT}", mess):
        behind_proxy(header)
        behind_proxy(forwarded=header)
    assert time.perf_counter() - began < 0.1
