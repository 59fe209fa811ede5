"""`python -m tests.faces.pictures`: take the pictures of the documentation anew, of the sample world."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from tests.faces.serving import serving
from tests.faces.visiting import browsing, visitor
from tests.installation import HOUSE
from tests.services import redis_process

PICTURES = HOUSE / "docs" / "images"
SIZE = {"width": 1120, "height": 780}
TALL = {"width": 860, "height": 1020}
WIDE = {"width": 1280, "height": 560}


def take() -> None:
    """Each below 150 kB."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with browsing() as browser:
        take_pages(browser)
        take_limits(browser)
        take_health(browser)


def take_pages(browser: Browser) -> None:
    """Discoveries in the light, an artifact in the dark."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), planted=False) as world:
        visited = visitor(browser, world.site, **SIZE)
        visited.go("/?since=all")
        visited.page.screenshot(path=PICTURES / "discoveries.png")
        seen_twice = visited.page.get_attribute(".row:has-text('also in') h2 a >> nth=0", "href")
        visited = visitor(browser, world.site, **SIZE, scheme="dark")
        visited.go(str(seen_twice))
        visited.page.screenshot(path=PICTURES / "artifact-dark.png")


def take_limits(browser: Browser) -> None:
    """The admin's lists of keys and of tiers, with buckets that have just been used."""
    with tempfile.TemporaryDirectory() as folder, redis_process() as server:
        settings = {"REDIS_URL": server.url, "RATELIMIT_TIERS": "{}"}
        with serving(Path(folder), planted=False, settings=settings) as world:
            subprocess.run(
                [sys.executable, "-m", "tests.faces.limits"], cwd=HOUSE, env=world.installed.environment, check=True
            )
            visited = visitor(browser, world.site, **WIDE)
            visited.sign_in("anna", "correct horse battery")  # as tests.factories has it
            visited.go("/admin/ratelimit/apikey/")
            visited.page.click("#toggle-nav-sidebar")
            for model, name in (("apikey", "ratelimit-keys"), ("tierassignment", "ratelimit-tiers")):
                visited.go(f"/admin/ratelimit/{model}/")
                visited.page.screenshot(path=PICTURES / f"{name}.png")


def take_health(browser: Browser) -> None:
    """The page of the probes with details, in the sample world, where no worker runs."""
    settings = {"HEALTH_DETAIL_NETWORKS": "127.0.0.1"}
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), planted=False, settings=settings) as world:
        visited = visitor(browser, world.site, **TALL)
        visited.go("/health/")
        visited.page.screenshot(path=PICTURES / "health.png")


if __name__ == "__main__":
    take()
