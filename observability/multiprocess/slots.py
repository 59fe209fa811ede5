"""Which number a process goes by: the lowest that no living process has, held by a lock the kernel frees at its death.

Process ids would leave new files behind with every worker that is replaced; slots are used again, so that there are
never more files than there were processes at one time.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_SLOTS = 4_096
_SIZE = 16  # bytes: room for a process id


class Slot:
    """A number that is this process's until ``leave``, or its death.

    The lock is held by a mapping of its file, so that it outlives the closing of all files, as daemons do it.
    """

    def __init__(self, folder: Path, number: int, file_descriptor: int) -> None:
        self.folder = folder
        self.number = number
        self._descriptor = _lowest_free(file_descriptor)  # which is what the mapping takes for itself
        self._held = mmap.mmap(file_descriptor, _SIZE)
        self._held[:] = str(os.getpid()).encode().ljust(_SIZE)

    def leave(self) -> None:
        """Let go of the lock, which frees the slot unless a parent process holds it too.

        Where the mapping's own descriptor is another file's by now, it is kept: its end would close that one.
        """
        try:
            ours = _lock_file(self.folder, self.number).stat()
            is_ours = os.path.samestat(os.fstat(self._descriptor), ours)
        except OSError:
            is_ours = False
        if is_ours:
            self._held.close()
        else:
            _kept.append(self._held)


_kept: list[mmap.mmap] = []


def take_slot(folder: Path) -> Slot:
    """Take the lowest slot of ``folder`` that is free and whose files are ours to write.

    The folder is made where it is missing. Raises OSError where none can be taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(MOST_SLOTS):
        try:
            descriptor = os.open(_lock_file(folder, number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except PermissionError:  # another user's, as root's after a command
            if not os.access(folder, os.W_OK | os.X_OK):
                raise
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if all(os.access(path, os.R_OK | os.W_OK) for path in folder.glob(f"*_{number}.db")):
                os.posix_fallocate(descriptor, 0, _SIZE)
                return Slot(folder, number, descriptor)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
    raise BlockingIOError(f"all {MOST_SLOTS} slots of {folder} are taken")


def living_slots(folder: Path) -> dict[int, int]:
    """Slot → process id, of the processes that hold one now."""
    return {number: process for number, process in _slots(folder) if _is_locked(folder, number)}


@contextmanager
def claimed(folder: Path, number: int) -> Iterator[bool]:
    """Whether the slot is nobody's; if so it stays nobody's inside the block."""
    try:
        descriptor = os.open(_lock_file(folder, number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _lock_file(folder: Path, number: int) -> Path:
    return folder / f"slot-{number}.lock"


def _lowest_free(file_descriptor: int) -> int:
    copy = os.dup(file_descriptor)
    os.close(copy)
    return copy


def _slots(folder: Path) -> Iterator[tuple[int, int]]:
    for path in sorted(folder.glob("slot-*.lock")):
        number = path.stem.removeprefix("slot-")
        try:
            process = int(path.read_text() or "0")
        except (OSError, ValueError):
            process = 0
        if number.isdigit():
            yield int(number), process


def _is_locked(folder: Path, number: int) -> bool:
    """Asking takes the lock for a moment, shared; a process that starts just then takes the next slot instead."""
    try:
        descriptor = os.open(_lock_file(folder, number), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
