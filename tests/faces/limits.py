"""`python -m tests.faces.limits`: keys in every state, users with tiers, and buckets that have just been used."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harvester.config.settings")
django.setup()

from django.contrib import admin  # noqa: E402 - Django has to be set up before its models are imported
from django.utils import timezone  # noqa: E402 - as above

from ratelimit import get_rate_limiter  # noqa: E402 - as above
from ratelimit.models import ApiKey, TierAssignment  # noqa: E402 - as above
from tests import factories  # noqa: E402 - as above


def plant() -> None:
    now, day = timezone.now(), timedelta(days=1)
    factories.make_staff("anna", is_superuser=True)
    ben, carla, dora = (factories.make_user(name) for name in ("ben", "carla", "dora"))
    lately: dict[str, Any] = {"last_used_at": now - timedelta(minutes=4)}
    keys: list[tuple[dict[str, Any], int]] = [
        ({"name": "Old notebook", "owner": factories.make_user("emil", is_active=False)}, 0),
        ({"name": "Retired script", "owner": ben, "revoked_at": now - 9 * day, "last_used_at": now - 10 * day}, 0),
        ({"name": "Conference demo", "expires_at": now - 2 * day, "last_used_at": now - 3 * day}, 0),
        ({"name": "Review robot", "owner": carla, "scope": "write", "expires_at": now + 90 * day, **lately}, 120),
        ({"name": "Partner lab", "owner": dora, "tier": "premium", **lately}, 4_200),
        ({"name": "Status board", "tier": "admin", **lately}, 0),
        ({"name": "Weekly digest", "owner": ben, **lately}, 1_000),
    ]
    for index, (fields, cost) in enumerate(keys):
        issued, _ = ApiKey.objects.issue(created_at=now - 60 * day + timedelta(hours=index), **fields)
        _use(issued, cost)
    assignments: list[tuple[Any, str, str, int]] = [
        (ben, "api_key", "", 0),
        (factories.make_user("felix"), "admin", "Runs the nightly comparison", 0),
        (dora, "premium", "Partner lab, until March", 3_900),
        (carla, "premium", "Reviews for the whole team", 800),
    ]
    for user, tier, note, cost in assignments:
        _use(TierAssignment.objects.create(user=user, tier=tier, note=note), cost)


def _use(row: Any, cost: int) -> None:
    if cost:
        registered: Any = admin.site.get_model_admin(type(row))
        get_rate_limiter().check(registered.identity_of(row), cost)


if __name__ == "__main__":
    plant()
