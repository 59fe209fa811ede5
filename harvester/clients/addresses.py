"""The guard before the door: takes a URL apart and says which addresses may be connected to for it."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote, urlsplit

from harvester.errors import FetchError, FetchFailure

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_URL_CHARACTERS = 8000  # RFC 9110, 4.1 asks everybody to support at least this much; longer ones are accidents
MAX_HOST_CHARACTERS = 253  # RFC 1035, 2.3.4, written with dots

Resolver = Callable[[str, int], Sequence[str]]
"""(host name, port) → its addresses in the order to try them; raises OSError when the name cannot be resolved."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where one request goes: a URL that was understood, without its fragment.

    ``host`` is as written, in lower case and ASCII, IPv6 in brackets. ``path`` is what the request line asks for: path
    and query, percent-encoded.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host, and the port where it is not the scheme's own, as the Host header wants it."""
        return self.host if self.port == DEFAULT_PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """What must stay equal for two requests to share secrets (RFC 6454)."""
        return self.scheme, self.host, self.port

    @property
    def server_name(self) -> str:
        """The name a certificate must bear: no brackets, no dot at the end."""
        return self.host.strip("[]").rstrip(".")

    @property
    def literal(self) -> IPv4Address | IPv6Address | None:
        """The address, where the host is one and no name."""
        try:
            return ip_address(self.host.strip("[]"))
        except ValueError:
            return None


def parse(url: str) -> Target:
    """Take a URL apart; no network. Raises a permanent FetchError when nothing could ever be fetched from it."""
    if len(url) > MAX_URL_CHARACTERS:
        raise _unusable(f"it is longer than {MAX_URL_CHARACTERS} characters")
    if re.search(r"[\x00-\x20\x7f]", url):
        raise _unusable("it contains spaces or control characters")
    try:
        parts = urlsplit(url)
        path = quote(parts.path or "/", safe=_PATH_CHARACTERS)
        query = quote(parts.query, safe=_PATH_CHARACTERS + "?")
    except ValueError as error:  # brackets that are no IPv6 address, look-alike delimiters, lone surrogates
        raise _unusable("it is not written as a URL must be") from error
    if parts.scheme not in DEFAULT_PORTS:
        raise _refused("Only http:// and https:// URLs are fetched.")
    host, port = _host_and_port(parts.netloc)
    return Target(
        scheme=parts.scheme,
        host=host,
        port=DEFAULT_PORTS[parts.scheme] if port is None else port,
        path=f"{path}?{query}" if query else path,
    )


def permitted_addresses(
    target: Target, *, resolve: Resolver, allowed_private_hosts: Collection[str], timeout_seconds: float
) -> tuple[str, ...]:
    """The addresses that may be connected to for this target, in the order to try them; never empty.

    The name is resolved here and nowhere else, so what was judged is what is connected to. One address that is not
    public condemns the whole name, unless ``allowed_private_hosts`` has the host as ``host`` or ``host:port``.
    Raises FetchError: NAME_NOT_RESOLVED or ADDRESS_REFUSED.
    """
    literal = target.literal
    addresses = (str(literal),) if literal else _resolved(target, resolve, timeout_seconds)
    if not {target.host, f"{target.host}:{target.port}"} & {entry.lower() for entry in allowed_private_hosts}:
        for address in addresses:
            if not is_public(address):
                raise FetchError(
                    FetchFailure.ADDRESS_REFUSED,
                    f"{target.host} is not on the public internet ({address}), so it is not fetched; "
                    f"to allow it, add {target.host}:{target.port} to HARVESTER_ALLOWED_PRIVATE_HOSTS.",
                )
    return addresses


def is_public(address: str) -> bool:
    """Whether packets to this address leave for the public internet.

    An IPv4 address wrapped in an IPv6 one (mapped, 6to4, Teredo, NAT64) decides for its wrapper. Raises ValueError
    for what is no address.
    """
    ip = ip_address(address)
    if isinstance(ip, IPv4Address):
        return _is_public_v4(ip)
    wrapped = tuple(_wrapped_addresses(ip))
    if wrapped:
        return all(_is_public_v4(inner) for inner in wrapped)
    return ip in _GLOBAL_UNICAST_V6 and ip.is_global and not any(ip in block for block in _REFUSED_V6)


def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """What the system's resolver knows, in the order of RFC 6724."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


# --- URLs ----------------------------------------------------------------------------------------------------------

_PATH_CHARACTERS = "/%:@!$&'()*+,;=~[]"  # RFC 3986, 3.3, and brackets, which many servers want as they are
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]+)(?::(?P<port>[0-9]{0,5}))?")
_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")  # the WHATWG test for “this is an IPv4 address”


def _unusable(why: str) -> FetchError:
    return FetchError(FetchFailure.MALFORMED, f"The URL cannot be used: {why}.", permanent=True)


def _refused(why: str) -> FetchError:
    return FetchError(FetchFailure.ADDRESS_REFUSED, why, permanent=True)


def _host_and_port(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise _refused("The URL contains a user name or password (before an “@”), which is never sent; leave it out.")
    match = _AUTHORITY.fullmatch(authority)
    if not match:
        raise _unusable("it names no host" if not authority else "its host or port is not written as a URL must be")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 1 << 16:
        raise _unusable(f"there is no port {port}")
    host = match["host"]
    return (_ipv6_host(host) if host.startswith("[") else _name_or_ipv4(host)), port


def _ipv6_host(bracketed: str) -> str:
    if "%" in bracketed:
        raise _refused("The URL names a network interface of this machine (a zone, after “%”), which is not allowed.")
    try:
        IPv6Address(bracketed[1:-1])
    except ValueError as error:
        raise _unusable("what stands in brackets is no IPv6 address") from error
    return bracketed.lower()


def _name_or_ipv4(host: str) -> str:
    if len(host) > MAX_HOST_CHARACTERS:
        raise _unusable(f"its host is longer than {MAX_HOST_CHARACTERS} characters")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise _unusable("its host is no international domain name") from error
    host = host.lower()
    if len(host) > MAX_HOST_CHARACTERS or not _NAME.fullmatch(host):
        raise _unusable("its host is no domain name")
    if _ENDS_IN_NUMBER.fullmatch(host):
        try:
            IPv4Address(host)
        except ValueError as error:
            # 2130706433, 0x7f.1, 127.1 and 0177.0.0.1 are all 127.0.0.1 to some resolver. Nobody needs these forms.
            raise _refused(f"{host} is an unusual way to write an IPv4 address; write it as four numbers.") from error
    return host


# --- Addresses -----------------------------------------------------------------------------------------------------

_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")  # RFC 4291, 2.4: all that was ever handed out
_REFUSED_V6 = (
    IPv6Network("2001::/23"),  # protocol assignments (RFC 2928): anycast to the nearest gateway, benchmarks, ORCHID
    IPv6Network("3fff::/20"),  # documentation (RFC 9637), which the standard library learnt late
)
_REFUSED_V4 = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments (RFC 6890): 192.0.0.9 is the gateway's own control port
    IPv4Network("192.88.99.0/24"),  # the former 6to4 relays (RFC 7526)
    IPv4Network("168.63.129.16/32"),  # looks public, but is the platform's inside door on one large cloud
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052, 2.1
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")  # RFC 8215


def _is_public_v4(ip: IPv4Address) -> bool:
    return ip.is_global and not ip.is_multicast and not any(ip in block for block in _REFUSED_V4)


def _wrapped_addresses(ip: IPv6Address) -> Iterator[IPv4Address]:
    if ip.ipv4_mapped:
        yield ip.ipv4_mapped
    if ip.sixtofour:
        yield ip.sixtofour
    if ip.teredo:
        yield from ip.teredo  # the server and the client behind it
    if ip in _NAT64:
        yield IPv4Address(ip.packed[12:])
    if ip in _NAT64_LOCAL:
        yield from _local_nat64_readings(ip)


def _local_nat64_readings(ip: IPv6Address) -> Iterator[IPv4Address]:
    """RFC 6052, 2.2: where the IPv4 address stands depends on the prefix length, which only that network knows.

    So every reading counts, except those in 0.0.0.0/8, which are the zeros of another reading's prefix or suffix.
    """
    octets = ip.packed
    readings = [octets[6:8] + octets[9:11], octets[7:8] + octets[9:12], octets[9:13], octets[12:16]]
    meant = [IPv4Address(reading) for reading in readings if reading[0]]
    yield from meant or [IPv4Address(0)]


def _resolved(target: Target, resolve: Resolver, timeout_seconds: float) -> tuple[str, ...]:
    answer: Future[tuple[str, ...]] = Future()

    def ask() -> None:
        try:
            answer.set_result(tuple(resolve(target.host, target.port)))
        except (OSError, ValueError) as error:
            answer.set_exception(error)

    # The system's resolver cannot be interrupted; a daemon thread may be left behind, and does not keep the process.
    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        addresses = answer.result(timeout=timeout_seconds)
    except TimeoutError as error:
        raise _not_resolved(f"The name {target.host} was not resolved within {timeout_seconds:.3g} s.") from error
    except (OSError, ValueError) as error:
        raise _not_resolved(f"The name {target.host} cannot be resolved.") from error
    if not addresses:
        raise _not_resolved(f"The name {target.host} has no address.")
    return addresses


def _not_resolved(detail: str) -> FetchError:
    return FetchError(FetchFailure.NAME_NOT_RESOLVED, detail)
