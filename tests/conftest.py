"""Fixtures every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from tests import services


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The second pass, on PostgreSQL, repeats only what touches a database."""
    if not services.WANTS_POSTGRESQL:
        return
    database_fixtures = {"db", "transactional_db", "live_server"}
    kept = [
        item
        for item in items
        if item.get_closest_marker("django_db") or database_fixtures & set(getattr(item, "fixturenames", ()))
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    yield
    cache.clear()


@pytest.fixture
def kept_connection(db: None) -> Iterator[None]:
    """For calling the WSGI application itself: as in Django's client, a request leaves the test's transaction open."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)
