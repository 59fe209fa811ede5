"""Builds what the kernel would show of control groups, under a folder of the test's own.

After cgroup-v2.rst ("Memory Interface Files", "Namespace") and cgroup-v1/memory.rst ("stat file") in the kernel's
Documentation/admin-guide, and after cgroup_namespaces(7).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB = 1024**2
GIB = 1024**3
NO_LIMIT_V1 = 9_223_372_036_854_771_712
"""PAGE_COUNTER_MAX: LONG_MAX in whole pages of 4 KiB."""

_OTHER_MOUNTS = """\
22 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
23 27 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:2 - sysfs sysfs rw
27 1 0:50 / / rw,relatime master:7 - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/u/cgroup,workdir=/w/memory
41 27 8:1 /data /var/lib/my\\040data rw,relatime shared:1 master:9 - ext4 /dev/sda1 rw
"""

_STAT_V2 = """\
anon 1048576
file {file}
kernel 262144
sock 4096
shmem 0
inactive_anon 1048576
active_anon 0
inactive_file {inactive_file}
active_file 4096
unevictable 0
slab 131072
workingset_refault_file 77
"""

_STAT_V1 = """\
cache 4096
rss 8192
mapped_file 0
inactive_file {own}
active_file 4096
hierarchical_memory_limit 9223372036854771712
total_cache {total}
total_inactive_file {total}
total_active_file 8192
"""


@dataclass(frozen=True)
class Host:
    """As psutil has it, in bytes."""

    total: int = 16 * GIB
    available: int = 12 * GIB


@dataclass(frozen=True)
class Tree:
    root: Path

    def process_is_in(self, *lines: str) -> None:
        """The lines of /proc/self/cgroup."""
        self._write("/proc/self/cgroup", "".join(f"{line}\n" for line in lines))

    def mounted(self, *mounts: tuple[str, str, str]) -> None:
        """Type (``cgroup2`` or a version 1 controller), the group on top, and the mount point of each."""
        lines = _OTHER_MOUNTS
        for number, (kind, top, point) in enumerate(mounts, start=50):
            if kind == "cgroup2":
                lines += f"{number} 23 0:{number} {top} {point} ro,nosuid shared:4 - cgroup2 cgroup rw,nsdelegate\n"
            else:
                lines += f"{number} 23 0:{number} {top} {point} ro,nosuid master:9 - cgroup cgroup rw,{kind}\n"
        self._write("/proc/self/mountinfo", lines)

    def version_2(
        self, folder: str, *, usage: int, limit: int | str = "max", high: int | str = "max", inactive_file: int = 0
    ) -> None:
        self._write(f"{folder}/cgroup.controllers", "cpu memory pids\n")
        self._write(f"{folder}/memory.max", f"{limit}\n")
        self._write(f"{folder}/memory.high", f"{high}\n")
        self._write(f"{folder}/memory.current", f"{usage}\n")
        self._write(f"{folder}/memory.stat", _STAT_V2.format(file=inactive_file + 4096, inactive_file=inactive_file))

    def version_2_root(self, folder: str = "/sys/fs/cgroup") -> None:
        """The root group has statistics, but neither usage nor limits."""
        self._write(f"{folder}/cgroup.controllers", "cpu memory pids\n")
        self._write(f"{folder}/memory.stat", _STAT_V2.format(file=5 * GIB, inactive_file=4 * GIB))

    def version_1(
        self, folder: str, *, usage: int, limit: int = NO_LIMIT_V1, inactive_file: int = 0, use_hierarchy: int = 1
    ) -> None:
        self._write(f"{folder}/memory.limit_in_bytes", f"{limit}\n")
        self._write(f"{folder}/memory.usage_in_bytes", f"{usage}\n")
        self._write(f"{folder}/memory.use_hierarchy", f"{use_hierarchy}\n")
        self._write(f"{folder}/memory.stat", _STAT_V1.format(own=0, total=inactive_file))

    def overwrite(self, file: str, content: bytes) -> None:
        (self.root / file.lstrip("/")).write_bytes(content)

    def remove(self, file: str) -> None:
        (self.root / file.lstrip("/")).unlink()

    def _write(self, file: str, content: str) -> None:
        path = self.root / file.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
