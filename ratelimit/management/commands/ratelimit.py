"""`manage.py ratelimit`: what the tiers are, how limiting stands, how a client stands, and a full bucket for it."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ratelimit.bucket import MOST_REQUESTS, Decision
from ratelimit.conf import conf
from ratelimit.deny_cache import LIFE_SECONDS
from ratelimit.errors import InvalidLimitError, StoreError, UnknownClientError, UnknownTierError
from ratelimit.identity import Identity
from ratelimit.identity.lookup import client_at, key_with_prefix, user_named
from ratelimit.limiter import get_rate_limiter
from ratelimit.management.output import NOT_ASKED, NOT_THERE, asking_the_database, in_line, rfc3339, table, whole_number
from ratelimit.management.prefixes import checked_prefix
from ratelimit.management.status import COUNTING_SECONDS, Status, read_status, share_of
from ratelimit.stores.memory import MemoryStore
from ratelimit.tiers import RateLimitTier, known_tiers, limit_for, tiers_in_shadow

_REFUSED = 1
_AWAY = 1
_EXIT_CODES = {"ok": 0, "redis_away": _AWAY, "drops_buckets": 4}
_Result = tuple[str, Any, int]
"""For people, for machines, and the exit code."""


class Command(BaseCommand):
    help = (
        "Look at the limits. --json prints the result for machines. Exit codes: 0 well, or admitted; 1 Redis is away, "
        "or refused; 2 there is no such client or tier; 3 Redis or the database does not answer; 4 Redis drops buckets "
        "when its memory is full."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        tiers = actions.add_parser("tiers", help="what each tier may")
        status = actions.add_parser("status", help="who decides, and whether all is well")
        check = actions.add_parser("check", help="how a client stands; nothing is taken")
        check.add_argument("--cost", type=_tokens, default=1, metavar="N", help="of the request; default: 1")
        reset = actions.add_parser("reset", help="fill a client's bucket")
        for action in (check, reset):
            client = action.add_mutually_exclusive_group(required=True)
            client.add_argument("--user", metavar="NAME", help="a user when signed in")
            client.add_argument("--key", metavar="PREFIX", help="an API key, by the 8 characters `apikey list` shows")
            client.add_argument("--address", help="a client without credentials")
            client.add_argument("--name", help="work without requests, as Identity.of names it")
            action.add_argument("--tier", help="of --name; default: api_key")
        for action in (tiers, status, check, reset):
            action.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *_: Any, **options: Any) -> None:
        act = getattr(self, f"_{options['action']}")
        try:
            words, data, exit_code = act(options)
        except (UnknownClientError, UnknownTierError, InvalidLimitError) as error:
            raise CommandError(in_line(str(error)), returncode=NOT_THERE) from error
        self.stdout.write(json.dumps(data) if options["json"] else words)
        if exit_code:
            sys.exit(exit_code)

    def _tiers(self, _: dict[str, Any]) -> _Result:
        tiers = [_tier_as_json(tier) for tier in known_tiers()]
        return _tiers_in_words(tiers), tiers, 0

    def _status(self, _: dict[str, Any]) -> _Result:
        status = read_status()
        return _status_in_words(status), asdict(status), _EXIT_CODES[status.verdict]

    def _check(self, options: dict[str, Any]) -> _Result:
        identity = _identity(options)
        decision = _standing(identity, options["cost"], exit_code=NOT_ASKED)
        is_admitted = decision.allowed or identity.tier in tiers_in_shadow()
        data = _standing_as_json(identity, decision) | {
            "cost": decision.cost,
            "admitted": is_admitted,
            "shadow": is_admitted and not decision.allowed,
            "retry_after_seconds": None if decision.allowed or _is_too_dear(decision) else decision.retry_after_seconds,
            "admitted_at": None if _is_too_dear(decision) else _in_future(decision.retry_after_seconds),
        }
        return f"{_standing_in_words(decision)}\n{_outlook(decision)}", data, 0 if is_admitted else _REFUSED

    def _reset(self, options: dict[str, Any]) -> _Result:
        identity = _identity(options)
        before = _standing(identity, exit_code=_AWAY)
        try:
            count = get_rate_limiter().reset(identity)
        except StoreError as error:
            raise _away(error.reason, _AWAY) from error
        words = f"{_standing_in_words(before)}\n" + (
            f"It is full now. A process that has just refused it may do so for {LIFE_SECONDS} seconds more."
            if count
            else "Nothing had to be filled."
        )
        return words, {"filled": bool(count), "before": _standing_as_json(identity, before)}, 0


# --- clients ----------------------------------------------------------------------------------------------------------


def _tokens(text: str) -> int:
    return whole_number(text, 1, MOST_REQUESTS, "tokens")


def _identity(options: dict[str, Any]) -> Identity:
    if options["tier"] is not None and options["name"] is None:
        raise CommandError("--tier goes with --name: every other client has a tier of its own.", returncode=NOT_THERE)
    if options["name"] is not None:
        return Identity.of(options["name"], options["tier"] or RateLimitTier.API_KEY.value)
    if options["address"] is not None:
        return client_at(options["address"])
    with asking_the_database():
        return (
            user_named(options["user"])
            if options["user"] is not None
            else key_with_prefix(checked_prefix(options["key"]))
        )


def _standing(identity: Identity, cost: int = 1, *, exit_code: int) -> Decision:
    """As Redis knows it. Raises CommandError where it does not decide: this process's memory knows of no requests."""
    limiter = get_rate_limiter()
    try:
        decision = limiter.peek(identity, cost)
    except StoreError as error:
        raise _away(error.reason, exit_code) from error
    stats = limiter.stats()
    if decision.is_unlimited and limit_for(identity.tier) is None:
        return decision
    if stats.reason or stats.wanted == MemoryStore.name:
        raise _away(stats.reason, exit_code)
    return decision


def _away(reason: str, exit_code: int) -> CommandError:
    if reason in {"", "no_cache"}:
        return CommandError(
            "Every process counts in its own memory, which no command can see or change: nothing was done.",
            returncode=exit_code,
        )
    return CommandError(
        f"Redis is away ({reason}), and every process decides alone: nothing was done.", returncode=exit_code
    )


# --- for machines -----------------------------------------------------------------------------------------------------


def _tier_as_json(tier: str) -> dict[str, Any]:
    limit, error = None, None
    try:
        limit = limit_for(tier)
    except InvalidLimitError as wrong:
        error = str(wrong)
    return {
        "tier": tier,
        "limit": limit.requests if limit else None,
        "window_seconds": limit.window_seconds if limit else None,
        "burst": limit.burst if limit else None,
        "share": share_of(tier),
        "on_outage": conf.on_outage.get(tier, "local"),
        "enforced": tier not in tiers_in_shadow(),
        "error": error,
    }


def _standing_as_json(identity: Identity, decision: Decision) -> dict[str, Any]:
    limit = decision.spec
    return {
        "kind": identity.kind,
        "tier": identity.tier,
        "limit": limit.requests if limit else None,
        "window_seconds": limit.window_seconds if limit else None,
        "burst": limit.burst if limit else None,
        "remaining": decision.remaining if limit else None,
        "full_again_at": _in_future(decision.reset_after_seconds),
    }


def _in_future(seconds: float) -> str | None:
    return rfc3339(datetime.now(UTC) + timedelta(seconds=seconds))


def _is_too_dear(decision: Decision) -> bool:
    """For a bucket that never holds as much."""
    return decision.spec is not None and decision.cost > decision.spec.burst


# --- for people -------------------------------------------------------------------------------------------------------


def _tiers_in_words(tiers: list[dict[str, Any]]) -> str:
    rows = [
        (
            tier["tier"],
            "wrong" if tier["error"] else "none" if tier["limit"] is None else f"{tier['limit']:,}",
            _number(tier["window_seconds"], " s"),
            _number(tier["burst"]),
            _number(tier["share"]),
            tier["on_outage"],
            "enforced" if tier["enforced"] else "shadow",
        )
        for tier in tiers
    ]
    header = ("tier", "limit", "window", "burst", "share", "on outage", "refusals")
    errors = [in_line(tier["error"]) for tier in tiers if tier["error"]]
    return "\n".join(
        [
            table(header, rows),
            f"share: of each of {conf.expected_processes:,} processes, where it decides alone",
            *errors,
        ]
    )


def _number(number: int | None, unit: str = "") -> str:
    return "-" if number is None else f"{number:,}{unit}"


def _status_in_words(status: Status) -> str:
    if status.reason == "no_cache":
        headline = f"There is no cache “{in_line(status.cache)}”, or none that works: every process decides alone."
    elif status.verdict == "redis_away":
        headline = f"Redis is away ({status.reason}): every process decides alone, from memory."
    elif status.backend == MemoryStore.name:
        headline = "Every process decides alone, from memory, as the settings want it."
    elif status.verdict == "drops_buckets":
        headline = "Redis decides, but drops buckets when its memory is full: what is dropped is full again."
    else:
        headline = "Redis decides, for all processes."
    shares = ", ".join(f"{in_line(tier)} {share:,}" for tier, share in status.shares.items() if share is not None)
    facts = [("cache", in_line(status.cache))]
    if status.address is not None:
        facts.append(("address", in_line(status.address)))
    if status.verdict != "redis_away" and status.backend != MemoryStore.name:
        counted = f"more than could be counted in {COUNTING_SECONDS:g} s"
        facts += [
            ("round trip", "-" if status.round_trip_ms is None else f"{status.round_trip_ms:.2f} ms"),
            ("when full", in_line(status.maxmemory_policy or "it does not say")),
            ("buckets", counted if status.buckets is None else f"{status.buckets:,} that are not full"),
        ]
    facts += [
        ("processes", f"{status.expected_processes:,} expected"),
        ("share", f"of each that decides alone: {shares or 'no limits'}"),
    ]
    return "\n".join([headline, *(f"  {name:<10}  {fact}" for name, fact in facts)])


def _standing_in_words(decision: Decision) -> str:
    limit = decision.spec
    if limit is None:
        return f"Tier {in_line(decision.tier)}: no limit."
    return (
        f"Tier {in_line(decision.tier)}: {limit.requests:,} every {limit.window_seconds:,} s. "
        f"{decision.remaining:,} of {limit.burst:,} left, full again {_after(decision.reset_after_seconds)}."
    )


def _outlook(decision: Decision) -> str:
    if decision.allowed:
        return "A request would be admitted."
    if _is_too_dear(decision):
        sentence = f"A request that costs {decision.cost:,} is never admitted."
    else:
        sentence = f"A request would be refused; it would be admitted {_after(decision.retry_after_seconds)}."
    if decision.tier in tiers_in_shadow():
        sentence += " It is let through all the same, as this tier's limit is not enforced."
    return sentence


def _after(seconds: float) -> str:
    if seconds <= 0:
        return "now"
    return f"in {seconds:,.1f} s, at {datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S} UTC"
