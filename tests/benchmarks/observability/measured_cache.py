"""A cache that is measured although the app is not installed, which would measure all others as well."""

from __future__ import annotations

from typing import Any

from django.core.cache.backends.locmem import LocMemCache

from observability.cache import instrument


class MeasuredCache(LocMemCache):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        instrument(self, "own")
