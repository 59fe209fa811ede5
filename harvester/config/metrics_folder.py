"""Where the processes of one server count together: a folder, which each server has for itself."""

from __future__ import annotations

import os
from pathlib import Path

from harvester.config.env import Environment
from harvester.config.version import BASE_DIR
from observability.multiprocess.sweeping import forget_the_dead

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Read when the first metric is imported, ours as well as prometheus_client's; empty, every process counts alone."""


def share_metrics(server: str, environment: Environment) -> None:
    """Have this process and those it starts count in one folder, which begins empty where no process uses it yet.

    In ``DATA_DIR/metrics`` unless the environment names one. To be called before any metric is imported.
    """
    own = (BASE_DIR / environment.text("DATA_DIR") / "metrics" / server).resolve()
    folder = os.environ.setdefault(VARIABLE, str(own)).strip()
    if folder:
        forget_the_dead(Path(folder))
