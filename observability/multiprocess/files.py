"""One file of numbers, mapped into memory, in prometheus_client's format.

Eight bytes of header (how many bytes are used), then entries: the key's length, the key padded with blanks to eight
bytes, the value and the time of its setting, both native doubles. A new entry is written before the header tells of it.
"""

from __future__ import annotations

import logging
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from observability.cells import Entry, Lock
from observability.errors import CorruptFileError

logger = logging.getLogger(__name__)

Number: TypeAlias = tuple[bytes, float, float]
"""An entry's three parts; an Entry is one, too."""

_FIRST_SIZE = 1 << 16
_HEADER = 8
_DOUBLE = 8
_LENGTH = struct.Struct("i")
_NUMBERS = struct.Struct("dd")


class FileCells:
    """Cells in one file, which this process alone writes. Raises OSError where the file cannot be had.

    What a former owner has left in it is kept and counted on; what cannot be read is begun anew.
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        self.lock = lock
        self.view: Any = None
        self._path = path
        self._places: dict[bytes, int] = {}
        self._used = _HEADER
        self._maps: list[mmap.mmap] = []
        if not path.exists():
            _make(path)
        self._map(_FIRST_SIZE)
        self._take_over()

    def index_of(self, key: bytes) -> int:
        """As promised. Raises OSError where the disk has no room for it."""
        with self.lock:
            place = self._places.get(key)
            if place is None:
                place = self._places[key] = self._append(key)
            return place

    def entries(self) -> Iterator[Entry]:
        view = self.view
        for key, place in list(self._places.items()):
            yield Entry(key, view[place], view[place + 1])

    def _map(self, size: int) -> None:
        """Opened by its name each time: whoever closes all files of a process, as daemons do, ends no mapping."""
        file_descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            size = max(size, os.fstat(file_descriptor).st_size)
            # Blocks are reserved here, where a full disk is an error: a write to a page without one would be SIGBUS.
            os.posix_fallocate(file_descriptor, 0, size)
            # Kept for good: at its end each would close a number of a file that may have become another file's.
            self._maps.append(mmap.mmap(file_descriptor, size))
        finally:
            os.close(file_descriptor)
        self._map_of_file = self._maps[-1]
        self.view = memoryview(self._map_of_file).cast("d")

    def _take_over(self) -> None:
        raw = bytes(self._map_of_file[: _LENGTH.unpack_from(self._map_of_file)[0] or _HEADER])
        try:
            for entry, place in _read(self._path.name, raw):
                self._places[entry.key] = place // _DOUBLE
            self._used = max(len(raw), _HEADER)
        except CorruptFileError as error:
            logger.warning("metrics file begun anew", extra={"file": error.name, "problem": error.problem})
            self._places.clear()
            self._used = _HEADER
        self._tell_used()

    def _append(self, key: bytes) -> int:
        entry = _packed(key)
        while self._used + len(entry) > len(self._map_of_file):
            self._map(2 * len(self._map_of_file))
        self._map_of_file[self._used : self._used + len(entry)] = entry
        self._used += len(entry)
        self._tell_used()
        return (self._used - _NUMBERS.size) // _DOUBLE

    def _tell_used(self) -> None:
        self._map_of_file[: _LENGTH.size] = _LENGTH.pack(self._used)


class Layout:
    """Where the numbers of one file are, so that all are taken out in one go: ten times as fast as entry by entry.

    A file's keys only grow in number, and most scrapes find none more than the last one did.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)
        self._lengths = tuple(map(len, keys))
        self._struct = struct.Struct(f"={''.join(f'i{length}s{_padding(length)}xdd' for length in self._lengths)}")

    def __len__(self) -> int:
        return len(self._keys)

    def numbers(self, raw: bytes) -> list[Number] | None:
        """Those of a file's content; None where that is laid out in another way."""
        if len(raw) != _HEADER + self._struct.size:
            return None
        parts = self._struct.unpack_from(raw, _HEADER)
        if parts[::4] != self._lengths or parts[1::4] != self._keys:
            return None
        return list(zip(self._keys, parts[2::4], parts[3::4], strict=True))


def _make(path: Path) -> None:
    """Under another name first: no reader is to meet a file without a header."""
    unfinished = path.with_suffix(".new")
    unfinished.write_bytes(_LENGTH.pack(_HEADER).ljust(_HEADER, b"\0"))
    unfinished.rename(path)


def read_file(path: Path) -> list[Entry]:
    """Every number of a file that may be written meanwhile. Raises as ``read_used`` does, and ``entries_of``."""
    return entries_of(path.name, read_used(path))


def entries_of(name: str, raw: bytes) -> list[Entry]:
    """Every number in a file's content. Raises CorruptFileError where that is not of this format."""
    return [entry for entry, _ in _read(name, raw)]


def read_used(path: Path) -> bytes:
    """The part of a file that is in use.

    Raises CorruptFileError where it is empty or cut off, and OSError where it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_FIRST_SIZE)
        if len(head) < _HEADER:
            raise CorruptFileError(path.name, "it has no header")
        used = _LENGTH.unpack_from(head)[0]
        if not 0 <= used <= os.fstat(file.fileno()).st_size:  # asked first: reading would make room for all of them
            raise CorruptFileError(path.name, f"it is shorter than the {used} bytes it tells of")
        return head[:used] if used <= len(head) else head + file.read(used - len(head))


def _padding(length: int) -> int:
    """How many blanks follow a key of this length, so that the numbers after it are aligned."""
    return _DOUBLE - (length + _LENGTH.size) % _DOUBLE


def _packed(key: bytes) -> bytes:
    return _LENGTH.pack(len(key)) + key + b" " * _padding(len(key)) + _NUMBERS.pack(0.0, 0.0)


def _read(name: str, raw: bytes) -> Iterator[tuple[Entry, int]]:
    """Each entry, and at which byte its value is."""
    position, end = _HEADER, len(raw)
    while position < end:
        if position + _LENGTH.size > end:
            raise CorruptFileError(name, "an entry is cut off")
        length = _LENGTH.unpack_from(raw, position)[0]
        start = position + _LENGTH.size
        place = start + length + _padding(length)
        if length <= 0 or place + _NUMBERS.size > end:
            raise CorruptFileError(name, "an entry is longer than the file")
        key = raw[start : start + length]
        if not (key.startswith(b"[") and key.endswith(b"]")):
            raise CorruptFileError(name, "a key is none")
        yield Entry(key, *_NUMBERS.unpack_from(raw, place)), place
        position = place + _NUMBERS.size
