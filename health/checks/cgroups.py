"""How much memory the control groups that this process is in may use, and do use.

Sources: cgroups(7), cgroup_namespaces(7), proc_pid_mountinfo(5), and cgroup-v2.rst and cgroup-v1/memory.rst in the
kernel's Documentation/admin-guide.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

# Version 1 says that there is no limit by the largest number of pages that a counter holds: just below 2**63 bytes, and
# 2**64 - 1 on the oldest kernels. Nobody has 4 EiB.
_NO_LIMIT = 2**62

_MOUNT = re.compile(
    r"^(?:[^ \n]+ ){3}(?P<top>/[^ \n]*) (?P<point>/[^ \n]*) (?:[^ \n]+ )+?"
    r"- (?P<type>cgroup2?) [^ \n]+ (?P<options>[^ \n]+)$",
    re.MULTILINE,
)
_ESCAPED = re.compile(r"\\([01][0-7]{2})")  # of space, tab, line end and backslash


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """What one control group may use, and its working set: what it uses beyond file pages not read lately.

    ``is_throttle``: beyond ``limit_bytes`` the kernel slows it down; else it kills.
    """

    used_bytes: int
    limit_bytes: int
    is_throttle: bool = False

    @property
    def used_percent(self) -> Fraction:
        """Exact; a limit of nothing is used up."""
        return Fraction(100 * self.used_bytes, self.limit_bytes) if self.limit_bytes else Fraction(100)


def memory_limits(root: Path) -> list[MemoryLimit]:
    """Of each group with a limit, from the process's own up to the highest that it can see; never raises.

    ``root`` is the folder that holds ``proc`` and whatever is mounted. A group whose files are missing or make no sense
    is left out. So is one that the process is not in, such as a container's that it was moved out of: no limit of that
    one binds it.
    """
    try:
        groups = dict(_groups(os.fsdecode(_read(f"{root}/proc/self/cgroup"))))
        mounts = list(_mounts(os.fsdecode(_read(f"{root}/proc/self/mountinfo"))))
    except OSError:  # no Linux, or no /proc
        return []
    limits: list[MemoryLimit] = []
    for mount in mounts:
        if mount.version in groups:
            limits += _limits_under(root, mount, groups[mount.version])
    return limits


@dataclass(frozen=True, slots=True)
class _Mount:
    """Where the hierarchy that may hold the memory controller can be seen, and which of its groups is on top there."""

    version: int
    top: str
    point: str


def _groups(text: str) -> Iterator[tuple[int, str]]:
    """Version → the process's group, from lines ``hierarchy:controllers:path``.

    Both where a system is hybrid. The memory controller is in one of them only, so the other has no files of it.
    """
    for line in text.split("\n"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not path.startswith("/"):
            continue
        if number == "0" and not controllers:
            yield 2, path
        elif "memory" in controllers.split(","):
            yield 1, path


def _mounts(text: str) -> Iterator[_Mount]:
    for found in _MOUNT.finditer(text):
        if found["type"] == "cgroup2":
            yield _Mount(2, _unescaped(found["top"]), _unescaped(found["point"]))
        elif "memory" in found["options"].split(","):
            yield _Mount(1, _unescaped(found["top"]), _unescaped(found["point"]))


def _unescaped(path: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), path)


def _limits_under(root: Path, mount: _Mount, group: str) -> Iterator[MemoryLimit]:
    """Usage is charged to the group and to each one above it, and each one's limit holds on its own."""
    try:
        names = _way_down(mount.top, group)
    except LookupError:
        return
    top = f"{root}{mount.point}"
    read = _read_version_1 if mount.version == 1 else _read_version_2
    for depth in range(len(names), -1, -1):
        folder = "/".join((top, *names[:depth]))
        if depth < len(names) and mount.version == 1 and not _counts_what_is_below(folder):
            return
        try:
            limit = read(folder)
        except (OSError, ValueError):  # it has no limit, or not all of the files: the next one may
            continue
        yield limit


def _way_down(top: str, group: str) -> tuple[str, ...]:
    """The names that lead from the mount's top group to ``group``. LookupError where it is not below that.

    Both are told as seen from the root of the cgroup namespace, so that either may begin with ``/..``.
    """
    ups_to_top, top_names = _steps(top)
    ups, names = _steps(group)
    if ups_to_top > ups and not top_names:
        # The mount is older than the namespace and shows groups above it; the names in between are hidden from us.
        return ()
    if ups_to_top != ups or names[: len(top_names)] != top_names or ".." in names:
        raise LookupError(group)
    return names[len(top_names) :]


def _steps(path: str) -> tuple[int, tuple[str, ...]]:
    names = [name for name in path.split("/") if name]
    ups = 0
    while ups < len(names) and names[ups] == "..":
        ups += 1
    return ups, tuple(names[ups:])


def _read_version_2(folder: str) -> MemoryLimit:
    """Both limits count: beyond memory.high allocating becomes so slow that memory.max may never be reached."""
    most, high = _limit(f"{folder}/memory.max"), _limit(f"{folder}/memory.high")
    return _used(folder, min(most, high), "memory.current", b"inactive_file", is_throttle=high < most)


def _read_version_1(folder: str) -> MemoryLimit:
    """The statistics without ``total_`` leave out the groups below, which the usage includes."""
    return _used(folder, _limit(f"{folder}/memory.limit_in_bytes"), "memory.usage_in_bytes", b"total_inactive_file")


def _used(folder: str, limit: int, usage: str, cache: bytes, *, is_throttle: bool = False) -> MemoryLimit:
    """Working set = usage − inactive file, as Kubernetes counts: such pages are dropped before anything is killed."""
    if limit >= _NO_LIMIT:
        raise ValueError("no limit")
    used = _number(_read(f"{folder}/{usage}"))
    for line in _read(f"{folder}/memory.stat").splitlines():
        name, _, value = line.partition(b" ")
        if name == cache:
            # The two are not read at the same moment.
            return MemoryLimit(max(used - _number(value), 0), limit, is_throttle)
    raise ValueError("no statistics")


def _counts_what_is_below(folder: str) -> bool:
    """Before Linux 5.11 version 1 could leave the groups below out of a group's usage, and so out of its limit."""
    try:
        return _read(f"{folder}/memory.use_hierarchy").strip() != b"0"
    except (OSError, ValueError):
        return True


def _limit(file: str) -> int:
    """What cannot be read is no limit: the root group has no such file."""
    try:
        text = _read(file)
        return _NO_LIMIT if text.strip() == b"max" else _number(text)
    except (OSError, ValueError):
        return _NO_LIMIT


def _number(text: bytes) -> int:
    digits = text.strip()
    if not (digits.isdigit() and len(digits) <= len(str(2**64))):
        raise ValueError("a number of bytes is wanted")
    return int(digits)


def _read(file: str) -> bytes:
    return Path(file).read_bytes()
