"""Many processes' numbers made one: read from their files, merged, and shaped into families of samples."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from time import time
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from prometheus_client.core import Metric as Family
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from observability.cells import parse_key
from observability.multiprocess.files import Layout, Number, entries_of, read_used
from observability.multiprocess.slots import living_slots

logger = logging.getLogger(__name__)

Labels: TypeAlias = tuple[tuple[str, str], ...]


class File(NamedTuple):
    """What is in one file: its kind (``counter``, ``gauge_livesum``), its numbers, and whose they are."""

    kind: str
    entries: Sequence[Number]
    slot: str = "0"


class Part(NamedTuple):
    """A parsed key. A bucket's ``bound`` is not among its labels; None where the number is no bucket's."""

    family: str
    sample: str
    labels: Labels
    help: str
    bound: float | None


class Parser:
    """Parses keys and finds numbers in files, each but once: a scrape meets the same thousands as the one before."""

    MOST = 50_000
    MOST_PLACES = 200_000
    """In all files together: as laid out in memory, some 30 MB."""

    def __init__(self) -> None:
        self.aliases: dict[bytes, bytes] = {}
        """Keys of a series that has another key already, with another help text."""
        self._parsed: dict[bytes, Part] = {}
        self._first: dict[tuple[Any, ...], bytes] = {}
        self._layouts: dict[str, Layout] = {}

    def parse(self, key: bytes) -> Part:
        """Raises ValueError, TypeError or KeyError where it is no key."""
        part = self._parsed.get(key)
        if part is None:
            family, sample, labels, help_text = parse_key(key)
            Family(family, help_text, "unknown")  # raises where the name is none
            bound = float(labels.pop("le")) if sample == f"{family}_bucket" else None
            pairs = tuple((str(name), str(value)) for name, value in labels.items())
            part = Part(family, sample, pairs, help_text, bound)
            if len(self._parsed) >= self.MOST:
                for memory in (self._parsed, self._first, self.aliases):
                    memory.clear()
            self._parsed[key] = part
            first = self._first.setdefault((family, sample, pairs, bound), key)
            if first != key:
                self.aliases[key] = first
        return part

    def numbers(self, path: Path) -> Sequence[Number]:
        """Those of one file, their keys parsed. Raises what ``parse``, ``read_used`` and ``entries_of`` raise."""
        raw = read_used(path)
        layout = self._layouts.get(path.name)
        numbers = layout.numbers(raw) if layout is not None else None
        if numbers is not None:
            return numbers
        self._layouts.pop(path.name, None)
        entries = entries_of(path.name, raw)
        for entry in entries:
            self.parse(entry.key)
        if len(entries) + sum(map(len, list(self._layouts.values()))) <= self.MOST_PLACES:
            self._layouts[path.name] = Layout([entry.key for entry in entries])
        return entries

    def forget_all_but(self, names: Container[str]) -> None:
        """The files of these names are there still."""
        for name in list(self._layouts):
            if name not in names:
                self._layouts.pop(name, None)


class Reading(NamedTuple):
    """The families by name, and how many files could not be read."""

    families: dict[str, Family]
    skipped_files: int


def read_folder(folder: Path, parser: Parser, kinds: Mapping[str, str] = MappingProxyType({})) -> Reading:
    """All that all processes have counted; ``kinds`` is as in ``merge``.

    A file that cannot be read is skipped, and counted; nothing is raised.
    """
    living, files, skipped = living_slots(folder), [], 0
    paths = sorted(folder.glob("*.db"))
    for path in paths:
        kind, _, slot = path.stem.rpartition("_")
        if not kind or not slot.isdigit():
            continue
        if kind.startswith("gauge_live") and int(slot) not in living:
            continue
        try:
            files.append(File(_known(kind), parser.numbers(path), slot))
        except FileNotFoundError:
            continue  # taken away meanwhile: its slot has another owner
        except Exception as error:  # noqa: BLE001 - it may hold anything: brackets without end, numbers without end
            skipped += 1
            logger.debug("metrics file skipped", extra={"file": path.name, "problem": str(error)})
    parser.forget_all_but({path.name for path in paths})
    return Reading(merge(files, parser, kinds), skipped)


def _known(kind: str) -> str:
    if kind.partition("_")[0] not in _TYPES:
        raise ValueError(f"there is no such kind of metric as “{kind}”")
    return kind


def merge(files: Iterable[File], parser: Parser, kinds: Mapping[str, str] = MappingProxyType({})) -> dict[str, Family]:
    """Numbers of the same series become one, as their kind says; buckets become cumulative.

    ``kinds`` is family → kind, of those that are known: what files of another kind say of them was said by an older
    version of the project. Of other families the first kind counts.
    """
    by_kind: dict[str, list[File]] = defaultdict(list)
    for file in files:
        by_kind[file.kind].append(file)
    families: dict[str, Family] = {}
    of_kind = dict(kinds)
    for kind, alike in sorted(by_kind.items()):
        for part, samples in _shaped(kind, alike, parser):
            if of_kind.setdefault(part.family, kind) != kind:
                continue
            family = families.get(part.family)
            if family is None:
                family = families[part.family] = Family(part.family, part.help, kind.partition("_")[0])
            family.samples += samples
    return families


def _shaped(kind: str, files: Sequence[File], parser: Parser) -> Iterator[tuple[Part, list[Sample]]]:
    if kind in ("gauge_all", "gauge_liveall"):  # prometheus_client's default: nothing is made one
        for file in files:
            yield from _plain({key: value for key, value, _ in file.entries}, parser, (("pid", file.slot),))
        return
    numbers = _merged(kind, [_known_by_first(file.entries, parser.aliases) for file in files])
    yield from _histograms(numbers, parser) if kind == "histogram" else _plain(numbers, parser)


def _known_by_first(entries: Sequence[Number], aliases: Mapping[bytes, bytes]) -> Sequence[Number]:
    if not aliases:
        return entries
    return [(aliases.get(key, key), value, set_at) for key, value, set_at in entries]


def _merged(kind: str, all_entries: Sequence[Sequence[Number]]) -> Mapping[bytes, float]:
    mode = kind.partition("_")[2].removeprefix("live")
    if mode in _CHOICES:
        return _chosen(all_entries, _CHOICES[mode], latest=time() + _CLOCKS_APART_SECONDS)
    totals: dict[bytes, float] = {}
    for entries in all_entries:
        for key, value, _ in entries:
            totals[key] = totals.get(key, 0.0) + value
    return totals


_CLOCKS_APART_SECONDS = 60.0
"""What was set later than that was set before a clock was put right."""
_TYPES = ("counter", "gauge", "histogram", "summary")
_VALUE: Final = 1
_SET_AT: Final = 2
_CHOICES: Mapping[str, Callable[[Number, Number], bool]] = {
    "min": lambda new, old: new[_VALUE] < old[_VALUE],
    "max": lambda new, old: new[_VALUE] > old[_VALUE],
    "mostrecent": lambda new, old: new[_SET_AT] > old[_SET_AT],
}


def _chosen(
    all_entries: Sequence[Sequence[Number]], is_better: Callable[[Number, Number], bool], latest: float
) -> Mapping[bytes, float]:
    """Of those processes that have set it: a series that was only made says nothing yet."""
    best: dict[bytes, Number] = {}
    for entries in all_entries:
        for key, value, set_at in entries:
            entry = (key, value, set_at if set_at <= latest else 0.0)
            if (set_at or value) and (key not in best or is_better(entry, best[key])):
                best[key] = entry
    return {key: value for key, (_, value, _) in best.items()}


def _plain(numbers: Mapping[bytes, float], parser: Parser, more: Labels = ()) -> Iterator[tuple[Part, list[Sample]]]:
    for key, value in numbers.items():
        part = parser.parse(key)
        yield part, [Sample(part.sample, dict(part.labels + more), value)]


def _histograms(numbers: Mapping[bytes, float], parser: Parser) -> Iterator[tuple[Part, list[Sample]]]:
    buckets: dict[tuple[str, Labels], list[tuple[float, float]]] = {}
    sums: dict[tuple[str, Labels], tuple[Part, float]] = {}
    for key, value in numbers.items():
        part = parser.parse(key)
        if part.bound is None:
            sums[part.family, part.labels] = part, value
        else:
            buckets.setdefault((part.family, part.labels), []).append((part.bound, value))
    for series, (part, total) in sums.items():
        samples, labels, count = [], dict(part.labels), 0.0
        for bound, value in sorted(buckets.get(series, ())):
            count += value
            samples.append(Sample(f"{part.family}_bucket", {**labels, "le": floatToGoString(bound)}, count))
        samples.append(Sample(f"{part.family}_count", labels, count))
        samples.append(Sample(f"{part.family}_sum", labels, total))
        yield part, samples
