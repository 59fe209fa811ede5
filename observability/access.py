"""Who may read the page: whoever knows the token, or asks from an allowed network without a proxy in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any

from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from observability.conf import Network, conf

_TOLD_BY_PROXIES = (
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED",
    "HTTP_X_REAL_IP",
    "HTTP_X_CLIENT_IP",
    "HTTP_X_CLUSTER_CLIENT_IP",
    "HTTP_X_ORIGINAL_FORWARDED_FOR",
    "HTTP_X_ENVOY_EXTERNAL_ADDRESS",
    "HTTP_CLIENT_IP",
    "HTTP_TRUE_CLIENT_IP",
    "HTTP_CF_CONNECTING_IP",
    "HTTP_FASTLY_CLIENT_IP",
)
"""Beginnings of names. With any of them, even empty, the peer's address is a proxy's and says nothing of who asks."""


def may_read(request: HttpRequest) -> bool:
    """By the token in the Authorization header, or by the bare address of the peer. Asks nobody, and never raises."""
    return _knows_the_token(request.META) or _is_near(request.META)


def _knows_the_token(meta: Mapping[str, Any]) -> bool:
    token, written = conf.token, meta.get("HTTP_AUTHORIZATION")
    if not token or not isinstance(written, str):
        return False
    scheme, _, sent = written.partition(" ")
    if scheme.lower() != "bearer":
        return False
    try:
        raw = sent.strip(" ").encode("latin-1")  # which is how WSGI and ASGI hand over the bytes that were sent
    except UnicodeEncodeError:
        return False
    return constant_time_compare(raw, token.encode())


def _is_near(meta: Mapping[str, Any]) -> bool:
    networks = conf.allowed_networks
    if not networks or any(name.startswith(_TOLD_BY_PROXIES) for name in meta):
        return False
    return _is_within(meta.get("REMOTE_ADDR"), networks)


def _is_within(peer: Any, networks: Sequence[Network]) -> bool:
    if not isinstance(peer, str):  # four bytes would be read as an address
        return False
    try:
        address = ip_address(peer)
    except ValueError:  # a Unix socket has no address
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None  # a server that listens on [::]
    return any(address in network or (mapped is not None and mapped in network) for network in networks)
