"""`manage.py harvest` killed (SIGKILL) at five different points and run again: nothing lost, nothing doubled."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests import services
from tests.fakes import rss, rss_item
from tests.installation import Installation, installation
from tests.loopback import Answer, Loopback, loopback

PAPERS = 450
ENTRIES = 600
FEEDS = 3
TOTAL = PAPERS + FEEDS * ENTRIES
PAGE = 100
PATIENCE_SECONDS = 60

ATOM = 'xmlns="http://www.w3.org/2005/Atom" xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"'


class World:
    """An arXiv of five pages and three feeds that share their links; one request may be held until the test lets go."""

    def __init__(self) -> None:
        self.hold: str | None = None
        self.reached = threading.Event()
        self.release = threading.Event()

    def answer(self, path: str, _: Mapping[str, str]) -> Answer:
        if self.hold is not None and self.hold in path:
            self.reached.set()
            self.release.wait(PATIENCE_SECONDS)
        if path.startswith("/feed"):
            return Answer(self._feed(path.removeprefix("/feed")))
        start = int(parse_qs(urlsplit(path).query)["start"][0])
        return Answer(self._papers(start))

    def _feed(self, name: str) -> bytes:
        dated = "Mon, 02 Mar 2026 10:00:00 GMT"
        entries = (
            rss_item(
                f"{name}-{n}", title=f"Entry {n} of feed {name}", link=f"https://blog.example/{n}", published=dated
            )
            for n in range(ENTRIES)
        )
        return rss(*entries).encode()

    def _papers(self, start: int) -> bytes:
        entries = "".join(
            f"<entry><id>http://arxiv.org/abs/2603.{n:05}v1</id><title>Paper number {n} of them</title>"
            f"<published>2026-03-01T00:00:00Z</published><updated>2026-03-01T00:00:00Z</updated>"
            f"<summary>About {n}.</summary><author><name>Ada Example</name></author></entry>"
            for n in range(start, min(start + PAGE, PAPERS))
        )
        return (
            f"<feed {ATOM}><opensearch:totalResults>{PAPERS}</opensearch:totalResults>"
            f"<opensearch:startIndex>{start}</opensearch:startIndex>{entries}</feed>"
        ).encode()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def web(world: World) -> Iterator[Loopback]:
    with loopback(world.answer) as server:
        yield server
        world.release.set()


@pytest.fixture(params=["sqlite", "postgresql"])
def installed(request: pytest.FixtureRequest, tmp_path: Path, web: Loopback) -> Iterator[Installation]:
    url = services.require_postgresql() if request.param == "postgresql" else None
    with installation(tmp_path, url) as ready:
        ready.manage(
            "source", "add", "arxiv", "--name", "papers", "--query", "all:x", "--url", f"{web.address}/api/query"
        )
        for n in range(FEEDS):
            ready.manage("source", "add", "feed", "--name", f"feed {n}", "--url", f"{web.address}/feed{n}")
        yield ready


def artifacts(stage: str) -> str:
    return f"SELECT count(*) FROM harvester_artifact WHERE stage = '{stage}'"  # noqa: S608 - a constant of this test


def kill_when(installed: Installation, is_time: Callable[[], bool], *arguments: str) -> None:
    process = installed.start("harvest", *arguments)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and not is_time():
        assert time.monotonic() < deadline, "the point was never reached"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it had ended before it could be killed"


@pytest.mark.timeout(240)
def test_nothing_is_lost_and_nothing_doubled(installed: Installation, world: World) -> None:
    world.hold = "start=0"
    kill_when(installed, world.reached.is_set)  # 1: while the first reply is awaited
    assert installed.count("SELECT count(*) FROM harvester_artifact") == 0

    world.hold = "start=300"
    world.reached.clear()
    kill_when(installed, world.reached.is_set)  # 2: in the middle of a walk through pages
    world.hold = None
    world.release.set()
    assert installed.count("SELECT count(*) FROM harvester_artifact") >= 300

    stored = "SELECT count(*) FROM harvester_artifact WHERE external_id LIKE '%-%'"
    kill_when(installed, lambda: installed.count(stored) > 0)  # 3: while feeds are being stored
    kill_when(installed, lambda: installed.count(artifacts("linked")) > 0)  # 4: while works are being linked
    kill_when(installed, lambda: installed.count(artifacts("scored")) > 0)  # 5: while scores are being written

    printed = installed.harvest()
    assert printed["status"] == "succeeded"
    assert installed.count(artifacts("scored")) == TOTAL
    assert installed.count("SELECT count(*) FROM harvester_artifact") == TOTAL
    assert installed.count("SELECT count(*) FROM harvester_score") == TOTAL
    assert installed.count("SELECT count(*) FROM harvester_relationship") == ENTRIES * (FEEDS - 1)
    assert installed.rows("SELECT status, count(*) FROM harvester_run GROUP BY status ORDER BY status") == [
        ("failed", 5),
        ("succeeded", 1),
    ]
    assert installed.count("SELECT count(*) FROM harvester_source WHERE claimed_by_id IS NOT NULL") == 0

    again = installed.harvest()
    assert [(report["created"], report["updated"]) for report in again["sources"]] == [(0, 0)] * (FEEDS + 1)
