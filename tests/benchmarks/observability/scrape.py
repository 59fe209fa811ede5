"""What a scrape costs: of many series in many files beside prometheus_client's, and after a thousand workers' lives."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.comparison.table import Row
from tests.benchmarks.comparison.workers import Worker
from tests.benchmarks.observability.rounds import clean_environment

_SIZES = ((1_000, 4), (100, 4), (5_000, 4), (1_000, 64))
_JUDGED = (1_000, 4)
_FORMATS = {"text": "", "OpenMetrics": "application/openmetrics-text; version=1.0.0"}
_ROUNDS = 15

_LIVES = 1_000
_FRESH = 4
_PAGES = 30
_PEERS_PAGES = 3


# --- many series ------------------------------------------------------------------------------------------------------


def many_series(peers: Path | None) -> list[Row]:
    return [row for size in _SIZES for row in _of_size(*size)]


def _of_size(series: int, files: int) -> list[Row]:
    rows = []
    with folder_of_numbers() as folder, process("scraper", "ours", folder) as scraper:
        scraper.ask("fill", series=series, slots=files)
        cold = scraper.ask("scrape", whose="ours")
        scraper.ask("scrape", whose="theirs")
        for name, accept in _FORMATS.items():
            ours, theirs = [], []
            for _ in range(_ROUNDS):
                ours.append(scraper.ask("scrape", whose="ours", accept=accept))
                theirs.append(scraper.ask("scrape", whose="theirs", accept=accept))
            rows.append(_size_row(series, files, name, ours, theirs, cold["ms"]))
    return rows


def _size_row(series: int, files: int, name: str, ours: list[Any], theirs: list[Any], cold_ms: float) -> Row:
    ratio = median(one["ms"] / other["ms"] for one, other in zip(ours, theirs, strict=True))
    ours_ms, theirs_ms = _ms(ours), _ms(theirs)
    is_judged = (series, files) == _JUDGED
    return Row(
        f"scrape, {series:,} series × {files} workers, {name}, ÷ prometheus_client",
        "≤ 1.1" if is_judged else "",
        f"{ratio:.2f}",
        f"{ours_ms:.1f} ÷ {theirs_ms:.1f} ms of CPU; {ours[0]['samples']:,.0f} samples, "
        f"{ours[0]['bytes'] / 1e3:,.0f} kB; the first page {cold_ms:.0f} ms",
        ratio <= 1.1 if is_judged else None,
        {"ratio": ratio, "ours_ms": ours_ms, "prometheus_client_ms": theirs_ms, "first_ms": cold_ms},
    )


# --- many lives -------------------------------------------------------------------------------------------------------


def recycles(peers: Path | None) -> list[Row]:
    ours, theirs = _after_lives("ours", "ours", _PAGES), _after_lives("django-prometheus", "theirs", _PEERS_PAGES)
    return [
        Row(
            f"scrape after {_LIVES:,} workers' lives ÷ after {_FRESH}",
            "≤ 1.2",
            f"{ours['ratio']:.2f}",
            f"{ours['ms']:.1f} ÷ {ours['fresh_ms']:.1f} ms of CPU; django-prometheus {theirs['ratio']:.0f}: "
            f"{theirs['ms']:,.0f} ÷ {theirs['fresh_ms']:.1f}",
            ours["ratio"] <= 1.2,
            ours | {f"django-prometheus, {name}": value for name, value in theirs.items()},
        ),
        Row(
            f"files after {_LIVES:,} workers' lives, after {_FRESH}; bytes of the page, requests counted of answered",
            "no more",
            f"{ours['files']:.0f}, {ours['fresh_files']:.0f}; {ours['bytes'] / ours['fresh_bytes']:.2f} times, "
            f"{ours['counted']:,.0f} of {ours['answered']:,.0f}",
            f"django-prometheus {theirs['files']:,.0f}, {theirs['fresh_files']:.0f}; "
            f"{theirs['counted']:,.0f} of {theirs['answered']:,.0f}",
            ours["files"] <= ours["fresh_files"] and ours["counted"] == ours["answered"],
            {"files": ours["files"], "django-prometheus, files": theirs["files"]},
        ),
    ]


def _after_lives(kind: str, whose: str, pages: int) -> dict[str, float]:
    with contextlib.ExitStack() as stack:
        found: dict[str, float] = {}
        scrapers = {}
        for prefix, lives in (("fresh_", _FRESH), ("", _LIVES)):
            folder = stack.enter_context(folder_of_numbers())
            with process("recycler", kind, folder) as recycler:
                found[f"{prefix}answered"] = recycler.ask("live", lives=lives)
            found[f"{prefix}files"] = sum(1 for _ in folder.iterdir())
            scrapers[prefix] = stack.enter_context(process("scraper", kind, folder))
        taken: dict[str, list[Any]] = {prefix: [] for prefix in scrapers}
        for number in range(-1, pages):
            for prefix, scraper in scrapers.items():
                page = scraper.ask("scrape", whose=whose)
                if number >= 0:
                    taken[prefix].append(page)
    for prefix, all_pages in taken.items():
        found[f"{prefix}ms"] = _ms(all_pages)
        found[f"{prefix}bytes"] = all_pages[-1]["bytes"]
        found[f"{prefix}counted"] = all_pages[-1]["requests"]
    found["ratio"] = median(one["ms"] / other["ms"] for one, other in zip(taken[""], taken["fresh_"], strict=True))
    return found


def _ms(pages: list[Any]) -> float:
    return float(median(page["ms"] for page in pages))


@contextlib.contextmanager
def folder_of_numbers() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-metrics-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def process(module: str, kind: str, folder: Path) -> Iterator[Worker]:
    around = {"BENCH_KIND": kind, "PROMETHEUS_MULTIPROC_DIR": str(folder), "BENCH_JOURNAL": "/dev/null"}
    worker = Worker([sys.executable, "-m", f"{__package__}.{module}"], clean_environment() | around)
    try:
        yield worker
    finally:
        worker.end()
