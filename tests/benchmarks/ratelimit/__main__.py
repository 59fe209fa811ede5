"""`python -m tests.benchmarks.ratelimit [--peers DIR] [--json]`: measures everything and prints one table.

DIR has a folder ``ratelimit`` with a requirements.txt and the scripts that ``peers`` describes. Without it only ours
and a bare round trip are measured. Everything here starts its own Redis, and ends what it starts.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks.comparison.report import Report
from tests.benchmarks.comparison.table import Row
from tests.benchmarks.ratelimit import cost, exactness, outage
from tests.services import redis_process


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ratelimit", description=__doc__)
    parser.add_argument("--peers", type=Path, metavar="DIR", help="a folder whose ratelimit/ holds the peers' scripts")
    parser.add_argument("--json", action="store_true", help="for machines")
    options = parser.parse_args(arguments)
    peers = options.peers / "ratelimit" if options.peers else None
    if peers and not (peers / "requirements.txt").is_file():
        parser.error(f"there is no {peers / 'requirements.txt'}")
    if shutil.which("redis-server") is None:
        print("There is no redis-server on PATH: the limiter is not measured.", file=sys.stderr)
        return 0
    report = Report("rate limiting", as_json=options.json)
    rows = measure(peers.resolve() if peers else None)
    report.tell(rows)
    return 0


def measure(peers: Path | None) -> list[Row]:
    with redis_process() as server:
        return [
            *_told("decisions and requests through Redis", lambda: cost.through_redis(server, peers)),
            *_told("decisions and requests in memory", lambda: cost.in_memory(server, peers)),
            *_told("outages", outage.while_away),
            *_told("many processes", lambda: [exactness.many_processes(server)]),
            *_told("memory", lambda: [exactness.memory_of_a_bucket(), outage.crowd()]),
        ]


def _told(what: str, measured: Callable[[], list[Row]]) -> list[Row]:
    print(f"… {what}", file=sys.stderr, flush=True)
    return measured()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
