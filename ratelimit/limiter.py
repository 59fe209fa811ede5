"""The limiter: who may go on now, decided by one store for all processes, or by this one where that store is away."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from time import monotonic, monotonic_ns
from typing import NamedTuple

from ratelimit.bucket import Decision, Limit
from ratelimit.conf import DEFAULT_TIERS, conf, on_change
from ratelimit.deny_cache import DenyCache
from ratelimit.errors import InvalidLimitError
from ratelimit.identity import Identity
from ratelimit.signals import request_checked
from ratelimit.stores import build_store
from ratelimit.stores.base import Charge, Store, Verdict
from ratelimit.stores.forks import tell_after_fork
from ratelimit.stores.memory import MemoryStore
from ratelimit.tiers import limit_for, tiers_in_shadow

logger = logging.getLogger(__name__)

NOBODY = "none"
"""What stands in a decision's ``backend`` where no store had to be asked, or none may decide."""
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

    ``name``: 1 to 32 of a-z, 0-9, ``-`` and ``_``, a letter first, and not ``default``. ``cost`` is what one call takes
    of it, whatever the call costs of the tier's limit. Raises ValueError.
    """

    name: str
    limit: Limit
    cost: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.limit, Limit):
            raise InvalidLimitError(f"{self.limit!r} is no limit. Write Limit(20, 60) or Limit.parse('20/m').")
        _require_cost(self.cost)
        if not _SCOPE_NAME.fullmatch(self.name) or self.name == TIER_POLICY:
            raise ValueError(f"“{self.name}” cannot name a scope: write a letter, then up to 31 of a-z, 0-9, - and _.")


class _Limits(dict[str, Limit | None]):
    """As ``tiers.limit_for``; kept, as a limiter lives no longer than the settings it was made of."""

    def __missing__(self, tier: str) -> Limit | None:
        limit = self[tier] = limit_for(tier)
        return limit


class Stats(NamedTuple):
    """How rate limiting stands in one process."""

    backend: str
    """Who decides now: ``redis``, ``memory``, or nobody yet (empty)."""
    wanted: str
    """Who decides when all is well."""
    reason: str
    """Why memory decides in place of Redis, in one word; else empty."""
    buckets_in_memory: int
    exhausted_buckets: int
    """How many the deny cache holds."""
    process_id: int


class RateLimiter:
    """Decides, peeks, gives back and forgets; any number of threads and tasks may share one.

    ``cost`` is in whole tokens, at least 1, of the tier's bucket; each scope has a cost of its own. They are taken from
    all buckets or from none. Scopes of one call have different names. ValueError tells of arguments that break these
    rules. An unlimited tier is never refused; no store is asked for it, whatever the scopes.

    Where several limits are asked, the decision tells of the one that matters most: of those that refuse, the one that
    takes longest to come back; else the one with the fewest requests left.

    Tiers that RATELIMIT_ENFORCE leaves out are in shadow: they are counted and told of as any other, and never refused.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_shared = not isinstance(store, MemoryStore) or store.stands_in
        self._deny_cache = DenyCache(conf.deny_cache_keys, monotonic_ns)
        self._on_outage = conf.on_outage
        self._in_shadow = tiers_in_shadow()
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
                question = _Question(tier, cost, _charges(identity, limit, cost, scopes), _policies(scopes))
                decision = self._foregone(question) or self._heard(
                    question, self._store.take(question.charges), asked_ns
                )
            elif self._is_shared:
                decision = self._ask_for_one(identity.bucket, tier, limit, cost, asked_ns)
            else:
                allowed, arrival_us, now_us, limit, backend = self._store.take_one(identity.bucket, limit, cost)
                decision = _new(Decision, (allowed, limit, arrival_us, now_us, tier, backend, cost, TIER_POLICY, False))
        except Exception as error:  # noqa: BLE001 - whatever breaks here must neither break the request nor let it pass
            decision = self._decide_in_need(identity, cost, error)
        if not decision.allowed and self._in_shadow:
            decision = self._shadowed(decision)
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
                question = _Question(tier, cost, _charges(identity, limit, cost, scopes), _policies(scopes))
                decision = self._foregone(question) or self._heard(
                    question, await self._store.atake(question.charges), asked_ns
                )
        except Exception as error:  # noqa: BLE001 - whatever breaks here must neither break the request nor let it pass
            decision = self._decide_in_need(identity, cost, error)
        if not decision.allowed and self._in_shadow:
            decision = self._shadowed(decision)
        if asked_ns and request_checked.receivers:
            _tell(decision, asked_ns)
        return decision

    def check_further(
        self,
        identity: Identity,
        first: Decision,
        cost: int = 1,
        scopes: Sequence[Scope] = (),
        taken: Sequence[Scope] = (),
    ) -> Decision:
        """Take what a request costs beyond the token that ``first``, its admission by ``check``, has taken.

        Of the tier ``cost - 1`` more, and what the scopes cost; the decision tells of those limits only. Where one of
        them refuses, ``first`` gets back what it took (its ``cost``, and of the scopes in ``taken``), and the decision
        tells of the whole: when all of it will be there. After that ``first`` is spent. Where it took nothing, neither
        does this. Raises nothing but ValueError.
        """
        asked_ns = monotonic_ns()
        _require_sense(cost, scopes)
        try:
            question = self._further(identity, first, cost, scopes)
            if question is None:
                return first
            decision = self._foregone(question) or self._heard(question, self._store.take(question.charges), asked_ns)
            if not decision.allowed and first.tier not in self._in_shadow:
                self.refund(identity, first, taken)
            decision = self._shadowed(_whole(first, decision, cost))
        except Exception as error:  # noqa: BLE001 - as in check; the tier's token is taken, which must do
            self._log_quietly("A request's further cost could not be charged", error)
            return first
        if request_checked.receivers:
            _tell(decision, asked_ns)
        return decision

    async def acheck_further(
        self,
        identity: Identity,
        first: Decision,
        cost: int = 1,
        scopes: Sequence[Scope] = (),
        taken: Sequence[Scope] = (),
    ) -> Decision:
        """As ``check_further``, waiting without blocking the event loop."""
        asked_ns = monotonic_ns()
        _require_sense(cost, scopes)
        try:
            question = self._further(identity, first, cost, scopes)
            if question is None:
                return first
            decision = self._foregone(question) or self._heard(
                question, await self._store.atake(question.charges), asked_ns
            )
            if not decision.allowed and first.tier not in self._in_shadow:
                await self.arefund(identity, first, taken)
            decision = self._shadowed(_whole(first, decision, cost))
        except Exception as error:  # noqa: BLE001 - as in check; the tier's token is taken, which must do
            self._log_quietly("A request's further cost could not be charged", error)
            return first
        if request_checked.receivers:
            _tell(decision, asked_ns)
        return decision

    # --- looking, giving back, forgetting ----------------------------------------------------------------------------

    def peek(self, identity: Identity, cost: int = 1, scopes: Sequence[Scope] = ()) -> Decision:
        """Whether the limits would admit it, and how it stands now; nothing is taken and no signal sent.

        In shadow ``check`` admits all the same. The deny cache is not asked. Raises ValueError, and StoreError where no
        store can answer.
        """
        _require_sense(cost, scopes)
        tier, limit = identity.tier, limit_for(identity.tier)
        if limit is None:
            return _unlimited(tier, cost)
        question = _Question(tier, cost, _charges(identity, limit, cost, scopes), _policies(scopes))
        return self._most_telling(question, self._store.peek(question.charges))

    def peek_many(self, identities: Sequence[Identity]) -> list[Decision]:
        """``peek`` for each, in one round trip for every hundred of them (in a cluster: and every slot).

        Raises StoreError, and UnknownTierError.
        """
        limits = [limit_for(identity.tier) for identity in identities]
        limited = {
            identity.bucket: Charge(identity.bucket, limit)
            for identity, limit in zip(identities, limits, strict=True)
            if limit is not None
        }
        verdicts = dict(zip(limited, self._store.peek(list(limited.values())), strict=True))
        return [
            _unlimited(identity.tier, 1)
            if limit is None
            else self._decision(identity.tier, 1, 1, verdicts[identity.bucket], TIER_POLICY)
            for identity, limit in zip(identities, limits, strict=True)
        ]

    def stats(self) -> Stats:
        """How things stand in this process; asks no network."""
        state = self._store.state()
        return Stats(
            state.backend, self._store.name, state.reason, state.buckets_in_memory, len(self._deny_cache), os.getpid()
        )

    def count_buckets(self, patience_seconds: float = 1.0) -> int | None:
        """How many buckets are not full, of all clients; None where they are too many to be counted in that time.

        Walks over the server's keys: for an operator or a collector that asks now and then. Raises StoreError.
        """
        return self._store.count(patience_seconds)

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
        verdict = None if self._lets_through(tier) else self._deny_cache.refusal(bucket, limit, cost)
        if verdict is None:
            verdict = self._store.take_one(bucket, limit, cost)
            self._learn(bucket, verdict, asked_ns)
        allowed, arrival_us, now_us, limit, backend = verdict
        if backend == "memory" and tier in self._on_outage:
            return self._decision(tier, cost, cost, verdict, TIER_POLICY)
        # _new is what Decision() calls, at half the price: this is done for every request
        return _new(Decision, (allowed, limit, arrival_us, now_us, tier, backend, cost, TIER_POLICY, False))

    def _further(self, identity: Identity, first: Decision, cost: int, scopes: Sequence[Scope]) -> _Question | None:
        """What is still to be asked after ``first``; None where nothing is."""
        limit = self._limits[identity.tier]
        if limit is None or first.spec is None or not (first.allowed or first.shadow):
            return None
        charges, policies = _charges(identity, limit, cost - 1, scopes), _policies(scopes)
        if cost == 1:
            charges, policies = charges[1:], policies[1:]
        return _Question(first.tier, cost, charges, policies) if charges else None

    def _foregone(self, question: _Question) -> Decision | None:
        """What is decided already, because all of these buckets are known to be exhausted; else None.

        Where only some are known the store is asked: another one may be refused for longer.
        """
        if not self._is_shared or self._lets_through(question.tier):
            return None
        refusals = []
        for key, limit, cost in question.charges:
            refusal = self._deny_cache.refusal(key, limit, cost)
            if refusal is None:
                return None
            refusals.append(refusal)
        return self._most_telling(question, refusals)

    def _lets_through(self, tier: str) -> bool:
        """Whether an outage admits everything, and there is one: then what Redis said before it began is void."""
        if not self._on_outage or self._on_outage.get(tier) != "open":
            return False
        return self._store.state().backend == MemoryStore.name

    def _learn(self, key: str, verdict: Verdict, asked_ns: int) -> None:
        """Remember what the store will refuse until time has passed."""
        allowed, arrival_us, now_us, limit, backend = verdict
        has_nothing_left = arrival_us + limit.interval_us - limit.capacity_us > now_us
        if (has_nothing_left or not allowed) and backend == self._store.name:
            self._deny_cache.remember(key, arrival_us, now_us, asked_ns)

    def _heard(self, question: _Question, verdicts: Sequence[Verdict], asked_ns: int) -> Decision:
        if self._is_shared:
            for charge, verdict in zip(question.charges, verdicts, strict=True):
                self._learn(charge.key, verdict, asked_ns)
        return self._most_telling(question, verdicts)

    def _decision(self, tier: str, whole_cost: int, cost: int, verdict: Verdict, policy: str) -> Decision:
        """What a verdict leads to. An admission bears the cost of the whole, which a refund needs."""
        allowed, arrival_us, now_us, limit, backend = verdict
        if self._is_shared and backend == MemoryStore.name:
            on_outage = self._on_outage.get(tier, "local")
            if on_outage == "open":
                return _unlimited(tier, whole_cost)
            if on_outage == "closed":  # shown as a bucket that is empty
                return Decision(False, limit, now_us + limit.capacity_us, now_us, tier, NOBODY, cost, policy)
        return Decision(allowed, limit, arrival_us, now_us, tier, backend, whole_cost if allowed else cost, policy)

    def _most_telling(self, question: _Question, verdicts: Sequence[Verdict]) -> Decision:
        """Of those that refuse the one that takes longest to come back, else the one with the fewest requests left."""
        tier, whole_cost, charges, policies = question
        decisions = [
            self._decision(tier, whole_cost, charge.cost, verdict, policy)
            for charge, policy, verdict in zip(charges, policies, verdicts, strict=True)
        ]
        refused = [decision for decision in decisions if not decision.allowed]
        if refused:
            return max(refused, key=lambda decision: decision.retry_after_seconds)
        return min(decisions, key=lambda decision: decision.remaining)

    def _shadowed(self, decision: Decision) -> Decision:
        """The refusal let through where the tier's limits are not enforced."""
        if decision.allowed or decision.tier not in self._in_shadow:
            return decision
        return decision._replace(allowed=True, shadow=True)

    def _taken(self, identity: Identity, decision: Decision, scopes: Sequence[Scope]) -> list[Charge]:
        limit = limit_for(identity.tier)
        if limit is None or decision.spec is None or not decision.allowed or decision.shadow:
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
        return self._decision(identity.tier, cost, cost, verdict, TIER_POLICY)

    def _log_quietly(self, event: str, error: Exception) -> None:
        """At most once a minute: a fault that every request meets must not fill the disk."""
        now = monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_SECONDS
            logger.error(event, exc_info=error)


# --- small things ---------------------------------------------------------------------------------------------------


class _Question(NamedTuple):
    """Several limits that are asked in one call."""

    tier: str
    cost: int
    charges: Sequence[Charge]
    policies: Sequence[str]
    """What the RateLimit headers call each of them."""


def _charges(identity: Identity, limit: Limit, cost: int, scopes: Sequence[Scope]) -> list[Charge]:
    bucket = identity.bucket
    of_scopes = (Charge(f"{bucket}:{scope.name}", scope.limit, scope.cost) for scope in scopes)
    return [Charge(bucket, limit, cost), *of_scopes]


def _policies(scopes: Sequence[Scope]) -> list[str]:
    return [TIER_POLICY, *(scope.name for scope in scopes)]


def _whole(first: Decision, further: Decision, cost: int) -> Decision:
    """The decision about a request of which ``first`` took some tokens and ``further`` asked for ``cost - 1`` more.

    Refused by the tier, the bucket stands as it does once the first ones are back, and the wait is that for all of
    them: as if they had been asked for at once.
    """
    if further.allowed or further.policy != TIER_POLICY or further.spec is None or further.backend == NOBODY:
        return further
    if first.shadow:
        return further
    back_us = first.cost * further.spec.interval_us
    return further._replace(cost=first.cost + cost - 1, arrival_us=max(further.arrival_us - back_us, further.now_us))


def _unlimited(tier: str, cost: int) -> Decision:
    return Decision(True, None, 0, 0, tier, NOBODY, cost)


def _require_cost(cost: int) -> None:
    if type(cost) is not int or cost < 1:
        raise ValueError(f"A cost is a whole number of tokens, at least 1, and not {cost!r}.")


def _require_sense(cost: int, scopes: Sequence[Scope]) -> None:
    _require_cost(cost)
    if len(scopes) > 1 and len({scope.name for scope in scopes}) < len(scopes):
        raise ValueError("The scopes of one call have different names.")


def _tell(decision: Decision, asked_ns: int) -> None:
    request_checked.send_robust(
        RateLimiter, decision=decision, shadow=decision.shadow, duration_seconds=(monotonic_ns() - asked_ns) / 1e9
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
