"""How a collector's last run ended, as processes tell it each other: in a file of the folder that they share."""

from __future__ import annotations

import fcntl
import json
import os
import re
from binascii import crc32
from collections.abc import Iterator
from contextlib import suppress
from math import isfinite
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

from prometheus_client.core import Metric as Family
from prometheus_client.samples import Timestamp

from observability.collectors.fitness import Fit, fit

_SHAPE = 1
"""Of the file; whoever knows another reads nothing from it."""
_UNSAFE = re.compile(r"[^a-z0-9_]")
_LONGEST_NAME = 60
_CLAIM_TRIES = 3


class Told(NamedTuple):
    """The end of a run, with times since 1970: no process knows the others' monotonic clocks.

    The families are those of ``taken_at``, an earlier run's where this one did not come back; None: there are none.
    """

    began_at: float
    duration_seconds: float
    is_well: bool
    taken_at: float
    families: tuple[Fit, ...] | None


class Claim:
    """The sole right to run a collector, until ``end`` or the process's death. A forked child has no part in it."""

    def __init__(self, file_descriptor: int, file: tuple[int, int]) -> None:
        self._descriptor = file_descriptor
        self._file = file

    def begin(self, began_at: float) -> None:
        """Tell those who find it taken since when."""
        with suppress(OSError):  # another user's file: it counts for others from when they first see it
            os.pwrite(self._descriptor, f"{began_at:020.6f}".encode(), 0)

    @property
    def is_held(self) -> bool:
        return self in _claims

    def end(self) -> None:
        with _forking:
            if self not in _claims:
                return
            _claims.discard(self)
            if self._is_there():
                with suppress(OSError):  # said aloud: a child between fork and exec has the descriptor too
                    fcntl.flock(self._descriptor, fcntl.LOCK_UN)
                os.close(self._descriptor)

    def drop(self) -> None:
        """In a forked child: the lock stays the parent's."""
        if self._is_there():
            os.close(self._descriptor)

    def _is_there(self) -> bool:
        """Whoever closes all files of a process, as daemons do, may have given the number to another file."""
        try:
            return _identity(os.fstat(self._descriptor)) == self._file
        except OSError:
            return False


class Board:
    """Of one collector. Every problem with its files is as if they were not there."""

    def __init__(self, folder: Path, name: str) -> None:
        stem = folder / f"snapshot-{_safe(name)}"
        self._path, self._new, self._lock = (f"{stem}.{ending}" for ending in ("json", "new", "lock"))
        self._last: tuple[tuple[int, ...], Told | None] = (), None

    def read(self) -> Told | None:
        """What was told last, read anew only where the file is another."""
        try:
            mark = _mark(os.stat(self._path))  # noqa: PTH116 - at every scrape, for every collector
        except OSError:
            return None
        known, told = self._last
        if mark != known:
            told = None
            with suppress(Exception):  # torn, of another shape, unreadable: nothing is told
                told = _told(Path(self._path).read_bytes())
            self._last = mark, told
        return told

    def tell(self, told: Told) -> None:
        """For whoever has the claim. Where it cannot be written the last one stays, and grows old."""
        with suppress(Exception):
            mark = _write(self._new, _written(told))
            with suppress(FileNotFoundError):  # some file systems write to the disk at once what replaces a file
                os.unlink(self._path)  # noqa: PTH108 - as below
            os.rename(self._new, self._path)  # noqa: PTH104 - as below
            self._last = mark, told

    def claim(self) -> Claim:
        """Raises BlockingIOError where another has it, in whatever process, and OSError where nobody can."""
        for _ in range(_CLAIM_TRIES):
            with _forking:
                descriptor = self._open()
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    file = _identity(os.fstat(descriptor))
                    if file == _identity(os.stat(self._lock)):  # noqa: PTH116 - as above
                        claim = Claim(descriptor, file)
                        _claims.add(claim)
                        return claim
                except FileNotFoundError:  # it was swept away between the two
                    pass
                except BaseException:
                    os.close(descriptor)
                    raise
                os.close(descriptor)
        raise FileNotFoundError(self._lock)

    def claimed_at(self) -> float | None:
        """Since when another has the claim, or had it, where whoever has it now has not said; None: nobody has."""
        try:
            since = float(Path(self._lock).read_bytes())
        except (OSError, ValueError):
            return None
        return since if isfinite(since) else None

    def _open(self) -> int:
        flags = os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self._lock, flags | os.O_RDWR, 0o644)
        except FileNotFoundError:
            Path(self._lock).parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._lock, flags | os.O_RDWR, 0o644)
        except PermissionError:  # another user's can be locked all the same
            return os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)


def _safe(name: str) -> str:
    safe = _UNSAFE.sub("_", name.lower())[:_LONGEST_NAME]
    return safe if safe == name else f"{safe}-{crc32(name.encode(errors='replace')):08x}"


def _write(path: str, content: bytes) -> tuple[int, ...]:
    """By few calls: after each of them a busy process lets another thread go first."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:  # of one that was killed, perhaps another user's
        Path(path).unlink()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        return _mark(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _mark(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_ino, status.st_size


def _written(told: Told) -> bytes:
    families = None if told.families is None else [_plain(one.family) for one in told.families]
    return json.dumps({"shape": _SHAPE, **told._asdict(), "families": families}).encode()


def _plain(family: Family) -> list[Any]:
    samples = [[one.name, one.labels, one.value, _plain_time(one.timestamp)] for one in family.samples]
    return [family.name, family.type, family.documentation, family.unit, samples]


def _plain_time(timestamp: Any) -> Any:
    if isinstance(timestamp, Timestamp):
        return [timestamp.sec, timestamp.nsec]
    return timestamp if timestamp is None else float(timestamp)


def _told(raw: bytes) -> Told:
    """Raises whatever reading what is no such file raises."""
    read = json.loads(raw)
    if read["shape"] != _SHAPE or not isinstance(read["is_well"], bool):
        raise ValueError("of another shape")
    times = [float(read[name]) for name in ("began_at", "duration_seconds", "taken_at")]
    if not all(map(isfinite, times)):
        raise ValueError("a time is none")
    families = None if read["families"] is None else fit(_families(read["families"]))
    began_at, duration_seconds, taken_at = times
    return Told(began_at, duration_seconds, read["is_well"], taken_at, families)


def _families(read: list[Any]) -> Iterator[Family]:
    for name, kind, documentation, unit, samples in read:
        family = Family(name, documentation, kind)
        family.unit = unit
        for sample_name, labels, value, timestamp in samples:
            time = Timestamp(*timestamp) if isinstance(timestamp, list) else timestamp
            family.add_sample(sample_name, labels, value, time)
        yield family


_forking = RLock()
_claims: set[Claim] = set()


def _drop_all() -> None:
    """A child of a fork has its parent's descriptors, and would hold the locks for as long as it lives."""
    global _forking  # noqa: PLW0603 - this one is held by the fork itself
    _forking = RLock()
    for claim in _claims:
        claim.drop()
    _claims.clear()


def _fork_begins() -> None:
    _forking.acquire()


def _fork_is_done() -> None:
    _forking.release()


os.register_at_fork(before=_fork_begins, after_in_parent=_fork_is_done, after_in_child=_drop_all)
