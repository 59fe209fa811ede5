"""The tests' project, whose page is for those with the token only."""

from __future__ import annotations

from tests.observability.settings import *  # noqa: F403 - all of them but for what follows

OBSERVABILITY_TOKEN = "of a scraper"
OBSERVABILITY_ALLOWED_NETWORKS = ()
