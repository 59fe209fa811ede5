"""A module that ends whatever process imports it."""

from __future__ import annotations

raise SystemExit(3)
