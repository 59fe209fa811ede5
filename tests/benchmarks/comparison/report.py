"""The end of a bench: its rows, and the machine they were measured on."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence

from tests.benchmarks.comparison.table import Row, as_plain, as_text


class Report:
    """Made before anything is measured; ``tell`` prints all of it."""

    def __init__(self, title: str, *, as_json: bool) -> None:
        self._title = title
        self._as_json = as_json
        self._load_before, self._began = os.getloadavg()[0], time.monotonic()

    def tell(self, rows: Sequence[Row]) -> None:
        machine = {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "load_before": round(self._load_before, 2),
            "load_after": round(os.getloadavg()[0], 2),
            "seconds": round(time.monotonic() - self._began),
        }
        if self._as_json:
            print(json.dumps({"machine": machine, "rows": as_plain(rows)}, indent=2, ensure_ascii=False))
            return
        print(f"\n=== {self._title} ({', '.join(f'{name} {value}' for name, value in machine.items())})\n")
        print(as_text(rows))
