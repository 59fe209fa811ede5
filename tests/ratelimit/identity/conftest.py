"""Fixtures for the tests of who asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from ratelimit.identity import rows
from ratelimit.identity.directory import Directory
from tests.ratelimit.identity.tables import Tables


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Tables:
    tables = Tables()
    for name in ("read_keys", "read_user_tiers", "write_last_used"):
        monkeypatch.setattr(rows, name, getattr(tables, name))
    return tables


@pytest.fixture
def directory(tables: Tables, settings: Settings) -> Iterator[Directory]:
    settings.RATELIMIT_REFRESH_SECONDS = 600.0  # by default nothing is refreshed but what a test has refreshed
    directory = Directory()
    yield directory
    tables.may_answer.set()
    directory.stop()
