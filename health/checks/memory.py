"""Whether the memory that this process may use is running out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Protocol

import psutil

from health.base import Check, Finding
from health.checks.cgroups import MemoryLimit, memory_limits
from health.checks.percent import insist_on_percentages
from health.errors import UnusableOptionError
from health.status import HealthStatus


class HostMemory(Protocol):
    """Bytes, as ``psutil.virtual_memory()`` has them: what there is, and what can be given out without swapping."""

    @property
    def total(self) -> int: ...

    @property
    def available(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _UnknownHost:
    total: int = 0
    available: int = 0


@dataclass(kw_only=True)
class MemoryCheck(Check):
    """Memory in use, in percent of the limit that is nearest to being reached; the message says whose limit that is.

    In a control group with a limit (a container's, a systemd unit's) it is that group's working set, which is its usage
    without inactive file pages, ÷ its limit. The groups above it have usages and limits of their own, and the kernel
    kills or throttles for whichever is reached first: so of all that can be seen, the one with the highest share is
    told, which is not always the one with the smallest limit. A limit is ``memory.max`` or, if that is less,
    ``memory.high`` in version 2, ``memory.limit_in_bytes`` in version 1; one above the host's memory is none.

    Without such a group it is the host: 1 − available ÷ total (psutil). Swap is not counted.

    Above ``degraded_above_percent`` it is degraded, above ``unhealthy_above_percent`` unhealthy; a bound itself is
    still well. ``root`` is the folder that holds ``proc`` and whatever is mounted, ``host`` tells the host's figures.
    Raises UnusableOptionError for options that cannot be meant.
    """

    critical: bool = False  # all pods run out of memory alike, and none is helped by taking the traffic from all
    deadline_seconds: float = 0.5
    degraded_above_percent: float = 85
    unhealthy_above_percent: float = 95
    root: Path = field(default=Path("/"), repr=False)
    host: Callable[[], HostMemory] = field(default=psutil.virtual_memory, repr=False)

    messages: ClassVar[Mapping[str, str]] = {
        "cgroup": "{used:.1f} % of the cgroup's {limit} is in use.",
        "cgroup_throttle": "{used:.1f} % of the {limit} beyond which the cgroup is throttled is in use.",
        "host": "{used:.1f} % of the host's {limit} is in use.",
        "unknown": "Neither a cgroup nor the host says how much memory is in use.",
    }

    def __post_init__(self) -> None:
        insist_on_percentages(self, "degraded_above_percent", "unhealthy_above_percent")
        if self.unhealthy_above_percent < self.degraded_above_percent:
            raise UnusableOptionError(
                "write an unhealthy_above_percent that is not below degraded_above_percent, such as 95 and 85"
            )

    def run(self) -> Finding:
        host = self._host()
        groups = [
            group for group in memory_limits(Path(self.root)) if host.total <= 0 or group.limit_bytes <= host.total
        ]
        if groups:
            tightest = max(groups, key=lambda group: (group.used_percent, -group.limit_bytes))
            code = "cgroup_throttle" if tightest.is_throttle else "cgroup"
            return self._judged(code, tightest)
        if host.total > 0:
            return self._judged("host", MemoryLimit(max(host.total - host.available, 0), host.total))
        return self.found(HealthStatus.DEGRADED, "unknown")

    def _host(self) -> HostMemory:
        try:
            return self.host()
        except (OSError, LookupError, ValueError, psutil.Error):  # /proc/meminfo hidden, or not as psutil knows it
            return _UnknownHost()

    def _judged(self, code: str, memory: MemoryLimit) -> Finding:
        used = memory.used_percent
        return self.found(self._status(used), code, used=float(used), limit=_size(memory.limit_bytes))

    def _status(self, used_percent: Fraction) -> HealthStatus:
        if used_percent > self.unhealthy_above_percent:
            return HealthStatus.UNHEALTHY
        if used_percent > self.degraded_above_percent:
            return HealthStatus.DEGRADED
        return HealthStatus.HEALTHY


def _size(size_bytes: int) -> str:
    """As people say it: 512 MiB, 15.6 GiB."""
    size, units = float(size_bytes), iter(("B", "KiB", "MiB", "GiB", "TiB", "PiB"))
    unit = next(units)
    for larger in units:
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.1f}".removesuffix(".0") + f" {unit}"
