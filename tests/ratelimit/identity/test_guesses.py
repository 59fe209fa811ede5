"""What keys nobody knows cost the address they come from, and what they must not cost others there."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import RequestFactory

from ratelimit.identity import directory as module
from ratelimit.identity import resolve, resolver
from ratelimit.identity.directory import Directory
from ratelimit.identity.suspects import FAILED_LOOKUPS, Suspects
from ratelimit.keys import hash_of, new_key
from tests.ratelimit.identity.tables import SOON_SECONDS, Tables

CROWD = 60


@pytest.fixture(autouse=True)
def process(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "get_directory", lambda: directory)
    monkeypatch.setattr(resolver, "_suspects", Suspects())
    monkeypatch.setattr(module, "LOOKUP_WAIT_SECONDS", SOON_SECONDS)  # however busy the machine is


def request(text: str) -> Any:
    return RequestFactory().get("/", REMOTE_ADDR="203.0.113.9", HTTP_X_API_KEY=text)


def use_up_the_turns() -> None:
    for _ in range(FAILED_LOOKUPS.requests):
        resolve(request(new_key()))


def test_a_good_key_that_was_idle_is_read_again_wherever_others_guess(
    tables: Tables, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = new_key()
    monkeypatch.setattr(module, "LATE_SECONDS", -600.0)  # believed for no time at all
    tables.add(hash_of(text))
    resolve(request(text))
    use_up_the_turns()
    assert directory.find_key(hash_of(text)) is None
    assert resolve(request(text)).kind == "api_key"
