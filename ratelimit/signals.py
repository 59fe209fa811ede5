"""What happened, for metrics and logs; the limiter sends them, so decisions without HTTP count too.

The law for listeners: synchronous, in memory, no I/O. Sent with ``send_robust`` always, on the async path too: a
listener's error is logged by Django and never reaches a request. None of them carries an address, a key or a user id.
"""

from __future__ import annotations

from django.dispatch import Signal

#: ``decision`` (Decision), ``shadow`` (bool: a denial that was let through, as RATELIMIT_ENFORCE says; the decision
#: then says ``allowed``), ``duration_seconds`` (float, of the decision). A request that asks for more than its tier's
#: one token sends it twice, once for each decision. Sender: the RateLimiter class.
request_checked = Signal()

#: ``reason`` (str: ``checksum``, ``unknown``, ``revoked``, ``expired``, ``inactive_owner``, ``too_many``,
#: ``lookup_timeout``, ``lookup_failed``, ``malformed``). Sender: the identity module's resolver.
identity_rejected = Signal()

#: ``previous`` (str, empty at first use), ``current`` (``redis`` or ``memory``), ``reason`` (str). Sender: the store.
backend_changed = Signal()
