"""`python -m tests.ratelimit.elsewhere`: keys and tiers in that project's admin; an error where that fails."""

from __future__ import annotations

import os
import re

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.ratelimit.elsewhere.settings"
django.setup()

from django.core.management import call_command  # noqa: E402 - Django has to be set up before its models are imported
from django.test import Client  # noqa: E402 - as above

from ratelimit.models import ApiKey, TierAssignment  # noqa: E402 - as above
from tests.ratelimit.elsewhere.models import Person  # noqa: E402 - as above


def walk() -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    call_command("check")
    anna = Person.objects.create(email="anna@elsewhere.example")
    client = Client()
    client.force_login(anna)
    keys, tiers = "/admin/ratelimit/apikey/", "/admin/ratelimit/tierassignment/"
    form = {"name": "a key", "scope": "read", "owner": anna.pk, "tier": "", "note": ""}
    assert re.search(r"shk_\w{36}", client.post(f"{keys}add/", form).content.decode())
    key = ApiKey.objects.get()
    assert client.post(f"{tiers}add/", {"user": anna.pk, "tier": "premium", "note": ""}).status_code == 302
    assignment = TierAssignment.objects.get()
    for address in (
        *(f"{keys}{query}" for query in ("", "add/", "?q=anna", "?state=active", "?state=owner+inactive", "?o=3")),
        *(f"{tiers}{query}" for query in ("", "add/", "?q=anna", "?tier=premium", "?o=1")),
        *(f"{keys}{key.pk}/{name}/" for name in ("change", "revoke", "rotate")),
        f"{tiers}{assignment.pk}/change/",
    ):
        assert client.get(address).status_code == 200, address
    assert '<td class="field-owner_shown">anna@elsewhere.example</td>' in client.get(f"{keys}?q=anna").content.decode()
    assert "field-owner_shown" not in client.get(f"{keys}?state=owner+inactive").content.decode()
    chosen = {"_selected_action": [assignment.pk], "confirmed": "yes"}
    client.post(tiers, chosen | {"action": "change_tier", "tier": "admin"})
    client.post(keys, {"_selected_action": [key.pk], "confirmed": "yes", "action": "revoke"})
    assert TierAssignment.objects.get().tier == "admin"
    assert ApiKey.objects.get().revoked_at
    assert client.post(f"{keys}{key.pk}/delete/", {"post": "yes"}).status_code == 403


if __name__ == "__main__":
    walk()
