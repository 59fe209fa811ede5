"""What the head of every page shows."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def page_head(request: HttpRequest) -> dict[str, Any]:
    return {}
