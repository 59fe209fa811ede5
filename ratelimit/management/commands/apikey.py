"""`manage.py apikey`: make, list, revoke and rotate keys for programs."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ratelimit.errors import UnknownTierError
from ratelimit.keys import KeyScope
from ratelimit.management.output import (
    NOT_THERE,
    asking_the_database,
    in_line,
    in_words,
    rfc3339,
    table,
    whole_number,
)
from ratelimit.management.prefixes import checked_prefix
from ratelimit.models import ApiKey
from ratelimit.tiers import RateLimitTier, limit_for

_MOST_DAYS = 36_500  # a century, safely before the calendar ends
_MOST_HOURS = 8_784  # a leap year
_GOOD = ("active", "rotated")


class Command(BaseCommand):
    help = (
        "Manage API keys. --json prints the result for machines. Exit code 2: asked for what cannot be; 3: the "
        "database does not answer; either way nothing was changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        create = actions.add_parser("create", help="make a key and print it, once")
        create.add_argument("--name", required=True, help="what it is for")
        create.add_argument("--tier", default="", help="how much it may; default: what every key may")
        create.add_argument(
            "--scope",
            choices=[scope.value for scope in KeyScope],
            default=KeyScope.READ.value,
            help="write includes read; default: read",
        )
        create.add_argument("--user", default="", help="its owner, who bounds what it may; default: nobody")
        create.add_argument("--expires", type=_days, metavar="DAYS", help="default: never")
        listing = actions.add_parser("list", help="the keys that are good, the latest first")
        listing.add_argument("--user", default="", help="only those of this owner")
        listing.add_argument("--tier", default="", help="only those of this tier")
        listing.add_argument("--all", action="store_true", help="also those that are good no more")
        revoke = actions.add_parser("revoke", help="end a key for good")
        rotate = actions.add_parser("rotate", help="make a key's successor and print it, once")
        rotate.add_argument(
            "--overlap",
            type=_hours,
            default=24,
            metavar="HOURS",
            help="how long the old key stays good beside it; 0 revokes it at once; default: 24",
        )
        for action in (revoke, rotate):
            action.add_argument("prefix", metavar="PREFIX", help="the 8 characters that `apikey list` shows")
        for action in (create, listing, revoke, rotate):
            action.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *_: Any, **options: Any) -> None:
        act = getattr(self, f"_{options['action']}")
        try:
            with asking_the_database():
                words, data = act(options)
        except UnknownTierError as error:
            raise CommandError(in_line(str(error)), returncode=NOT_THERE) from error
        except ValidationError as error:
            raise CommandError(in_line(_sentences(error)), returncode=NOT_THERE) from error
        self.stdout.write(json.dumps(data) if options["json"] else words)

    def _create(self, options: dict[str, Any]) -> tuple[str, Any]:
        days = options["expires"]
        issued, key = ApiKey.objects.issue(
            name=options["name"].strip(),
            tier=_tier(options["tier"]),
            scope=options["scope"],
            owner=_owner(options["user"]),
            expires_at=timezone.now() + timedelta(days=days) if days else None,
        )
        return _shown_once(issued, key), {"key": key} | _as_json(issued)

    def _list(self, options: dict[str, Any]) -> tuple[str, Any]:
        keys = ApiKey.objects.select_related("owner")
        owner, tier = _owner(options["user"]), _tier(options["tier"])
        if owner is not None:
            keys = keys.filter(owner_id=owner.pk)
        if tier:
            keys = keys.filter(tier__in=[tier, ""] if tier == RateLimitTier.API_KEY else [tier])
        listed = [key for key in keys if options["all"] or key.state in _GOOD]
        return _in_table(listed), [_with_state(key) for key in listed]

    def _revoke(self, options: dict[str, Any]) -> tuple[str, Any]:
        key = _key(options["prefix"])
        if key.revoked_at is not None:
            raise CommandError(f"It was revoked already, on {in_words(key.revoked_at)} UTC.", returncode=NOT_THERE)
        key.revoke()
        words = f"Revoked “{in_line(key.name)}” ({key.prefix}). Every process refuses it within 5 seconds."
        return words, _with_state(key)

    def _rotate(self, options: dict[str, Any]) -> tuple[str, Any]:
        old = _key(options["prefix"])
        issued, key = old.rotate(timedelta(hours=options["overlap"]))
        ends = "is revoked" if old.revoked_at else f"is good until {in_words(old.expires_at)} UTC"
        words = f"{_shown_once(issued, key)}\nIts predecessor {old.prefix} {ends}."
        return words, {"key": key} | _as_json(issued) | {"predecessor": _with_state(old)}


# --- what was written -------------------------------------------------------------------------------------------------


def _days(text: str) -> int:
    return whole_number(text, 1, _MOST_DAYS, "days")


def _hours(text: str) -> int:
    return whole_number(text, 0, _MOST_HOURS, "hours")


def _tier(name: str) -> str:
    if name:
        limit_for(name)
    return name


def _owner(username: str) -> AbstractBaseUser | None:
    if not username:
        return None
    users = get_user_model()
    try:
        owner: AbstractBaseUser = users.objects.get_by_natural_key(username)
    except (users.DoesNotExist, ValueError) as error:  # a name that the database cannot even hold is nobody's
        raise CommandError(f"There is no user “{in_line(username)}”.", returncode=NOT_THERE) from error
    return owner


def _key(prefix: str) -> ApiKey:
    key = ApiKey.objects.select_related("owner").filter(prefix=checked_prefix(prefix)).first()
    if key is None:
        raise CommandError(f"There is no key “{prefix}”.", returncode=NOT_THERE)
    return key


def _sentences(error: ValidationError) -> str:
    if hasattr(error, "error_dict"):
        return " ".join(f"{field}: {' '.join(told)}" for field, told in error.message_dict.items())
    return " ".join(error.messages)


# --- what is shown ----------------------------------------------------------------------------------------------------


def _as_json(key: ApiKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "prefix": key.prefix,
        "tier": key.tier or RateLimitTier.API_KEY.value,
        "scopes": sorted(key.scopes),
        "user": key.owner.get_username() if key.owner else None,
        "created_at": rfc3339(key.created_at),
        "expires_at": rfc3339(key.expires_at),
    }


def _with_state(key: ApiKey) -> dict[str, Any]:
    return _as_json(key) | {
        "state": key.state,
        "last_used_at": rfc3339(key.last_used_at),
        "rotated_at": rfc3339(key.rotated_at),
        "revoked_at": rfc3339(key.revoked_at),
    }


def _shown_once(issued: ApiKey, key: str) -> str:
    until = f"until {in_words(issued.expires_at)} UTC" if issued.expires_at else "until it is revoked"
    return (
        f"{key}\n"
        f"This is “{in_line(issued.name)}” ({issued.tier or RateLimitTier.API_KEY.value}; "
        f"{', '.join(sorted(issued.scopes))}), good {until}. "
        "It is shown only now: keep it where secrets are kept."
    )


def _in_table(keys: Iterable[ApiKey]) -> str:
    rows = [
        (
            key.prefix,
            key.name,
            key.owner.get_username() if key.owner else "-",
            key.scope,
            key.tier or RateLimitTier.API_KEY.value,
            key.state,
            in_words(key.created_at),
            in_words(key.last_used_at, "never"),
            in_words(key.expires_at, "never"),
        )
        for key in keys
    ]
    if not rows:
        return "No such keys. Make one with `manage.py apikey create`."
    header = ("prefix", "name", "owner", "scope", "tier", "state", "created (UTC)", "last used", "expires")
    return table(header, rows)
