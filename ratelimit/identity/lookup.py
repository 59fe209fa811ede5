"""From what an operator writes to the identity that such a client's requests have; asks the database itself, now."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from ratelimit.conf import conf
from ratelimit.errors import UnknownClientError
from ratelimit.identity.identities import Identity, address_identity, user_identity
from ratelimit.identity.rows import read_keys, read_user_tiers
from ratelimit.models import ApiKey
from ratelimit.proxies import UNKNOWN, TrustedProxies, client_address
from ratelimit.tiers import RateLimitTier

_WHY_REFUSED = {
    "revoked": "is revoked",
    "expired": "has expired",
    "inactive_owner": "belongs to a user who is not active",
}


def user_named(username: str) -> Identity:
    """Of the user when signed in. Raises UnknownClientError and what the database raises."""
    users = get_user_model()
    try:
        user = users.objects.get_by_natural_key(username)
    except (users.DoesNotExist, ValueError):  # a name that the database cannot even hold is nobody's
        raise UnknownClientError(f"There is no user “{username}”.") from None
    is_superuser = getattr(user, "is_superuser", False)
    tier = RateLimitTier.ADMIN.value if is_superuser else read_user_tiers([user.pk])[user.pk]
    return user_identity(str(user.pk), tier)


def key_with_prefix(prefix: str) -> Identity:
    """Of whoever presents the key. Raises UnknownClientError, also for a key that is refused, and as above."""
    key_hash = ApiKey.objects.filter(prefix=prefix).values_list("key_hash", flat=True).first()
    known = read_keys([key_hash]).get(key_hash) if key_hash is not None else None
    if known is None:
        raise UnknownClientError(f"There is no key “{prefix}”.")
    refusal = known.refusal()
    if known.identity is None or refusal:
        raise UnknownClientError(
            f"The key “{prefix}” {_WHY_REFUSED[refusal]}: requests with it are counted by their address."
        )
    return known.identity


def client_at(address: str) -> Identity:
    """Of a client without credentials who connects from there. Raises UnknownClientError."""
    canonical = client_address(address, "", TrustedProxies(), conf.ipv6_prefix)
    if canonical == UNKNOWN:
        raise UnknownClientError(f"“{address}” is no address. Write one such as 192.0.2.1 or 2001:db8::1.")
    return address_identity(canonical)
