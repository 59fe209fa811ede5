"""What promtool finds wrong with the page of a server that was used."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.benchmarks.comparison.table import Row
from tests.benchmarks.observability.server import GTHREAD, serving


def findings(peers: Path | None) -> list[Row]:
    if shutil.which("promtool") is None:
        return [Row("promtool findings", "0", "not measured", "there is no promtool on PATH", None, {})]
    ours, theirs = _found("ours"), _found("django-prometheus")
    told = f"; {ours[0]}" if ours else ""
    return [
        Row(
            "promtool findings on the page",
            "0",
            f"{len(ours)}",
            f"django-prometheus {len(theirs)}{told}",
            not ours,
            {"findings": len(ours), "django-prometheus, findings": len(theirs)},
        )
    ]


def _found(kind: str) -> list[str]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-metrics-") as folder,
        serving(kind, GTHREAD, workers=2, folder=Path(folder)) as server,
    ):
        server.get("/metrics")  # which is on the next one
        page = server.get("/metrics")
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=page.body, capture_output=True, check=False)  # 3 where there are findings
    return (done.stdout + done.stderr).decode().splitlines()
