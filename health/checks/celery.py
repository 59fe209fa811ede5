"""Whether any Celery worker is at work, by the sign of life it leaves in Django's cache."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache

from health.base import Check, Finding
from health.checks.cache import cache_class
from health.checks.own_cache import own_cache
from health.conf import conf
from health.errors import UnusableOptionError
from health.status import HealthStatus

logger = logging.getLogger(__name__)

_KEY = "health:celery:reported_at"
_KEPT_SECONDS = 24 * 3600  # so long a stale report can tell its age
_PAUSE_SECONDS = 5.0  # a worker's heart beats every 2 s


@dataclass(kw_only=True)
class CeleryCheck(Check):
    """The last report of any worker is at most ``stale_seconds`` old. Workers report by ``report_worker_heartbeat``.

    Reads the cache ``cache``, which all processes must share, over a connection of its own. Where another cache stands
    in for it when it is down, nothing fresh is found there, and the workers count as silent.
    """

    critical: bool = False
    worst: HealthStatus = field(default=HealthStatus.DEGRADED, repr=False)
    cache: str = field(default_factory=lambda: conf.cache)
    stale_seconds: float = 60.0

    messages: ClassVar[Mapping[str, str]] = {
        "fresh": "A worker reported {seconds:.0f} s ago.",
        "stale": "The last report of a worker is {seconds:.0f} s old.",
        "silent": "No worker has reported.",
    }

    def __post_init__(self) -> None:
        self._own = own_cache(self.cache, self.deadline_seconds)

    @classmethod
    def expand(cls, name: str, options: Mapping[str, Any]) -> list[Check]:
        """Raises UnusableOptionError for a cache that is not there, or is each process's own."""
        alias = options.get("cache", conf.cache)
        if issubclass(cache_class(alias), (DummyCache, LocMemCache)):
            raise UnusableOptionError(
                f"the cache “{alias}” is not shared with the workers: name one that is, by 'cache'"
            )
        return super().expand(name, options)

    def run(self) -> Finding:
        reported_at = self._own.get(_KEY)
        if not isinstance(reported_at, float):
            return self.found(HealthStatus.DEGRADED, "silent")
        seconds = max(time.time() - reported_at, 0.0)  # the worker's clock may be ahead of ours
        if seconds <= self.stale_seconds:
            return self.found(HealthStatus.HEALTHY, "fresh", seconds=seconds)
        return self.found(HealthStatus.DEGRADED, "stale", seconds=seconds)

    def interrupt(self) -> None:
        self._own.interrupt()


def report_worker_heartbeat(cache: str = "") -> None:
    """Have this project's Celery workers report to CeleryCheck; call it once, beside the Celery app (``celery.py``).

    ``cache`` is the alias that the check reads; HEALTH_CACHE where it is not given. A worker that is run with
    ``--without-heartbeat`` reports when it is ready, and never again.
    """
    from celery import signals

    report = _Reporter(cache)
    for signal in (signals.worker_ready, signals.heartbeat_sent):
        signal.connect(report, weak=False, dispatch_uid=_KEY)


class _Reporter:
    """Writes at most every few seconds, and never fails; takes as long as the cache's own timeouts allow."""

    def __init__(self, cache: str) -> None:
        self._cache = cache
        self._next_at = 0.0

    def __call__(self, **_: Any) -> None:
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + _PAUSE_SECONDS
        try:
            caches[self._cache or conf.cache].set(_KEY, time.time(), _KEPT_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever ails the cache, the worker must go on
            logger.warning("The worker's heartbeat could not be reported: %s", type(error).__name__)
