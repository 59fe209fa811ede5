"""A process that has collected nothing yet, with the collectors of the test alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from observability.collectors import forget_collected
from tests.observability.collectors import fakes
from tests.observability.servers import add_database, our_threads, postgresql, until

__all__ = ("add_database", "postgresql")


@pytest.fixture(autouse=True)
def fresh(settings: Any) -> Iterator[None]:
    """No thread is left behind by any test."""
    settings.OBSERVABILITY_DATABASES = ()
    settings.OBSERVABILITY_CACHES = ()
    settings.OBSERVABILITY_COLLECTORS = ()
    fakes.begin()
    forget_collected()
    yield
    fakes.end()
    forget_collected()
    until(lambda: not our_threads())
