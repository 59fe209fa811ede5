"""The tests' project as it would run: what is outside its domain is counted under “other” instead of raising."""

from __future__ import annotations

from tests.observability.settings import *  # noqa: F403 - all of them

OBSERVABILITY_STRICT = False
