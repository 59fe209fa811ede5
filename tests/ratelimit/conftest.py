"""Fixtures for the tests of the limiter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as project

from ratelimit.conf import forget_settled


@pytest.fixture(autouse=True)
def nothing_kept(settings: Any) -> Iterator[None]:
    """Every test begins with full buckets and the app's own defaults, whatever project it runs in."""
    for name in [name for name in dir(project) if name.startswith("RATELIMIT_")]:
        delattr(settings, name)
    forget_settled()
    yield
    forget_settled()
