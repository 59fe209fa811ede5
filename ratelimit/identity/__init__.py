"""Who asks: a verified API key, else the signed-in user, else the client's address; never raw, always keyed by HMAC.

resolver     reads the request and decides
directory    what this process knows of keys and tiers, so that a hot request asks no database
suspects     addresses that keep presenting keys nobody knows
lookup       from what an operator writes to the identity that such a client's requests have
rows         what is read from and written to the tables
hurry        database work off the request thread, with a deadline
identities   the identity itself
"""

from __future__ import annotations

from ratelimit.identity.identities import Identity
from ratelimit.identity.resolver import aresolve, resolve
from ratelimit.keys import VerifiedKey

__all__ = ["Identity", "VerifiedKey", "aresolve", "resolve"]
