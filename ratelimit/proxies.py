"""Which address a request comes from, when some of it was written by proxies we trust and some by anybody at all.

Only REMOTE_ADDR is a fact. Where it belongs to a trusted proxy, what that proxy says of the hop before it is believed,
and so on from the right, until a hop is not trusted: that one is the client. Everything left of it is the client's own
writing and is never looked at. Where a trusted hop says something unreadable the walk ends at that hop, so that nothing
a client writes chooses a bucket.

One header is read, the one that the proxies write. A proxy passes on those it does not write as the client wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

UNKNOWN = ""
"""The address of whoever has none: a server on a Unix socket whose peer is not trusted."""
UNIX_SOCKET = "unix"
"""Among the trusted proxies: the peer of a server that listens on a Unix socket and so has no REMOTE_ADDR."""
X_FORWARDED_FOR = "x-forwarded-for"
FORWARDED = "forwarded"
"""RFC 7239."""

_IN_ENVIRON = {X_FORWARDED_FOR: "HTTP_X_FORWARDED_FOR", FORWARDED: "HTTP_FORWARDED"}
_MOST_HOPS = 32
_LONGEST_NODE = 100  # an IPv6 address has at most 45 characters; a port or an obfuscated one may follow
_PORT = re.compile(r"[0-9]{1,5}|_[A-Za-z0-9._-]+", re.ASCII)
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]"
# RFC 7239, section 4, with unquoted values taken as widely as they are found (addresses with ports, bare IPv6). The
# quantifiers are possessive: nothing is read twice, however long.
_PAIR = re.compile(rf'[ \t]*+(?:({_NAME}++)=("(?:[^"\\]|\\.)*+"|[^\s";,]++))?+[ \t]*+(?:;|$)')
_ESCAPED = re.compile(r"\\(.)")

_Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks whose word is taken, parsed once, and the header in which they give it."""

    networks: tuple[tuple[int, int, int], ...] = ()
    """IP version, mask, masked address."""
    unix_socket: bool = False
    header: str = X_FORWARDED_FOR

    @classmethod
    def parse(cls, networks: Iterable[str], header: str = X_FORWARDED_FOR) -> TrustedProxies:
        """CIDRs, single addresses, or ``unix``; the header in any case. Raises ValueError for what is no network.

        A header other than X-Forwarded-For and Forwarded is never read.
        """
        names = [name.strip() for name in networks]
        parsed = (ip_network(name) for name in names if name != UNIX_SOCKET)
        return cls(
            tuple((network.version, int(network.netmask), int(network.network_address)) for network in parsed),
            UNIX_SOCKET in names,
            header.lower(),
        )

    @property
    def header_in_environ(self) -> str:
        """What the header is called in a WSGI environ; empty where none is to be read."""
        trusts_any = bool(self.networks) or self.unix_socket
        return _IN_ENVIRON.get(self.header, "") if trusts_any else ""

    def __contains__(self, address: _Address | None) -> bool:
        if address is None:
            return False
        number = int(address)
        return any(version == address.version and number & mask == network for version, mask, network in self.networks)


def client_address(remote_addr: str, said: str, proxies: TrustedProxies, ipv6_prefix: int = 64) -> str:
    """The client's address as one canonical text: ``192.0.2.1``, ``2001:db8::/64``, or UNKNOWN. Never raises.

    ``remote_addr`` is what the server saw, empty on a Unix socket; ``said`` is the value of ``proxies.header``, empty
    where absent. IPv4-mapped addresses are IPv4; IPv6 addresses are grouped by their first ``ipv6_prefix`` bits.
    """
    peer = _address(remote_addr)
    last_hop = _LAST_HOP.get(proxies.header)
    if said and last_hop and (peer in proxies or (not remote_addr and proxies.unix_socket)):
        peer = _walk(peer, said, last_hop, proxies)
    return _canonical(peer, ipv6_prefix)


def _walk(
    peer: _Address | None, said: str, last_hop: Callable[[str], tuple[_Address | None, str]], proxies: TrustedProxies
) -> _Address | None:
    for _ in range(_MOST_HOPS):
        hop, said = last_hop(said)
        if hop is None:
            break
        peer = hop
        if not said or peer not in proxies:
            break
    return peer


def _last_listed(header: str) -> tuple[_Address | None, str]:
    """X-Forwarded-For's rightmost hop, and what is left of it."""
    rest, _, node = header.rpartition(",")
    return _node(node), rest


def _last_element(header: str) -> tuple[_Address | None, str]:
    """Forwarded's rightmost hop, and what is left of it. A comma inside quotes does not part elements."""
    rest, _, element = header.rpartition(",")
    while rest and element.count('"') % 2 and len(element) <= 10 * _LONGEST_NODE:
        rest, _, before = rest.rpartition(",")
        element = f"{before},{element}"
    nodes = []
    position = 0
    while position < len(element):
        pair = _PAIR.match(element, position)
        if pair is None:
            return None, rest
        if pair[1] and pair[1].lower() == "for":
            nodes.append(pair[2])
        position = pair.end()
    if len(nodes) != 1:
        return None, rest
    node = nodes[0]
    return _node(_ESCAPED.sub(r"\1", node[1:-1]) if node.startswith('"') else node), rest


_LAST_HOP = {X_FORWARDED_FOR: _last_listed, FORWARDED: _last_element}


def _node(text: str) -> _Address | None:
    """An address with or without brackets and port; None for ``unknown``, obfuscated names and junk."""
    text = text.strip(" \t")
    if len(text) > _LONGEST_NODE:
        return None
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or ":" not in text or (port and not (port[0] == ":" and _PORT.fullmatch(port[1:]))):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _PORT.fullmatch(port):
            return None
    return _address(text)


def _address(text: str) -> _Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        # a zone is the writer's own affair (RFC 4007) and must not make another client of the same address
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def _canonical(address: _Address | None, ipv6_prefix: int) -> str:
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv4Address) or ipv6_prefix >= address.max_prefixlen:
        return str(address)
    kept = max(ipv6_prefix, 0)
    shift = address.max_prefixlen - kept
    return f"{IPv6Address(int(address) >> shift << shift)}/{kept}"
