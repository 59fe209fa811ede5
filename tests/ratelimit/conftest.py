"""Fixtures for the tests of the limiter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ratelimit.conf import forget_settled


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Every test begins with full buckets and reads its own settings."""
    forget_settled()
    yield
    forget_settled()
