"""Finds settings that cannot be meant, before the first probe does."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage


def check_settings(**_: Any) -> list[CheckMessage]:
    """All that is wrong anywhere."""
    return []
