"""Who may see details: whoever knows the token, or asks from one of the named networks without a proxy in between."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address

from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from health.conf import Network, conf

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


def may_see_details(request: HttpRequest) -> bool:
    """By the token in the Authorization header, or by the bare address of the peer. Asks nobody, and never raises."""
    return _knows_the_token(request) or _is_near(request)


def _knows_the_token(request: HttpRequest) -> bool:
    token = conf.token
    scheme, _, sent = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if not token or scheme.lower() != "bearer":
        return False
    try:
        raw = sent.strip(" ").encode("latin-1")  # which is how WSGI and ASGI hand over the bytes that were sent
    except UnicodeEncodeError:
        return False
    return constant_time_compare(raw, token.encode())


def _is_near(request: HttpRequest) -> bool:
    networks = conf.detail_networks
    if not networks or any(name.startswith(_TOLD_BY_PROXIES) for name in request.META):
        return False
    return _is_within(request.META.get("REMOTE_ADDR") or "", networks)


def _is_within(peer: str, networks: Sequence[Network]) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:  # a Unix socket has no address
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None  # a server that listens on [::]
    return any(address in network or (mapped is not None and mapped in network) for network in networks)
