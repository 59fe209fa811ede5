"""`python -m tests.faces.pictures`: take the pictures of the documentation anew, of the sample world."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.faces.serving import serving
from tests.faces.visiting import browsing, visitor
from tests.installation import HOUSE

PICTURES = HOUSE / "docs" / "images"
SIZE = {"width": 1120, "height": 780}


def take() -> None:
    """Discoveries in the light, an artifact in the dark; each below 150 kB."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), planted=False) as world, browsing() as browser:
        visited = visitor(browser, world.site, **SIZE)
        visited.go("/?since=all")
        visited.page.screenshot(path=PICTURES / "discoveries.png")
        seen_twice = visited.page.get_attribute(".row:has-text('also in') h2 a >> nth=0", "href")
        visited = visitor(browser, world.site, **SIZE, scheme="dark")
        visited.go(str(seen_twice))
        visited.page.screenshot(path=PICTURES / "artifact-dark.png")


if __name__ == "__main__":
    take()
