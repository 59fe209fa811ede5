"""`manage.py apikey`: make keys for programs."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ratelimit.errors import UnknownTierError
from ratelimit.keys import KeyScope
from ratelimit.models import ApiKey
from ratelimit.tiers import RateLimitTier, limit_for

_MOST_DAYS = 36_500  # a century, safely before the calendar ends


class Command(BaseCommand):
    help = "Manage API keys. --json prints the result for machines; exit code 2 means that nothing was changed."

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
        create.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *_: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _create(self, options: dict[str, Any]) -> None:
        days = options["expires"]
        try:
            issued, key = ApiKey.objects.issue(
                name=options["name"].strip(),
                tier=_tier(options["tier"]),
                scope=options["scope"],
                owner=_owner(options["user"]),
                expires_at=timezone.now() + timedelta(days=days) if days else None,
            )
        except UnknownTierError as error:
            raise CommandError(str(error), returncode=2) from error
        except ValidationError as error:
            sentences = [f"{field}: {' '.join(told)}" for field, told in error.message_dict.items()]
            raise CommandError(" ".join(sentences), returncode=2) from error
        self.stdout.write(json.dumps(_as_json(issued, key)) if options["json"] else _in_words(issued, key))


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_DAYS):
        raise ArgumentTypeError(f"a whole number of days from 1 to {_MOST_DAYS:,} is needed, not “{text}”")
    return int(text)


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
    except users.DoesNotExist as error:
        raise CommandError(f"There is no user “{username}”.", returncode=2) from error
    return owner


def _as_json(issued: ApiKey, key: str) -> dict[str, Any]:
    return {
        "key": key,
        "name": issued.name,
        "prefix": issued.prefix,
        "tier": issued.tier or RateLimitTier.API_KEY.value,
        "scopes": sorted(issued.scopes),
        "user": issued.owner.get_username() if issued.owner else None,
        "created_at": issued.created_at.isoformat(),
        "expires_at": issued.expires_at.isoformat() if issued.expires_at else None,
    }


def _in_words(issued: ApiKey, key: str) -> str:
    until = f"until {issued.expires_at:%Y-%m-%d %H:%M} UTC" if issued.expires_at else "until it is revoked"
    return (
        f"{key}\n"
        f"This is “{issued.name}” ({issued.tier or RateLimitTier.API_KEY.value}; {', '.join(sorted(issued.scopes))}), "
        f"good {until}. It is shown only now: keep it where secrets are kept."
    )
