"""The page while the database hangs: how soon it comes, and whether it says that some of it is old."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from prometheus_client.parser import text_string_to_metric_families

from tests import services
from tests.benchmarks.comparison.table import Row
from tests.benchmarks.observability.server import GTHREAD, PATIENCE_SECONDS, Answer, Server, serving
from tests.relay import relay

_SETTINGS = '{"OBSERVABILITY_SNAPSHOT_SECONDS": 1, "OBSERVABILITY_COLLECT_TIMEOUT_SECONDS": 1}'
_SCRAPES = 50
_PAUSE_SECONDS = 0.1
_MOST_MS = 20.0
_PEERS_SCRAPES = 2
_WELL_SECONDS = 30.0

_ASKING = "db_connections_active"


@dataclass(frozen=True)
class _Page:
    """What a page says of the collectors that ask the database."""

    has_values: bool
    success: dict[str, float]
    ages: dict[str, float]


def outage(peers: Path | None) -> list[Row]:
    url = services.start_postgresql()
    if url is None:
        return [Row("scrape with the database hung", "", "not measured", "no PostgreSQL can be started here", None, {})]
    port = int(url.rpartition(":")[2].partition("/")[0])
    peer = _peers(port)
    with relay("127.0.0.1", port) as link:
        around = {"BENCH_DATABASE": str(link.port), "BENCH_SETTINGS": _SETTINGS}
        with serving("ours", GTHREAD, more=around) as server:
            before = _until_well(server)
            healthy, _ = _asked(server)
            link.flows.clear()
            before_cpu = server.cpu_seconds()
            scrapes, bare = _asked(server)
            cpu_ms = (server.cpu_seconds() - before_cpu) / _SCRAPES * 1000
            after = _page(server.get("/metrics"))
    return _rows(before, after, scrapes, healthy, bare, cpu_ms, peer)


def _rows(
    before: _Page,
    after: _Page,
    scrapes: Sequence[Answer],
    healthy: Sequence[Answer],
    bare: Sequence[Answer],
    cpu_ms: float,
    peer: str,
) -> list[Row]:
    ms, bare_ms, healthy_ms = ([answer.seconds * 1000 for answer in each] for each in (scrapes, bare, healthy))
    failed = sum(answer.status != 200 for answer in scrapes)
    stale = [name for name, success in after.success.items() if success == 0 and before.success.get(name) == 1]
    youngest = min((after.ages.get(name, 0.0) for name in stale), default=0.0)
    is_marked = bool(stale) and youngest > 2 and after.has_values
    return [
        Row(
            f"{_SCRAPES} scrapes with the database hung: p50, max",
            f"≤ {_MOST_MS:.0f} ms",
            f"{median(ms):.1f}, {max(ms):.1f} ms",
            f"{failed} failed; healthy {median(healthy_ms):.1f}, {max(healthy_ms):.1f}; a bare view in between "
            f"{median(bare_ms):.1f}, {max(bare_ms):.1f}; {cpu_ms:.1f} ms of CPU for both; "
            f"a collector that asks at the scrape: {peer}",
            failed == 0 and max(ms) <= _MOST_MS,
            {"p50_ms": median(ms), "max_ms": max(ms), "bare_max_ms": max(bare_ms), "failed": failed},
        ),
        Row(
            "and what is old is marked: success 0, its age, its values there",
            "all three",
            f"{', '.join(stale) or 'none'}, {youngest:.1f} s, {'there' if after.has_values else 'gone'}",
            f"refreshed each second before, and given up after one; {_ages(after)}",
            is_marked,
            {"youngest_seconds": youngest},
        ),
    ]


def _ages(page: _Page) -> str:
    return ", ".join(f"{name} {age:.1f} s" for name, age in sorted(page.ages.items()))


def _until_well(server: Server) -> _Page:
    until = time.monotonic() + _WELL_SECONDS
    while True:
        page = _page(server.get("/metrics"))
        if page.has_values and page.success and all(page.success.values()):
            return page
        if time.monotonic() > until:
            raise RuntimeError(f"the collectors do not get well: {page}")
        time.sleep(0.1)


def _asked(server: Server) -> tuple[list[Answer], list[Answer]]:
    """Scrapes, and between them a view that needs nothing."""
    scrapes, bare = [], []
    for _ in range(_SCRAPES):
        time.sleep(_PAUSE_SECONDS / 2)
        bare.append(server.get("/hello/"))
        time.sleep(_PAUSE_SECONDS / 2)
        scrapes.append(server.get("/metrics"))
    return scrapes, bare


def _page(answer: Answer) -> _Page:
    if answer.status != 200:
        raise RuntimeError(f"the page is answered with {answer.status}")
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        found[family.name] = {sample.labels.get("collector", ""): sample.value for sample in family.samples}
    return _Page(
        bool(found.get(_ASKING)),
        found.get("metrics_collector_success", {}),
        found.get("metrics_snapshot_age_seconds", {}),
    )


def _peers(port: int) -> str:
    with (
        relay("127.0.0.1", port) as link,
        serving("django-prometheus", GTHREAD, more={"BENCH_DATABASE": str(link.port)}) as server,
    ):
        healthy = server.get("/metrics")
        if healthy.status != 200 or _ASKING.encode() not in healthy.body:
            return "not measured"
        link.flows.clear()
        answers = [server.get("/metrics") for _ in range(_PEERS_SCRAPES)]
    if all(answer.status == 0 for answer in answers):
        return f"none in {PATIENCE_SECONDS:.0f} s"
    return ", ".join(f"{answer.status} after {answer.seconds:.1f} s" for answer in answers)
