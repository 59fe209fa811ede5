"""`make bench`: runs every benchmark in a scratch installation on each database and prints what it measured.

`python -m tests.benchmarks [NAME …]` runs some. A benchmark is a file here with a ``main()`` that prints; it runs in a
process of its own, so that memory is its own too.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests import services
from tests.installation import HOUSE, installation

BENCHMARKS = tuple(sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")))


def run(name: str, postgresql_url: str | None) -> bool:
    scratch = tempfile.TemporaryDirectory(prefix="signal-harvester-bench-")
    with scratch as folder, installation(Path(folder), postgresql_url) as ready:
        print(f"\n=== {name} on {'PostgreSQL' if postgresql_url else 'SQLite'}", flush=True)
        command = [sys.executable, "-m", f"tests.benchmarks.{name}"]
        return subprocess.run(command, cwd=HOUSE, env=ready.environment, check=False).returncode == 0


def main(names: list[str]) -> int:
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        print(
            f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(BENCHMARKS)}.", file=sys.stderr
        )
        return 2
    databases = [None, services.postgresql_url()]
    if databases[1] is None:
        print("No PostgreSQL answers and none can be started here: SQLite only.", file=sys.stderr)
        databases.pop()
    ran = [run(name, database) for name in names or BENCHMARKS for database in databases]
    return 0 if all(ran) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
