"""Many processes' numbers made one: read from their files, merged, and shaped into families of samples."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from prometheus_client.core import Metric as Family
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from observability.cells import Entry, parse_key
from observability.errors import CorruptFileError
from observability.multiprocess.files import read_file
from observability.multiprocess.slots import living_slots

logger = logging.getLogger(__name__)

Labels: TypeAlias = tuple[tuple[str, str], ...]


class File(NamedTuple):
    """What is in one file: its kind (``counter``, ``gauge_livesum``) and its numbers."""

    kind: str
    entries: Sequence[Entry]


class Part(NamedTuple):
    """A parsed key. A bucket's ``bound`` is not among its labels; None where the number is no bucket's."""

    family: str
    sample: str
    labels: Labels
    help: str
    bound: float | None


class Parser:
    """Parses keys, each but once: a scrape meets the same thousands as the one before."""

    MOST = 50_000

    def __init__(self) -> None:
        self._parsed: dict[bytes, Part] = {}

    def parse(self, key: bytes) -> Part:
        """Raises ValueError, TypeError or KeyError where it is no key."""
        part = self._parsed.get(key)
        if part is None:
            family, sample, labels, help_text = parse_key(key)
            bound = float(labels.pop("le")) if sample == f"{family}_bucket" else None
            pairs = tuple((str(name), str(value)) for name, value in labels.items())
            part = Part(family, sample, pairs, help_text, bound)
            if len(self._parsed) >= self.MOST:
                self._parsed.clear()
            self._parsed[key] = part
        return part


class Reading(NamedTuple):
    """The families by name, and how many files could not be read."""

    families: dict[str, Family]
    skipped_files: int


def read_folder(folder: Path, parser: Parser) -> Reading:
    """All that all processes have counted. A file that cannot be read is skipped, and counted; nothing is raised."""
    living, files, skipped = living_slots(folder), [], 0
    for path in sorted(folder.glob("*.db")):
        kind, _, slot = path.stem.rpartition("_")
        if not kind or not slot.isdigit():
            continue
        if kind.startswith("gauge_live") and int(slot) not in living:
            continue
        try:
            entries = read_file(path)
            for entry in entries:
                parser.parse(entry.key)
        except FileNotFoundError:
            continue  # taken away meanwhile: its slot has another owner
        except (CorruptFileError, OSError, ValueError, TypeError, KeyError) as error:
            skipped += 1
            logger.debug("metrics file skipped", extra={"file": path.name, "problem": str(error)})
        else:
            files.append(File(kind, entries))
    return Reading(merge(files, parser), skipped)


def merge(files: Iterable[File], parser: Parser) -> dict[str, Family]:
    """Numbers of the same key become one, as their kind says; buckets become cumulative."""
    by_kind: dict[str, list[Sequence[Entry]]] = defaultdict(list)
    for file in files:
        by_kind[file.kind].append(file.entries)
    families: dict[str, Family] = {}
    for kind, all_entries in by_kind.items():
        typ = kind.partition("_")[0]
        shape = _histograms if typ == "histogram" else _plain
        for part, samples in shape(_merged(kind, all_entries), parser):
            family = families.get(part.family)
            if family is None:
                family = families[part.family] = Family(part.family, part.help, typ)
            family.samples += samples
    return families


def _merged(kind: str, all_entries: Sequence[Sequence[Entry]]) -> Mapping[bytes, float]:
    mode = kind.partition("_")[2].removeprefix("live")
    if mode in _CHOICES:
        return _chosen(all_entries, _CHOICES[mode])
    totals: dict[bytes, float] = {}
    for entries in all_entries:
        for key, value, _ in entries:
            totals[key] = totals.get(key, 0.0) + value
    return totals


_CHOICES: Mapping[str, Callable[[Entry, Entry], bool]] = {
    "min": lambda new, old: new.value < old.value,
    "max": lambda new, old: new.value > old.value,
    "mostrecent": lambda new, old: new.set_at > old.set_at,
}


def _chosen(all_entries: Sequence[Sequence[Entry]], is_better: Callable[[Entry, Entry], bool]) -> Mapping[bytes, float]:
    """Of those processes that have set it: a series that was only made says nothing yet."""
    best: dict[bytes, Entry] = {}
    for entries in all_entries:
        for entry in entries:
            if (entry.set_at or entry.value) and (entry.key not in best or is_better(entry, best[entry.key])):
                best[entry.key] = entry
    return {key: entry.value for key, entry in best.items()}


def _plain(numbers: Mapping[bytes, float], parser: Parser) -> Iterator[tuple[Part, list[Sample]]]:
    for key, value in numbers.items():
        part = parser.parse(key)
        yield part, [Sample(part.sample, dict(part.labels), value)]


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
