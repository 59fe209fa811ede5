"""Whether there is room left where the project writes, and whether it may write there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

from health.base import Check, Finding
from health.checks.percent import insist_on_percentages
from health.conf import conf
from health.errors import UnusableOptionError
from health.status import HealthStatus


def _may_write(path: str) -> bool:
    """Making a file in a directory takes both rights; the effective user is the one who will."""
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.W_OK | os.X_OK, effective_ids=effective)


@dataclass(kw_only=True)
class DiskCheck(Check):
    """Room on the file system of the directory ``path`` (HEALTH_DISK_PATH), in percent, as ``df`` counts it.

    Free is what an ordinary user may still fill ÷ (what is used + that): blocks reserved for root count as neither.
    Below ``degraded_below_percent`` it is degraded, below ``unhealthy_below_percent`` unhealthy; a bound itself is
    still well. Unhealthy too: a read-only file system, which is what the kernel makes of a failing disk; less than
    ``inodes_below_percent`` of the inodes free, where their number is limited; a path that is no directory, or that
    cannot be looked at. A directory that this process has no right to write to is degraded at worst: that is no failure
    but how it was set up, and may be meant where the path is only the default.

    A file system without a size (``tmpfs`` with ``size=0``) or without a number of inodes (btrfs) has no such limit.
    Nothing is written: the calls are stat(2), statvfs(3) and faccessat(2), and Python lets other threads run meanwhile,
    so that a network file system that hangs holds up this check alone.

    Raises UnusableOptionError for options that cannot be meant.
    """

    deadline_seconds: float = 0.5
    path: str = field(default_factory=lambda: conf.disk_path)
    degraded_below_percent: float = 10
    unhealthy_below_percent: float = 5
    inodes_below_percent: float = 5
    statvfs: Callable[[str], os.statvfs_result] = field(default=os.statvfs, repr=False)
    may_write: Callable[[str], bool] = field(default=_may_write, repr=False)

    messages: ClassVar[Mapping[str, str]] = {
        "free": "{free:.1f} % of the disk is free at {path}.",
        "unlimited": "The disk at {path} has no limit of its own.",
        "inodes": "{free:.1f} % of the inodes are free at {path}.",
        "read_only": "The file system of {path} is read-only.",
        "not_writable": "This process has no right to write to {path}.",
        "missing": "There is no {path}.",
        "not_a_directory": "{path} is not a directory.",
        "forbidden": "This process has no right to look at {path}.",
        "failing": "The file system of {path} does not answer as it should.",
    }

    def __post_init__(self) -> None:
        self.path = _usable_path(self.path)
        insist_on_percentages(self, "degraded_below_percent", "unhealthy_below_percent", "inodes_below_percent")
        if self.unhealthy_below_percent > self.degraded_below_percent:
            raise UnusableOptionError(
                "write an unhealthy_below_percent that is not above degraded_below_percent, such as 5 and 10"
            )

    def run(self) -> Finding:
        try:
            if not stat.S_ISDIR(os.stat(self.path).st_mode):  # noqa: PTH116 - pathlib has no statvfs to go with it
                return self._unhealthy("not_a_directory")
            volume = self.statvfs(self.path)
            may_write = self.may_write(self.path)
        except FileNotFoundError:
            return self._unhealthy("missing")
        except NotADirectoryError:
            return self._unhealthy("not_a_directory")
        except PermissionError:
            return self._unhealthy("forbidden")
        except OSError:
            return self._unhealthy("failing")
        return self._judged(volume, may_write=may_write)

    def _judged(self, volume: os.statvfs_result, *, may_write: bool) -> Finding:
        """The worst there is to say; of what is equally bad, what changes by itself."""
        if volume.f_flag & os.ST_RDONLY:
            return self._unhealthy("read_only")
        room = _free_percent(volume.f_blocks, volume.f_bfree, volume.f_bavail)
        if room < self.unhealthy_below_percent:
            return self._unhealthy("free", free=float(room))
        inodes = _free_percent(volume.f_files, volume.f_ffree, volume.f_favail)
        if inodes < self.inodes_below_percent:
            return self._unhealthy("inodes", free=float(inodes))
        if room < self.degraded_below_percent:
            return self.found(HealthStatus.DEGRADED, "free", path=self.path, free=float(room))
        if not may_write:
            return self.found(HealthStatus.DEGRADED, "not_writable", path=self.path)
        if volume.f_blocks == 0:
            return self.found(HealthStatus.HEALTHY, "unlimited", path=self.path)
        return self.found(HealthStatus.HEALTHY, "free", path=self.path, free=float(room))

    def _unhealthy(self, code: str, **facts: float) -> Finding:
        return self.found(HealthStatus.UNHEALTHY, code, path=self.path, **facts)


def _free_percent(all_there_are: int, free: int, available: int) -> Fraction:
    """Available ÷ (used + available), in percent and exact; all of it where there is no limit."""
    if all_there_are == 0:
        return Fraction(100)
    used = all_there_are - free
    # Nothing used and nothing available: the whole is reserved for others.
    return Fraction(100 * available, used + available) if used + available else Fraction(0)


def _usable_path(path: Any) -> str:
    """As a text. A number would be taken for an open file, and a surrogate could not be sent to anybody."""
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else ""
    if not isinstance(text, str) or not text or "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise UnusableOptionError("write path as the name of a directory, such as '/var/lib/project'")
    return text
