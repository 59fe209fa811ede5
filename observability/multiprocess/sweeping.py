"""A fresh start: the numbers of a server that is gone are forgotten, so that the next one counts from zero.

For configuration that is read before Django is (gunicorn's), so it knows nothing of it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from pathlib import Path

from observability.multiprocess.slots import claimed, living_slots

logger = logging.getLogger(__name__)


def forget_the_dead(folder: Path) -> int:
    """Remove what processes have left in ``folder`` that all are gone; how many files those were. Never raises.

    Call it when a server starts, before any of its processes counts. While one process lives nothing is removed: what
    its siblings had counted before they were replaced belongs to the same totals. So a second call does no harm: in a
    reload, beside a predecessor that is still finishing, or for a mere look at the configuration.
    """
    try:
        if living_slots(folder):
            return 0
        return sum(_forget(folder, *left) for left in _left_behind(folder).items()) + _forget_snapshots(folder)
    except OSError as error:
        logger.warning("old metrics are kept", extra={"folder": str(folder), "error": type(error).__name__})
        return 0


def _left_behind(folder: Path) -> dict[int, list[Path]]:
    """Files by slot. The locks stay: whoever opens one now would else hold a lock on a file that is no longer there."""
    files: dict[int, list[Path]] = defaultdict(list)
    for path in folder.glob("*.db"):
        _, _, slot = path.stem.rpartition("_")
        if slot.isdigit():
            files[int(slot)].append(path)
    return files


def _forget(folder: Path, slot: int, files: list[Path]) -> int:
    with claimed(folder, slot) as is_nobodys:
        if not is_nobodys:  # taken in this moment, and counted on
            return 0
        for path in files:
            path.unlink(missing_ok=True)
        return len(files)


def _forget_snapshots(folder: Path) -> int:
    """Of collectors, whatever belongs to them: whoever locks one of these looks whether it is still there."""
    paths = list(folder.glob("snapshot-*"))
    for path in paths:
        path.unlink(missing_ok=True)
    return len(paths)
