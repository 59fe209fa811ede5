"""Where the processes of one server count together: a folder, which each server has for itself."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from harvester.config.env import Environment
from harvester.config.version import BASE_DIR
from observability.multiprocess.slots import living_slots
from observability.multiprocess.sweeping import forget_the_dead

logger = logging.getLogger(__name__)

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Read when the first metric is imported, ours as well as prometheus_client's; empty, every process counts alone."""


def share_metrics(server: str, environment: Environment) -> None:
    """Have this process and those it starts count in one folder, which begins empty where no process uses it yet.

    In ``DATA_DIR/metrics`` unless the environment names one. To be called before any metric is imported.
    """
    folder = os.environ.setdefault(VARIABLE, str(_own_folder(server, environment))).strip()
    if folder:
        forget_the_dead(Path(folder))
        _warn_of_strangers(Path(folder))


def join_metrics(server: str, environment: Environment) -> None:
    """Have this process count beside a server's, and forget nothing: for a command that does that server's work.

    Only where the server has made its folder, and we may write there: made by us it might be closed to the server. To
    be called before any metric is imported.
    """
    folder = _own_folder(server, environment)
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        os.environ.setdefault(VARIABLE, str(folder))


def _own_folder(server: str, environment: Environment) -> Path:
    return (BASE_DIR / environment.text("DATA_DIR") / "metrics" / server).resolve()


def _warn_of_strangers(folder: Path) -> None:
    """Two servers in one folder both show the sum. Nobody has set up logging yet, so the sentence says it all."""
    try:
        strangers = _strangers(living_slots(folder).values())
    except OSError:  # told by forget_the_dead
        return
    if strangers:
        logger.warning(
            "Others count their metrics in %s too (process %s), and the page shows the sum of all: "
            "a second server needs a DATA_DIR or a %s of its own.",
            folder,
            ", ".join(map(str, strangers)),
            VARIABLE,
        )


def _strangers(living: Iterable[int]) -> list[int]:
    """Who is neither this server or its child, as at a reload, nor the one it takes over from or its child."""
    known = {process for process in living if process}  # 0: one that has not said yet who it is
    server = {os.getpid()} | ({os.getppid()} & known)
    return sorted(process for process in known - server if _parent_of(process) not in server)


def _parent_of(process: int) -> int | None:
    try:
        return psutil.Process(process).ppid()
    except psutil.Error:
        return None
