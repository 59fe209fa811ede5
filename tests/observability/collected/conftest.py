"""Only what the test names is asked, anew at each reading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from observability.collectors import forget_collected
from tests.observability.servers import add_database, our_threads, postgresql, until

__all__ = ("add_database", "postgresql")


@pytest.fixture(autouse=True)
def fresh(settings: Any) -> Iterator[None]:
    settings.OBSERVABILITY_DATABASES = ()
    settings.OBSERVABILITY_CACHES = ()
    settings.OBSERVABILITY_COLLECTORS = ()
    forget_collected()
    yield
    forget_collected()
    until(lambda: not our_threads())
