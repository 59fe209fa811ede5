"""The product as shipped, on a free port, with the sample world; and the addresses of everything in it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.installation import HOUSE, Installation, installation
from tests.services import free_port

START_SECONDS = 30


@dataclass(frozen=True)
class World:
    """Where the product is served, and the ids of what stands in it."""

    site: str
    installed: Installation

    def id_of(self, table: str, where: str) -> int:
        return self.installed.count(f"SELECT min(id) FROM harvester_{table} WHERE {where}")  # noqa: S608 - our own words

    @property
    def artifacts(self) -> dict[str, int]:
        """Artifacts by what is special about them."""
        known_twice = "id IN (SELECT source_id FROM harvester_relationship)"
        return {
            "scored": self.id_of("artifact", f"stage = 'scored' AND {known_twice}"),
            "unscored": self.id_of("artifact", "stage = 'ingested'"),
            "hostile": self.id_of("artifact", "canonical_url LIKE 'javascript:%'"),
        }

    @property
    def runs(self) -> dict[str, int]:
        return {
            status: self.id_of("run", f"status = '{status}'") for status in ("queued", "running", "succeeded", "failed")
        }

    @property
    def pages(self) -> dict[str, str]:
        """Every page and every state of it, by a name."""
        artifacts = {f"artifact, {name}": f"/artifacts/{number}" for name, number in self.artifacts.items()}
        runs = {f"run, {name}": f"/runs/{number}" for name, number in self.runs.items()}
        return {
            "discoveries": "/",
            "discoveries, filtered": "/?kind=preprint&since=all&sort=newest",
            "discoveries, none": "/?kind=release&min_score=100",
            "discoveries, refused": "/?kind=novel&min_score=high",
            "discoveries, cursor refused": "/?cursor=x",
            **artifacts,
            "sources": "/sources",
            "runs": "/runs",
            **runs,
            "score": "/about/score",
            "API": "/about/api",
            "sign in": "/account/sign-in",
            "not found": "/nowhere",
            "health": "/health/",
            "health, live": "/health/live",
        }


@contextlib.contextmanager
def serving(folder: Path, *, planted: bool, settings: Mapping[str, str] | None = None) -> Iterator[World]:
    """The sample world, served by gunicorn; with ``planted`` also every state that a harvest does not leave behind.

    ``settings``: further ones, by their names in the environment.
    """
    port = free_port()
    extra = {
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "CELERY_BROKER_URL": "memory://",
        "RATELIMIT_TIERS": '{"anonymous": {"limit": 100000}, "api_key": {"limit": 100000}}',  # browsers walk fast
        **(settings or {}),
    }
    with installation(folder, extra=extra) as installed:
        installed.manage("collectstatic", "--no-input", "--verbosity", "0")
        installed.manage("sample", "load")
        if planted:
            subprocess.run(
                [sys.executable, "-m", "tests.faces.world"], cwd=HOUSE, env=installed.environment, check=True
            )
        with (folder / "server.log").open("wb") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py"],
                cwd=HOUSE,
                env=installed.environment,
                stdout=log,
                stderr=log,
            )
        try:
            site = f"http://127.0.0.1:{port}"
            _wait_for(f"{site}/robots.txt")
            yield World(site, installed)
        finally:
            server.terminate()
            server.wait(10)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
