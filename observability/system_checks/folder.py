"""Whether processes can count into the folder that they are to share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

from django.core import checks
from django.core.checks import CheckMessage

from observability.storage import VARIABLE


def check_folder() -> Iterator[CheckMessage]:
    written = os.environ.get(VARIABLE, "").strip()
    if not written:
        return
    folder = Path(written)
    problem = why_it_cannot_be_written(folder)
    if problem:
        yield checks.Error(
            f"{VARIABLE} is {written}, which cannot be written ({problem}): what processes count is seen by nobody.",
            hint="Name a folder on a local disk or in memory that every process of this project may write, such as one "
            "below /run or /dev/shm.",
            id="observability.E004",
        )
    if not folder.is_absolute():
        yield checks.Warning(
            f"{VARIABLE} is {written}, a relative path: processes that start elsewhere count elsewhere.",
            hint=f"Write {folder.absolute()}.",
            id="observability.W005",
        )

    strangers = _without_a_slot(folder)
    if strangers:
        yield checks.Warning(
            f"{VARIABLE} holds files that no slot has written, such as {strangers[0]}: what is in them is counted for "
            "good.",
            hint="They are prometheus_client's, by process id. Empty the folder while no process runs, and have every "
            "process that counts into it use this app.",
            id="observability.W016",
        )


def _without_a_slot(folder: Path) -> list[str]:
    """Of a folder that prometheus_client has used, or still does in a process without this app."""
    try:
        files = [path.name for path in folder.glob("*_*.db")]
        slots = {path.stem.removeprefix("slot-") for path in folder.glob("slot-*.lock")}
    except (OSError, ValueError):
        return []
    return sorted(name for name in files if name.removesuffix(".db").rpartition("_")[2] not in slots)


def why_it_cannot_be_written(folder: Path) -> str:
    """Tried with a file that is gone at once; of a folder that is yet to be made, in the one in which it would be."""
    try:
        there_is = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with TemporaryFile(dir=there_is):
            return ""
    except (OSError, ValueError) as error:  # ValueError: a null in it
        return getattr(error, "strerror", None) or "it is no path"
