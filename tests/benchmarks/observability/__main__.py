"""`python -m tests.benchmarks.observability [--peers DIR] [--json] [part …]`: measures all parts, or those named.

DIR has a folder ``observability`` with a requirements.txt and the scripts that ``peers`` describes. Everything here
starts its own processes and servers, PostgreSQL among them, and ends what it starts.
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from tests.benchmarks.comparison.report import Report
from tests.benchmarks.comparison.table import Row
from tests.benchmarks.observability import cost, exactness, findings, hostile, outage, peers, scrape, throughput

PARTS: Mapping[str, Callable[[Path | None], list[Row]]] = {
    "request": cost.request,
    "served": throughput.served,
    "query": cost.query,
    "cache": cost.cache,
    "operations": cost.operations,
    "scrape": scrape.many_series,
    "recycles": scrape.recycles,
    "exactness": exactness.exactness,
    "hostile": hostile.hostile,
    "outage": outage.outage,
    "findings": findings.findings,
    "scripts": peers.by_their_scripts,
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.observability", description=__doc__)
    parser.add_argument(
        "--peers", type=Path, metavar="DIR", help="a folder whose observability/ holds the peers' scripts"
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="part", help=f"any of {', '.join(PARTS)}")
    options = parser.parse_args(arguments)
    scripts = (options.peers / "observability").resolve() if options.peers else None
    if scripts and not (scripts / "requirements.txt").is_file():
        parser.error(f"there is no {scripts / 'requirements.txt'}")
    signal.signal(signal.SIGTERM, _end)  # so that processes are ended then too
    report = Report("metrics", as_json=options.json)
    report.tell([row for name in options.parts or PARTS for row in _told(name, scripts)])
    return 0


def _told(name: str, scripts: Path | None) -> list[Row]:
    print(f"… {name}", file=sys.stderr, flush=True)
    try:
        return PARTS[name](scripts)
    except Exception as error:  # noqa: BLE001 - one part that fails must not cost what the others measured
        traceback.print_exc()
        return [Row(name, "", "not measured", f"{type(error).__name__}: {error}"[:200], None, {})]


def _end(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
