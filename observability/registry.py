"""All families of the page: what processes have counted, what collectors have read, and what others have registered."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, REGISTRY
from prometheus_client.core import Metric as Family
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from observability.catalogue import Kind, Metric, catalogue
from observability.live import full_name
from observability.metrics import errors
from observability.multiprocess.reading import File, Parser, Reading, merge, read_folder
from observability.storage import file_name, storage

logger = logging.getLogger(__name__)

_parser = Parser()
_DEFAULTS = (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR)
"""What prometheus_client registers by itself tells of one process among several; ours tells of each."""


def read_counted() -> Reading:
    """What all processes that share the folder have counted, this one among them; or this one alone."""
    if storage.folder is not None:
        storage.recover()
        return read_folder(storage.folder, _parser, _kinds())
    return Reading(merge((File(name, entries) for name, entries in storage.own()), _parser, _kinds()), 0)


def read_registered() -> Iterator[Family]:
    """What others have registered with prometheus_client. What shares our files is there already.

    A collector that fails is left out, logged and counted.
    """
    for collector in _registered():
        if collector in _DEFAULTS or (storage.is_shared and isinstance(collector, MetricWrapperBase)):
            continue
        try:
            yield from _families_of(collector)
        except Exception:  # it is not ours, and others are behind it
            errors.at("collector", "error").inc()
            logger.exception("a registered collector has failed", extra={"collector": type(collector).__name__})


def in_order(*groups: Iterable[Family]) -> list[Family]:
    """The families in the catalogue's order, then all others by name; of two with one name the first.

    Those of the catalogue have its help, and no series of another shape: files may be older than a declaration.
    """
    found: dict[str, Family] = {}
    for group in groups:
        for family in group:
            found.setdefault(family.name, family)
    ordered = []
    for metric in catalogue():
        if (name := _base_name(metric)) in found:
            _conform(found[name], metric)
            ordered.append(found.pop(name))
    return [family for family in (*ordered, *(found[name] for name in sorted(found))) if family.samples]


def _families_of(collector: Collector) -> list[Family]:
    families = list(collector.collect())
    if not all(isinstance(family, Family) for family in families):
        raise TypeError("something else is among its families")
    return families


class Page:
    """What prometheus_client's encoders ask of a registry."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def _registered() -> list[Collector]:
    with REGISTRY._lock:  # noqa: SLF001 - there is no other way to leave the collectors of one process out
        return list(REGISTRY._collector_to_names)  # noqa: SLF001 - as above


def _kinds() -> dict[str, str]:
    return {_base_name(metric): file_name(metric) for metric in catalogue() if not metric.pulled}


def _base_name(metric: Metric) -> str:
    name = full_name(metric.name)
    return name.removesuffix("_total") if metric.kind is Kind.COUNTER else name


def _conform(family: Family, metric: Metric) -> None:
    """Buckets of former bounds can go alone: those that stay are cumulative over all."""
    family.documentation = metric.help
    wanted = set(metric.label_names)
    bounds = {floatToGoString(float(bound)) for bound in metric.buckets} | {"+Inf"}
    family.samples[:] = [sample for sample in family.samples if _has_shape(sample, wanted, bounds)]


def _has_shape(sample: Sample, wanted: set[str], bounds: set[str]) -> bool:
    if sample.name.endswith("_bucket"):
        return sample.labels.get("le") in bounds and sample.labels.keys() - {"le"} == wanted
    return sample.labels.keys() == wanted
