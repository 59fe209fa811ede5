"""`python -m tests.benchmarks.health [--peers DIR] [--json] [--only NAME]`: measures everything and prints one table.

DIR has a folder ``health`` with a requirements.txt and the scripts that ``peers`` describes. Everything here starts its
own servers, PostgreSQL and Redis among them, and ends what it starts. It takes about five minutes, with peers eight.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from tests.benchmarks.comparison.report import Report
from tests.benchmarks.comparison.table import Row
from tests.benchmarks.health import hangs, leaks, lives, load, peers, recovery, speed
from tests.benchmarks.health.ground import Ground, ground

PARTS: Mapping[str, Callable[[Ground], list[Row]]] = {
    "live": speed.live,
    "ready": speed.ready,
    "database": hangs.database,
    "redis": hangs.redis,
    "storm": load.storm,
    "crowd": load.crowd,
    "rate": load.rate,
    "recovery": recovery.recovery,
    "leaks": leaks.leaks,
    "drain": lives.drain,
    "startup": lives.startup,
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.health", description=__doc__)
    parser.add_argument("--peers", type=Path, metavar="DIR", help="a folder whose health/ holds the peers' scripts")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be given several times")
    options = parser.parse_args(arguments)
    scripts = (options.peers / "health").resolve() if options.peers else None
    if scripts and not (scripts / "requirements.txt").is_file():
        parser.error(f"there is no {scripts / 'requirements.txt'}")
    if shutil.which("redis-server") is None:
        print("There is no redis-server on PATH: the probes are not measured.", file=sys.stderr)
        return 0
    signal.signal(signal.SIGTERM, _end)  # so that servers are ended then too
    report = Report("probes", as_json=options.json)
    theirs = peers.measure(scripts) if scripts else None
    with ground(theirs.beside() if theirs else {}) as ready:
        if ready is None:
            print("No PostgreSQL can be started here: the probes are not measured.", file=sys.stderr)
            return 0
        rows = [row for name in options.only or PARTS for row in _told(name, ready)]
    rows += theirs.rows() if theirs else []
    report.tell(rows)
    return 0


def _told(name: str, on: Ground) -> list[Row]:
    print(f"… {name}", file=sys.stderr, flush=True)
    try:
        return PARTS[name](on)
    except Exception as error:  # noqa: BLE001 - one part that fails must not cost what the others measured
        traceback.print_exc()
        return [Row(name, "", "not measured", f"{type(error).__name__}: {error}", None, {})]


def _end(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
