"""One file of numbers, mapped into memory, in prometheus_client's format.

Eight bytes of header (how many bytes are used), then entries: the key's length, the key padded with blanks to eight
bytes, the value and the time of its setting, both native doubles. A new entry is written before the header tells of it.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from observability.cells import Entry, Lock, parse_key
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
        self._size = 0
        self._appending = 0
        self._file: tuple[int, int] | None = None
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
                place = self._places.setdefault(key, self._append(key))
            return place

    def entries(self) -> Iterator[Entry]:
        view = self.view
        for key, place in list(self._places.items()):
            yield Entry(key, view[place], view[place + 1])

    def _map(self, size: int) -> None:
        """Opened by its name each time: whoever closes all files of a process, as daemons do, ends no mapping."""
        file_descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            status = os.fstat(file_descriptor)
            if self._file not in (None, (status.st_dev, status.st_ino)):
                raise FileNotFoundError(errno.ENOENT, "another file has taken its name", str(self._path))
            self._file = status.st_dev, status.st_ino
            size = max(size, status.st_size + -status.st_size % _FIRST_SIZE)
            # Blocks are reserved here, where a full disk is an error: a write to a page without one would be SIGBUS.
            os.posix_fallocate(file_descriptor, 0, size)
            # Kept for good: at its end each would close a number of a file that may have become another file's.
            mapped = mmap.mmap(file_descriptor, size)
            self._maps.append(mapped)
        finally:
            os.close(file_descriptor)
        view = memoryview(mapped).cast("d")
        if size > self._size:  # else a signal's handler has made more room meanwhile
            self._map_of_file, self.view, self._size = mapped, view, size

    def _take_over(self) -> None:
        used = _LENGTH.unpack_from(self._map_of_file)[0] or _HEADER
        try:
            _check_used(self._path.name, used, self._size)
            for entry, place in _read(self._path.name, bytes(self._map_of_file[:used])):
                parse_key(entry.key)
                self._places[entry.key] = place // _DOUBLE
            self._used = used
        except Exception as error:  # noqa: BLE001 - it may hold anything: brackets without end, numbers without end
            logger.warning("metrics file begun anew", extra={"file": self._path.name, "problem": str(error)})
            self._places.clear()
            self._used = _HEADER
        self._tell_used()

    def _append(self, key: bytes) -> int:
        """A signal's handler may come in at any call, and append too; so there is none between look and reservation."""
        entry = _packed(key)
        length = len(entry)
        self._appending += 1
        try:
            while self._used + length > self._size:
                self._map(2 * self._size)
            start = self._used
            self._used = start + length
            self._map_of_file[start : start + length] = entry
        finally:
            self._appending -= 1
        if not self._appending:
            self._tell_used()
        return (start + length - _NUMBERS.size) // _DOUBLE

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


def _check_used(name: str, used: int, size: int) -> None:
    if not _HEADER <= used <= size:
        raise CorruptFileError(name, f"it tells of {used} bytes and has {size}")


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
