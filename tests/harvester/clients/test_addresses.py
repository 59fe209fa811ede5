"""What the guard understands, permits and refuses."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.provisional import domains

from harvester.clients.addresses import Target, is_public, parse, permitted_addresses
from harvester.errors import FetchError, FetchFailure

PUBLIC = "93.184.216.34"


def permitted(url: str, *answers: str, allowed: tuple[str, ...] = ()) -> tuple[str, ...]:
    return permitted_addresses(
        parse(url), resolve=lambda _host, _port: answers, allowed_private_hosts=allowed, timeout_seconds=2
    )


# --- Addresses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "93.184.216.34",
        "2606:4700::1111",
        "2a00:1450:4001:800::200e",
        "::ffff:8.8.8.8",
        "2002:808:808::1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::8.8.8.8",
        "64:ff9b:1:808:8:800::",
        "64:ff9b:1:8:8:808::",
        "64:ff9b:1:0:8:808:800:0",
    ],
)
def test_a_public_address_is_public_in_every_wrapping(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104  an address to refuse, nothing is bound to it
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.9",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
    ],
)
def test_a_special_ipv4_address_is_refused_in_every_wrapping(address: str) -> None:
    high, low = (int.from_bytes(socket.inet_aton(address)[i : i + 2], "big") for i in (0, 2))
    inverted = f"{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}"
    for wrapped in (
        address,
        f"::ffff:{address}",  # mapped
        f"::{address}",  # compatible, the old form
        f"::ffff:0:{address}",  # translated
        f"2002:{high:x}:{low:x}::1",  # 6to4
        f"2001:0:808:808:0:0:{inverted}",  # Teredo, the client
        f"2001:0:{high:x}:{low:x}:0:0:f7f7:f7f7",  # Teredo, the server
        f"64:ff9b::{address}",  # NAT64
        f"64:ff9b:1::{address}",  # NAT64 of one network, with a /96
        f"64:ff9b:1:{high:x}:{low >> 8:x}:{(low & 255) << 8:x}::",  # with a /48
        f"64:ff9b:1:{high >> 8:x}:{high & 255:x}:{low:x}::",  # with a /56
        f"64:ff9b:1:0:{high >> 8:x}:{(high & 255) << 8 | low >> 8:x}:{(low & 255) << 8:x}:0",  # with a /64
    ):
        assert not is_public(wrapped), wrapped


@pytest.mark.parametrize(
    "address",
    [
        "::",
        "::1",
        "100::1",
        "2001:1::1",
        "2001:20::1",
        "2001:db8::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ],
)
def test_a_special_ipv6_address_is_refused(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_a_wrapped_address_is_as_public_as_the_one_inside(address: object) -> None:
    assert is_public(f"::ffff:{address}") == is_public(f"64:ff9b::{address}") == is_public(str(address))


# --- URLs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://example.com", Target("http", "example.com", 80, "/")),
        ("HTTPS://Example.COM:443/a", Target("https", "example.com", 443, "/a")),
        ("http://example.com:/a", Target("http", "example.com", 80, "/a")),
        ("http://example.com./a", Target("http", "example.com.", 80, "/a")),
        ("http://example.com:8080/a?b=c#d", Target("http", "example.com", 8080, "/a?b=c")),
        ("http://example.com?b=c", Target("http", "example.com", 80, "/?b=c")),
        ("http://example.com//a//b", Target("http", "example.com", 80, "//a//b")),
        ("http://example.com/ä?ö=%20", Target("http", "example.com", 80, "/%C3%A4?%C3%B6=%20")),
        (
            "http://example.com/?q=cat:cs.AI+AND+all:%22x%22",
            Target("http", "example.com", 80, "/?q=cat:cs.AI+AND+all:%22x%22"),
        ),
        ("http://my_host-1.internal/", Target("http", "my_host-1.internal", 80, "/")),
        ("http://bücher.example/", Target("http", "xn--bcher-kva.example", 80, "/")),
        ("http://1.2.3.4:5/", Target("http", "1.2.3.4", 5, "/")),
        ("http://[2606:4700::AB]:8080/", Target("http", "[2606:4700::ab]", 8080, "/")),
    ],
)
def test_a_url_is_taken_apart(url: str, target: Target) -> None:
    assert parse(url) == target


def test_a_target_knows_what_the_protocols_want_of_it() -> None:
    target = parse("https://[2606:4700::1]:8443/a?b")
    assert target.authority == "[2606:4700::1]:8443"
    assert target.url == "https://[2606:4700::1]:8443/a?b"
    assert target.server_name == "2606:4700::1"
    assert parse("https://example.com.:443/").authority == "example.com."
    assert parse("https://example.com.:443/").server_name == "example.com"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "http:",
        "http://",
        "http:///path",
        "http://:80/",
        "http://exa mple.com/",
        "http://example.com/a b",
        "http://example.com/\r\nX-Injected: yes",
        "http://example.com\r\n/",
        "\thttp://example.com/",
        "http://example.com/\x00",
        "http://example.com:99999/",
        "http://example.com:0/",
        "http://example.com:-1/",
        "http://example.com:80:80/",
        "http://example.com:٨٠/",
        "http://example..com/",
        "http://.example.com/",
        "http://exam%70le.com/",
        "http://%31%32%37.0.0.1/",
        "http://example.com\\@127.0.0.1/",
        "http://[::1/",
        "http://::1/",
        "http://[::1]x/",
        "http://[v1.x]/",
        "http://[example.com]/",
        "http://" + "a" * 64 + ".com/",
        "http://" + "a." * 127 + "com/",
        "http://" + "ä" * 64 + ".com/",
        "http://ex℀mple.com/",
        "http://example.com/\ud800",
        "http://example.com/" + "a" * 10_000,
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://example.com/",
        "javascript:alert(1)",
        "unix:/var/run/x.sock",
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://@example.com/",
        "http://example.com@127.0.0.1/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
    ],
)
def test_rubbish_is_refused_for_good_and_without_repeating_it(url: str) -> None:
    with pytest.raises(FetchError) as caught:
        parse(url)
    assert caught.value.reason in {FetchFailure.MALFORMED, FetchFailure.ADDRESS_REFUSED}
    assert caught.value.permanent
    assert "secret" not in caught.value.detail
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "0",
        "0x",
        "1.2.3.4.5",
        "a.1",
        "017700000001",
        "1２7.0.0.1.",
        "127。0。0。1。",
        "999.1.1.1",
        "①②⑦.1",
    ],
)
def test_an_odd_way_to_write_an_address_is_refused(host: str) -> None:
    with pytest.raises(FetchError) as caught:
        parse(f"http://{host}/")
    assert caught.value.reason == FetchFailure.ADDRESS_REFUSED


def test_an_address_in_other_digits_is_judged_as_what_it_is() -> None:
    assert parse("http://１２７。0。0。1/").host == "127.0.0.1"


@given(
    st.one_of(
        st.text(),
        st.text().map("http://".__add__),
        st.builds(
            "{}://{}{}{}{}".format,
            st.sampled_from(["http", "https", "HTTP", "ftp", "", "http:"]),
            st.sampled_from(["", "user@", "u:p@", "\\", "[", "//"]),
            st.one_of(
                st.text(max_size=80), domains(), st.ip_addresses().map(str), st.ip_addresses(v=6).map("[{}]".format)
            ),
            st.sampled_from(["", ":", ":0", ":80", ":65536", ":x", ":٣", "]", "%25"]),
            st.text().map("/".__add__),
        ),
    )
)
def test_any_text_is_understood_or_refused(url: str) -> None:
    try:
        target = parse(url)
    except FetchError:
        return
    assert target.url.isascii()
    assert not set(target.url) & set(" \r\n\t\0")
    assert parse(target.url) == target


# --- Names ---------------------------------------------------------------------------------------------------------


def test_a_public_name_is_permitted_with_all_its_addresses_in_order() -> None:
    assert permitted("http://example.com/", "2606:4700::1", PUBLIC) == ("2606:4700::1", PUBLIC)


def test_one_private_address_condemns_the_name() -> None:
    with pytest.raises(FetchError) as caught:
        permitted("http://rebinding.example/", PUBLIC, "10.0.0.7")
    assert caught.value.reason == FetchFailure.ADDRESS_REFUSED
    assert "rebinding.example" in caught.value.detail
    assert "HARVESTER_ALLOWED_PRIVATE_HOSTS" in caught.value.detail


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://[::1]/", "http://[::ffff:10.0.0.1]/", "http://169.254.169.254/"]
)
def test_a_private_address_is_refused_without_asking_the_resolver(url: str) -> None:
    with pytest.raises(FetchError) as caught:
        permitted_addresses(parse(url), resolve=_fail_test, allowed_private_hosts=(), timeout_seconds=1)
    assert caught.value.reason == FetchFailure.ADDRESS_REFUSED


def _fail_test(host: str, port: int) -> tuple[str, ...]:
    raise AssertionError(f"{host} was resolved")


@pytest.mark.parametrize(
    ("url", "allowed", "permits"),
    [
        ("http://localhost/", "localhost", True),
        ("http://LOCALHOST:8080/", "localhost", True),
        ("http://localhost:8080/", "localhost:8080", True),
        ("http://localhost:8080/", "LocalHost:8080", True),
        ("http://localhost/", "localhost:80", True),
        ("https://localhost/", "localhost:80", False),
        ("http://localhost:8081/", "localhost:8080", False),
        ("http://localhost./", "localhost", False),
        ("http://sub.localhost/", "localhost", False),
        ("http://[::1]/", "[::1]", True),
        ("http://[::1]:9/", "[::1]:9", True),
        ("http://[::1]:9/", "::1", False),
        ("http://127.0.0.1:9/", "127.0.0.1", True),
        ("http://127.0.0.2/", "127.0.0.1", False),
    ],
)
def test_a_private_host_must_be_allowed_as_it_is_written(url: str, allowed: str, permits: bool) -> None:
    if permits:
        assert permitted(url, "127.0.0.1", allowed=(allowed,))
    else:
        with pytest.raises(FetchError):
            permitted(url, "127.0.0.1", allowed=(allowed,))


def test_a_name_that_does_not_exist_is_told_apart() -> None:
    def unknown(host: str, port: int) -> tuple[str, ...]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(FetchError, match=r"nowhere\.example") as caught:
        permitted_addresses(
            parse("http://nowhere.example"), resolve=unknown, allowed_private_hosts=(), timeout_seconds=1
        )
    assert caught.value.reason == FetchFailure.NAME_NOT_RESOLVED
    assert not caught.value.permanent


def test_a_name_without_addresses_is_not_resolved() -> None:
    with pytest.raises(FetchError) as caught:
        permitted("http://empty.example/")
    assert caught.value.reason == FetchFailure.NAME_NOT_RESOLVED


def test_a_hanging_resolver_is_not_waited_for() -> None:
    release = threading.Event()

    def hang(host: str, port: int) -> tuple[str, ...]:
        release.wait(10)
        return (PUBLIC,)

    began = time.monotonic()
    with pytest.raises(FetchError) as caught:
        permitted_addresses(parse("http://slow.example"), resolve=hang, allowed_private_hosts=(), timeout_seconds=0.1)
    release.set()
    assert caught.value.reason == FetchFailure.NAME_NOT_RESOLVED
    assert time.monotonic() - began < 1
