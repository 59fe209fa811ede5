"""The page of metrics: what is on it, in which format, and what it tells of itself."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from time import perf_counter

from prometheus_client.core import Metric as Family

from observability import metrics
from observability.collectors import read_collected, skipped_files, start_collecting
from observability.negotiation import accepts_gzip, format_for
from observability.page import Format, written
from observability.registry import in_order, read_counted, read_registered

logger = logging.getLogger(__name__)

_FASTEST = 1
"""Of gzip's levels: the ninth takes ten times as long for a tenth less."""
_WORTH_COMPRESSING_BYTES = 1024
_MOST_TOLD = 1_000


@dataclass(frozen=True, slots=True)
class Page:
    """As it is sent; ``content_encoding`` is ``gzip`` or empty."""

    body: bytes
    content_type: str
    content_encoding: str = ""


def get_metrics() -> bytes:
    """The page as plain text, for code and commands."""
    return render("").body


def render(accept: str, names: Sequence[str] = (), accept_encoding: str = "") -> Page:
    """The page in the format that ``accept`` prefers; with ``names`` only families and samples of these names.

    What cannot be read or written is left out, logged and counted in ``errors_total``; the rest is there all the same.
    """
    started = perf_counter()
    form = format_for(accept)
    families = _families()
    if names:
        families = [_restricted(family, frozenset(names)) for family in families]
    parts, samples = [], 0
    for family in filter(_has_samples, families):
        try:
            parts.append(written(family, form))
        except Exception:  # noqa: BLE001 - others' families may hold anything
            _tell_of_error("A family of metrics cannot be written.", family.name)
        else:
            samples += len(family.samples)
    body = b"".join((*parts, form.end))
    page = _compressed(body, form, accept_encoding)
    metrics.scrape_size.set(len(body))
    metrics.scrape_samples.set(samples)
    metrics.scrape_duration.observe(perf_counter() - started)
    return page


def _families() -> list[Family]:
    with suppress(Exception):  # read_collected tells of it
        start_collecting()  # and meanwhile the files are read
    return in_order(_read(_counted), _read(read_collected), _read(read_registered))


def _read(source: Callable[[], Iterable[Family]]) -> Iterator[Family]:
    try:
        yield from source()
    except Exception:  # noqa: BLE001 - whatever is wrong with one source, the page has the others
        _tell_of_error("A source of metrics cannot be read.", source.__name__.lstrip("_"))


def _counted() -> Iterable[Family]:
    reading = read_counted()
    yield from reading.families.values()
    yield skipped_files.family(reading.skipped_files)


def _restricted(family: Family, names: frozenset[str]) -> Family:
    """All of it where the family is named, else the samples that are. Itself it stays whole: a snapshot may have it."""
    if family.name in names:
        return family
    rest = copy(family)
    rest.samples = [sample for sample in family.samples if sample.name in names]
    return rest


def _has_samples(family: Family) -> bool:
    return bool(family.samples)


def _compressed(body: bytes, form: Format, accept_encoding: str) -> Page:
    if len(body) < _WORTH_COMPRESSING_BYTES or not accepts_gzip(accept_encoding):
        return Page(body, form.content_type)
    return Page(gzip.compress(body, _FASTEST, mtime=0), form.content_type, "gzip")


def _tell_of_error(message: str, name: str) -> None:
    """Each once: what is wrong at one scrape is so at the next."""
    metrics.errors.at("exposition", "error").inc()
    level = logging.DEBUG if (message, name) in _told else logging.ERROR
    if len(_told) < _MOST_TOLD:
        _told.add((message, name))
    logger.log(level, message, exc_info=True, extra={"metric": name})


_told: set[tuple[str, str]] = set()
