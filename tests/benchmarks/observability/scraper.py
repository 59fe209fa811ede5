"""A worker process that makes the page of the metrics in its folder, ours or prometheus_client's, as it is told to.

BENCH_KIND says whose page, PROMETHEUS_MULTIPROC_DIR which folder; the process is one of those that write into it.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from time import process_time_ns

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from observability.cells import key_of
from observability.multiprocess.files import FileCells
from tests.benchmarks.comparison.told import serve
from tests.benchmarks.observability import project

FOLDER = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
BUCKETS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf")
COUNTERS_SHARE = 0.4
"""Of the series; the others are the numbers of histograms."""

_requests = re.compile(
    rb"^(?:http_requests_total|django_http_requests_total_by_view[^{]*_total)\{[^}]*\} ([\d.e+]+)", re.MULTILINE
)
_moving: dict[int, tuple[FileCells, int]] = {}
"""A number of each file, so that no file is ever as it was at the scrape before."""


def _ours(accept: str) -> bytes:
    from observability.exposition import render

    return render(accept).body


def _theirs(accept: str) -> bytes:
    registry = CollectorRegistry(support_collectors_without_names=True)
    MultiProcessCollector(registry, path=str(FOLDER))
    return (generate_openmetrics if accept else generate_latest)(registry)


_MAKERS: dict[str, Callable[[str], bytes]] = {"ours": _ours, "theirs": _theirs}


def fill(series: int, slots: int) -> None:
    """Files as of so many other workers with so many numbers each, under the names of metrics that there are."""
    counters, histograms = int(series * COUNTERS_SHARE), int(series * (1 - COUNTERS_SHARE)) // (len(BUCKETS) + 1)
    name = "http_request_duration_seconds"
    for slot in range(1, slots + 1):
        cells = FileCells(FOLDER / f"counter_{slot}.db", RLock())
        for number in range(counters):
            labels = {"method": "GET", "endpoint": f"api/view{number}/", "status": "200"}
            _put(cells, key_of("http_requests", "http_requests_total", labels), number)
        cells = FileCells(FOLDER / f"histogram_{slot}.db", RLock())
        for number in range(histograms):
            labels = {"method": "GET", "endpoint": f"api/view{number}/"}
            _put(cells, key_of(name, f"{name}_sum", labels), number)
            for bound in BUCKETS:
                _put(cells, key_of(name, f"{name}_bucket", {**labels, "le": bound}), 1)


def _put(cells: FileCells, key: bytes, number: float) -> None:
    place = cells.index_of(key)
    cells.view[place] = number
    _moving[id(cells)] = cells, place


def scrape(whose: str, accept: str = "") -> dict[str, float]:
    """What one page took in CPU, how long it is, and how many requests it tells of; the numbers move before it."""
    for cells, place in _moving.values():
        cells.view[place] += 1.0
    started = process_time_ns()
    body = _MAKERS[whose](accept)
    taken = (process_time_ns() - started) / 1e6
    return {
        "ms": taken,
        "bytes": len(body),
        "samples": sum(1 for line in body.splitlines() if not line.startswith(b"#")),
        "requests": sum(map(float, _requests.findall(body))),
    }


_SETTLING_SECONDS = 2.0
"""Until all collectors have told, and the page has all that it tells of itself."""
_SAMPLE = re.compile(rb"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ")


def attack(what: str, count: int) -> dict[str, object]:
    """How many label sets of each metric, and lines of the page, there are more after so many hostile requests."""
    make = _MAKERS["ours" if project.KIND == "ours" else "theirs"]
    project.answered(project.environ("/hello/"))
    make("")
    time.sleep(_SETTLING_SECONDS)
    before = make("")
    for number in range(count):
        _send(what, f"{number:x}")
    after = make("")
    grown = Counter(name for name, _ in _label_sets(after) - _label_sets(before))
    return {"lines": after.count(b"\n") - before.count(b"\n"), "label_sets": dict(grown)}


def _send(what: str, odd: str) -> None:
    request = project.environ("/hello/")
    match what:
        case "methods":
            request["REQUEST_METHOD"] = f"EVIL{odd}"
        case "paths":
            request["PATH_INFO"] = f"/nowhere/{odd}"
        case "hosts":
            request["HTTP_HOST"] = f"{odd}.example"
        case "query keys":
            request["QUERY_STRING"] = f"{odd}=1&key={odd}"
        case _:
            request |= {
                "REQUEST_METHOD": f"EVIL{odd}",
                "PATH_INFO": f"/nowhere/{odd}",
                "HTTP_HOST": f"bad host {odd}",
                "QUERY_STRING": f"{odd}=1",
            }
    project.answered(request)


def _label_sets(page: bytes) -> set[tuple[str, str]]:
    """Name of a family and labels, without those of buckets."""
    found = set()
    for line in page.splitlines():
        if match := _SAMPLE.match(line):
            name = re.sub(r"_(?:bucket|sum|count|created)$", "", match[1].decode())
            found.add((name, re.sub(r',?le="[^"]*"', "", (match[2] or b"").decode())))
    return found


if __name__ == "__main__":
    serve({"fill": fill, "scrape": scrape, "attack": attack})
