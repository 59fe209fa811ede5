"""What must be asked rather than told: every collector's last snapshot, made anew when it is old, marked by its age.

The page never waits for a collector: a database that hangs costs a scrape 10 ms, and its numbers stand on the page as
they were, with their age beside them. Processes that share a folder share the snapshots too.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from threading import Lock, Thread
from time import monotonic
from typing import TypeAlias

from prometheus_client.core import Metric as Family

from observability.catalogue import Budget, Label
from observability.collected import built_in, immediate
from observability.collectors.base import Collector, name_of
from observability.collectors.finding import find_collector
from observability.collectors.fitness import Merged
from observability.collectors.runs import Run
from observability.collectors.snapshots import Broken, Immediate, Snapshots, View
from observability.conf import conf, on_change
from observability.errors import CollectorSettingError
from observability.pulled import Pulled
from observability.storage import storage

logger = logging.getLogger(__name__)

__all__ = ("Collector", "find_collector", "forget_collected", "read_collected", "skipped_files", "start_collecting")

PATIENCE_SECONDS = 0.01
"""How long a scrape waits for snapshots to be made anew, all together: half of the 20 ms in which the page has to come
while a database hangs. A healthy one answers within it; what takes longer is served at the next scrape."""
MOST_COLLECTORS = 50

_collector = Label("collector", Budget(MOST_COLLECTORS))
collector_success = Pulled(
    "metrics_collector_success",
    "1 if the collector's last run succeeded, 0 if it failed, or if the one that goes on is overdue.",
    group="Metrics",
    labels=(_collector,),
)
snapshot_age = Pulled(
    "metrics_snapshot_age_seconds",
    "How old the collector's values on this page are; read by the process that answers.",
    group="Metrics",
    labels=(_collector,),
)
collector_duration = Pulled(
    "metrics_collector_duration_seconds",
    "What the collector's last run took.",
    group="Metrics",
    labels=(_collector,),
)
skipped_files = Pulled(
    "metrics_skipped_files",
    "Files of the metrics directory that this scrape could not read: empty, cut off or corrupt.",
    group="Metrics",
)
_OURS = (collector_success, snapshot_age, collector_duration, skipped_files)

_Source: TypeAlias = Snapshots | Broken | Immediate


def start_collecting() -> None:
    """Begin every refresh that is due and wait for none, for whoever has other work to do before ``read_collected``."""
    _ask(_sources.all())


def read_collected(patience_seconds: float = PATIENCE_SECONDS) -> list[Family]:
    """The families of every collector's last snapshot, and those about the collectors themselves. Raises nothing.

    Waits ``patience_seconds`` at most for what is too old, counted from the beginning of its refresh: what others have
    waited for as long is not waited for again. It waits longer, once for each refresh, for what it would have to leave
    out.
    """
    sources = _sources.all()
    _wait(sources, patience_seconds)
    merged, views = Merged(reserved=[metric.name for metric in _OURS]), []
    for source in sources:
        view = source.view()
        obstacle = merged.add(view.families)
        if obstacle:
            source.clash.meet(f"it yields “{obstacle}”, of which another collector has a series or the name")
            view = view._replace(is_well=False, age_seconds=None)
        elif view.families:
            source.clash.end()
        views.append(view)
    return [*merged.families(), *_about(views)]


def forget_collected() -> None:
    """Forget every snapshot of this process and end what goes on; the collectors are made anew when next asked for."""
    for source in _sources.renew():
        source.stop()


def _ask(sources: Iterable[_Source]) -> Sequence[tuple[_Source, Run]]:
    """The threads start last: each file that is looked at would else cost a turn of theirs."""
    going_on = [(source, run) for source in sources if (run := source.ask()) is not None]
    for source, run in going_on:
        source.start(run)
    return going_on


def _wait(sources: Iterable[_Source], patience_seconds: float) -> None:
    going_on = _ask(sources)
    for _, run in going_on:
        run.wait(max(0.0, run.began_at + max(patience_seconds, run.patience_seconds) - monotonic()))
    slow = [(source, run) for source, run in going_on if not (run.ended.is_set() or run.is_watched)]
    if not slow:
        return
    for _, run in slow:
        run.is_watched = True
    with suppress(RuntimeError):  # no more threads: whoever asks next finds what is late
        Thread(target=_watch, args=(slow,), name="observability-watch", daemon=True).start()


def _watch(slow: Sequence[tuple[_Source, Run]]) -> None:
    """Ends with the runs, or with their deadlines: a scrape may come so seldom that a hung one would stay for long."""
    for source, run in slow:
        if not run.ended.wait(max(0.0, run.deadline - monotonic())):
            source.abandon(run)


def _about(views: Sequence[View]) -> Iterable[Family]:
    known = [(view, view.is_well) for view in views if view.is_well is not None]
    yield collector_success.family({(view.name,): float(is_well) for view, is_well in known})
    ages = [(view, view.age_seconds) for view in views if view.age_seconds is not None]
    yield snapshot_age.family({(view.name,): age for view, age in ages})
    durations = [(view, view.duration_seconds) for view in views if view.duration_seconds is not None]
    yield collector_duration.family({(view.name,): seconds for view, seconds in durations})


class _Sources:
    """Every collector, made when first asked for: the settings are known then, and every app is there."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._all: Sequence[_Source] | None = None

    def all(self) -> Sequence[_Source]:
        found = self._all
        if found is not None:
            return found
        with self._lock:
            if self._all is None:
                self._all = tuple(_made())
            return self._all

    def renew(self) -> Sequence[_Source]:
        """With another lock, since a forked child may have this one locked for good; returns the old ones."""
        self._lock = Lock()
        old, self._all = self._all or (), None
        return old


def _made() -> list[_Source]:
    made: dict[str, _Source] = {}
    for own in map(Immediate, immediate()):
        made[own.name] = own
    for asking in map(Snapshots, built_in()):
        made[asking.name] = asking
    for path in dict.fromkeys(conf.collectors):
        source = _named_by(path, made)
        made[source.name] = source
    if len(made) > MOST_COLLECTORS:
        logger.error("There are %d collectors; only the first %d are asked.", len(made), MOST_COLLECTORS)
    return list(made.values())[:MOST_COLLECTORS]


def _named_by(path: str, taken: Container[str]) -> _Source:
    try:
        found = find_collector(path)
    except CollectorSettingError as error:
        return Broken(error)
    return Snapshots(found, name=path if name_of(found) in taken else "")


_sources = _Sources()
storage.on_renewed(_sources.renew)
on_change(forget_collected)
