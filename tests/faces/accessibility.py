"""axe-core over a page: the rules of WCAG 2.2, levels A and AA."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

OPTIONS: dict[str, Any] = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "rules": {"target-size": {"enabled": True}},
    "resultTypes": ["violations"],
}

_axe = Axe()


def violations(page: Page, *, known: frozenset[str] = frozenset()) -> list[str]:
    """Each broken rule with the first elements that break it; ``known`` rules are left out."""
    found = _axe.run(page, options=OPTIONS).response["violations"]
    return [
        f"{rule['id']}: {rule['help']}: {[node['target'] for node in rule['nodes'][:3]]}"
        for rule in found
        if rule["id"] not in known
    ]
