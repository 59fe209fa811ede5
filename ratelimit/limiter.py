"""The limiter: who may go on now, decided by one store for all processes, or by this one where that store is away."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from time import monotonic, monotonic_ns

from ratelimit.bucket import Decision, Limit
from ratelimit.conf import DEFAULT_TIERS, conf, on_change
from ratelimit.deny_cache import DenyCache
from ratelimit.identity import Identity
from ratelimit.signals import request_checked
from ratelimit.stores import build_store
from ratelimit.stores.base import Charge, Store, Verdict
from ratelimit.stores.forks import tell_after_fork
from ratelimit.stores.memory import MemoryStore
from ratelimit.tiers import limit_for

logger = logging.getLogger(__name__)

TIER_POLICY = "default"
"""What the RateLimit headers call the tier's own limit; scopes go by their names."""
_SCOPE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_QUIET_SECONDS = 60
_new = tuple.__new__
_FALLBACK_LIMIT = Limit(DEFAULT_TIERS["anonymous"]["limit"], DEFAULT_TIERS["anonymous"]["window_seconds"])
"""For a tier whose own limit cannot be read."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A limit of its own beside the tier's, such as 20 searches a minute; each client has its own bucket of it.

    ``name``: 1 to 32 of a-z, 0-9, ``-`` and ``_``, a letter first, and not ``default``. Raises ValueError.
    """

    name: str
    limit: Limit

    def __post_init__(self) -> None:
        if not _SCOPE_NAME.fullmatch(self.name) or self.name == TIER_POLICY:
            raise ValueError(f"“{self.name}” cannot name a scope: write a letter, then up to 31 of a-z, 0-9, - and _.")


class _Limits(dict[str, Limit | None]):
    """As ``tiers.limit_for``; kept, as a limiter lives no longer than the settings it was made of."""

    def __missing__(self, tier: str) -> Limit | None:
        limit = self[tier] = limit_for(tier)
        return limit


class RateLimiter:
    """Decides, peeks, gives back and forgets; any number of threads and tasks may share one.

    ``cost`` is in whole tokens, at least 1. It is taken from the tier's bucket and from that of each scope, from all of
    them or from none. Scopes of one call have different names. ValueError tells of arguments that break these rules.
    An unlimited tier is never refused; no store is asked for it, whatever the scopes.

    Where several limits are asked, the decision tells of the one that matters most: of those that refuse, the one that
    takes longest to come back; else the one with the fewest requests left.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_shared = not isinstance(store, MemoryStore) or store.stands_in
        self._deny_cache = DenyCache(conf.deny_cache_keys, monotonic_ns)
        self._on_outage = conf.on_outage
        self._last_resort = MemoryStore(conf.memory_keys, conf.expected_processes)
        self._limits = _Limits()
        self._quiet_until = 0.0
        tell_after_fork(self)

    # --- deciding ----------------------------------------------------------------------------------------------------

    def check(self, identity: Identity, cost: int = 1, scopes: Sequence[Scope] = ()) -> Decision:
        """Take the tokens if they are there, and tell how it stands afterwards.

        Raises nothing but ValueError. Where the store is away RATELIMIT_ON_OUTAGE says what happens; should anything
        here break, this process's memory decides, and the error is logged.
        """
        asked_ns = monotonic_ns() if request_checked.receivers or self._is_shared else 0
        if scopes or type(cost) is not int or cost < 1:
            _require_sense(cost, scopes)
        tier = identity.tier
        try:
            limit = self._limits[tier]
            if limit is None:
                decision = _unlimited(tier, cost)
            elif scopes:
                charges = _charges(identity, limit, cost, scopes)
                decision = self._foregone(tier, cost, scopes, charges) or self._heard(
                    tier, cost, scopes, charges, self._store.take(charges), asked_ns
                )
            elif self._is_shared:
                decision = self._ask_for_one(identity.bucket, tier, limit, cost, asked_ns)
            else:
                allowed, arrival_us, now_us, limit, backend = self._store.take_one(identity.bucket, limit, cost)
                decision = _new(Decision, (allowed, limit, arrival_us, now_us, tier, backend, cost, TIER_POLICY))
        except Exception as error:  # noqa: BLE001 - whatever breaks here must neither break the request nor let it pass
            decision = self._decide_in_need(identity, cost, error)
        if asked_ns and request_checked.receivers:
            _tell(decision, asked_ns)
        return decision

    async def acheck(self, identity: Identity, cost: int = 1, scopes: Sequence[Scope] = ()) -> Decision:
        """As ``check``, waiting without blocking the event loop."""
        asked_ns = monotonic_ns()
        _require_sense(cost, scopes)
        tier = identity.tier
        try:
            limit = self._limits[tier]
            if limit is None:
                decision = _unlimited(tier, cost)
            else:
                charges = _charges(identity, limit, cost, scopes)
                decision = self._foregone(tier, cost, scopes, charges) or self._heard(
                    tier, cost, scopes, charges, await self._store.atake(charges), asked_ns
                )
        except Exception as error:  # noqa: BLE001 - whatever breaks here must neither break the request nor let it pass
            decision = self._decide_in_need(identity, cost, error)
        if asked_ns and request_checked.receivers:
            _tell(decision, asked_ns)
        return decision

    # --- looking, giving back, forgetting ----------------------------------------------------------------------------

    def peek(self, identity: Identity, cost: int = 1, scopes: Sequence[Scope] = ()) -> Decision:
        """Whether ``check`` would admit it, and how it stands now; nothing is taken and no signal sent.

        The deny cache is not asked. Raises ValueError, and StoreError where no store can answer.
        """
        _require_sense(cost, scopes)
        tier, limit = identity.tier, limit_for(identity.tier)
        if limit is None:
            return _unlimited(tier, cost)
        verdicts = self._store.peek(_charges(identity, limit, cost, scopes))
        return self._most_telling(tier, cost, scopes, verdicts)

    def refund(self, identity: Identity, decision: Decision, scopes: Sequence[Scope] = ()) -> None:
        """Give back what an admission with these scopes took; nothing where it took nothing, or its taker is away.

        Never raises: tokens come back by themselves, so a refund that fails is logged and forgotten.
        """
        try:
            charges = self._taken(identity, decision, scopes)
            if charges:
                self._store.refund(charges, decision.backend)
                self._deny_cache.forget(charge.key for charge in charges)
        except Exception as error:  # noqa: BLE001 - the request it was for has been answered
            self._log_quietly("A refund failed", error)

    async def arefund(self, identity: Identity, decision: Decision, scopes: Sequence[Scope] = ()) -> None:
        """As ``refund``, waiting without blocking the event loop."""
        try:
            charges = self._taken(identity, decision, scopes)
            if charges:
                await self._store.arefund(charges, decision.backend)
                self._deny_cache.forget(charge.key for charge in charges)
        except Exception as error:  # noqa: BLE001 - the request it was for has been answered
            self._log_quietly("A refund failed", error)

    def reset(self, identity: Identity, scopes: Sequence[Scope] = ()) -> int:
        """Fill the tier's bucket and those of the scopes; how many were not full. Raises StoreError.

        Other processes may go on refusing from their deny caches for ``deny_cache.LIFE_SECONDS``.
        """
        limit = limit_for(identity.tier)
        if limit is None:
            return 0
        keys = [charge.key for charge in _charges(identity, limit, 1, scopes)]
        count = self._store.reset(keys)
        self._deny_cache.forget(keys)
        return count

    def close(self) -> None:
        """Let go of the store's connections and threads; asked again, it begins anew."""
        self._store.close()

    def after_fork(self) -> None:
        self._deny_cache = DenyCache(conf.deny_cache_keys, monotonic_ns)

    # --- thinking, which sync and async share ------------------------------------------------------------------------

    def _ask_for_one(self, bucket: str, tier: str, limit: Limit, cost: int, asked_ns: int) -> Decision:
        """Of a shared store, without lists: almost every request goes this way."""
        verdict = self._deny_cache.refusal(bucket, limit, cost)
        if verdict is None:
            verdict = self._store.take_one(bucket, limit, cost)
            self._learn(bucket, verdict, asked_ns)
        allowed, arrival_us, now_us, limit, backend = verdict
        if backend == "memory" and tier in self._on_outage:
            return self._decision(tier, cost, verdict, TIER_POLICY)
        # _new is what Decision() calls, at half the price: this is done for every request
        return _new(Decision, (allowed, limit, arrival_us, now_us, tier, backend, cost, TIER_POLICY))

    def _foregone(self, tier: str, cost: int, scopes: Sequence[Scope], charges: Sequence[Charge]) -> Decision | None:
        """What is decided already, because all of these buckets are known to be exhausted; else None.

        Where only some are known the store is asked: another one may be refused for longer.
        """
        if not self._is_shared:
            return None
        refusals = []
        for key, limit, _ in charges:
            refusal = self._deny_cache.refusal(key, limit, cost)
            if refusal is None:
                return None
            refusals.append(refusal)
        return self._most_telling(tier, cost, scopes, refusals)

    def _learn(self, key: str, verdict: Verdict, asked_ns: int) -> None:
        """Remember what the store will refuse until time has passed."""
        allowed, arrival_us, now_us, limit, backend = verdict
        has_nothing_left = arrival_us + limit.interval_us - limit.capacity_us > now_us
        if (has_nothing_left or not allowed) and backend == self._store.name:
            self._deny_cache.remember(key, arrival_us, now_us, asked_ns)

    def _heard(
        self,
        tier: str,
        cost: int,
        scopes: Sequence[Scope],
        charges: Sequence[Charge],
        verdicts: Sequence[Verdict],
        asked_ns: int,
    ) -> Decision:
        if self._is_shared:
            for charge, verdict in zip(charges, verdicts, strict=True):
                self._learn(charge.key, verdict, asked_ns)
        return self._most_telling(tier, cost, scopes, verdicts)

    def _decision(self, tier: str, cost: int, verdict: Verdict, policy: str) -> Decision:
        """What a verdict leads to."""
        allowed, arrival_us, now_us, limit, backend = verdict
        if self._is_shared and backend == MemoryStore.name:
            on_outage = self._on_outage.get(tier, "local")
            if on_outage == "open":
                return _unlimited(tier, cost)
            if on_outage == "closed":  # shown as a bucket that is empty
                return Decision(False, limit, now_us + limit.capacity_us, now_us, tier, "none", cost, policy)
        return Decision(allowed, limit, arrival_us, now_us, tier, backend, cost, policy)

    def _most_telling(self, tier: str, cost: int, scopes: Sequence[Scope], verdicts: Sequence[Verdict]) -> Decision:
        """Of those that refuse the one that takes longest to come back, else the one with the fewest requests left."""
        policies = [TIER_POLICY, *(scope.name for scope in scopes)]
        decisions = [
            self._decision(tier, cost, verdict, policy) for policy, verdict in zip(policies, verdicts, strict=True)
        ]
        refused = [decision for decision in decisions if not decision.allowed]
        if refused:
            return max(refused, key=lambda decision: decision.retry_after_seconds)
        return min(decisions, key=lambda decision: decision.remaining)

    def _taken(self, identity: Identity, decision: Decision, scopes: Sequence[Scope]) -> list[Charge]:
        limit = limit_for(identity.tier)
        if limit is None or decision.spec is None or not decision.allowed:
            return []
        return _charges(identity, limit, decision.cost, scopes)

    # --- in need -----------------------------------------------------------------------------------------------------

    def _decide_in_need(self, identity: Identity, cost: int, error: Exception) -> Decision:
        """Something broke that should not: neither refuse everybody nor wave everybody through."""
        self._log_quietly("Rate limiting failed and goes on in memory, for this process alone", error)
        try:
            limit = limit_for(identity.tier)
        except Exception:  # noqa: BLE001 - the setting is what broke; it has been logged above
            limit = _FALLBACK_LIMIT
        if limit is None:
            return _unlimited(identity.tier, cost)
        verdict = self._last_resort.take_one(identity.bucket, limit, cost)
        return self._decision(identity.tier, cost, verdict, TIER_POLICY)

    def _log_quietly(self, event: str, error: Exception) -> None:
        """At most once a minute: a fault that every request meets must not fill the disk."""
        now = monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_SECONDS
            logger.error(event, exc_info=error)


# --- small things ---------------------------------------------------------------------------------------------------


def _charges(identity: Identity, limit: Limit, cost: int, scopes: Sequence[Scope]) -> list[Charge]:
    bucket = identity.bucket
    return [Charge(bucket, limit, cost), *(Charge(f"{bucket}:{scope.name}", scope.limit, cost) for scope in scopes)]


def _unlimited(tier: str, cost: int) -> Decision:
    return Decision(True, None, 0, 0, tier, "none", cost)


def _require_sense(cost: int, scopes: Sequence[Scope]) -> None:
    if type(cost) is not int or cost < 1:
        raise ValueError(f"A cost is a whole number of tokens, at least 1, and not {cost!r}.")
    if len(scopes) > 1 and len({scope.name for scope in scopes}) < len(scopes):
        raise ValueError("The scopes of one call have different names.")


def _tell(decision: Decision, asked_ns: int) -> None:
    request_checked.send_robust(
        RateLimiter, decision=decision, shadow=False, duration_seconds=(monotonic_ns() - asked_ns) / 1e9
    )


# --- the one of this process -----------------------------------------------------------------------------------------


class _Process:
    """Holds what this process shares."""

    def __init__(self) -> None:
        self.limiter: RateLimiter | None = None
        self.lock = Lock()

    def after_fork(self) -> None:
        self.lock = Lock()  # a thread that the child does not have may be holding the other


_process = _Process()
tell_after_fork(_process)


def get_rate_limiter() -> RateLimiter:
    """The limiter that this process shares, on the store that RATELIMIT_CACHE names; built when first asked for."""
    limiter = _process.limiter
    if limiter is not None:
        return limiter
    with _process.lock:
        if _process.limiter is None:
            _process.limiter = RateLimiter(build_store())
        return _process.limiter


def forget_rate_limiter() -> None:
    """Close it; the next one follows the settings of that moment."""
    with _process.lock:
        limiter, _process.limiter = _process.limiter, None
    if limiter is not None:
        limiter.close()


on_change(forget_rate_limiter)
