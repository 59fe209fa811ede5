"""How families are written: as Prometheus' plain text (0.0.4) and as OpenMetrics text (1.0).

prometheus_client's encoders look at every letter of every label again at each scrape; here a series' head is written
once and kept. Whatever is more than names, labels and numbers is left to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import Metric as Family
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from observability.registry import Page as Registry


@dataclass(frozen=True, slots=True)
class Format:
    """prometheus_client's encoder, and what it is called in Content-Type."""

    encode: Callable[[Any], bytes]
    content_type: str

    @property
    def is_open_metrics(self) -> bool:
        return self.content_type.startswith("application/openmetrics-text")

    @property
    def end(self) -> bytes:
        """What stands after all families."""
        return _END_OF_OPEN_METRICS if self.is_open_metrics else b""

    @property
    def renames(self) -> bool:
        """Even a name that all formats have room for is written in another way."""
        return self.content_type.endswith(("escaping=dots", "escaping=values"))


_END_OF_OPEN_METRICS = b"# EOF\n"
_MOST_HEADS = 20_000
_AS_PYTHON_WRITES_IT = 1e6
"""From here on Go, and so prometheus_client, writes an exponent."""
_PLAIN_TYPES: Mapping[str, str] = {
    "counter": "counter", "gauge": "gauge", "histogram": "histogram", "summary": "summary", "unknown": "untyped",
}  # fmt: skip
_SPECIAL_SUFFIXES = ("_created", "_gsum", "_gcount")
_METRIC_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")  # a colon is written as the format says
_LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*\Z")

_heads: dict[tuple[Any, ...], str] = {}


class _NotSimpleError(Exception):
    """More than names, labels and numbers."""


def written(family: Family, form: Format) -> bytes:
    """One family. Raises whatever a label or a value that is none makes it raise."""
    try:
        text = _family(family, form)
    except _NotSimpleError:
        return form.encode(Registry([family])).removesuffix(form.end)
    return text.encode(errors="replace")  # half a surrogate in one label would cost the whole family


def _family(family: Family, form: Format) -> str:
    if family.type not in _PLAIN_TYPES or form.renames or not _METRIC_NAME.match(family.name):
        raise _NotSimpleError
    help_text = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
    name, type_name = family.name, family.type
    if form.is_open_metrics:
        help_text = help_text.replace('"', r"\"")
        unit = f"# UNIT {name} {family.unit}\n" if family.unit else ""
        lines = [f"# HELP {name} {help_text}\n# TYPE {name} {type_name}\n{unit}"]
    else:
        type_name = _PLAIN_TYPES[type_name]
        if type_name == "counter":
            name += "_total"
        lines = [f"# HELP {name} {help_text}\n# TYPE {name} {type_name}\n"]
    lines += map(_line, family.samples)
    return "".join(lines)


def _line(sample: Sample) -> str:
    name, labels, value, timestamp, exemplar, native = sample
    if timestamp is not None or exemplar or native:
        raise _NotSimpleError
    key = (name, *labels.items())
    head = _heads.get(key)
    if head is None:
        head = _remember(key, _head(name, labels))
    if type(value) is float and -_AS_PYTHON_WRITES_IT < value < _AS_PYTHON_WRITES_IT:
        return f"{head}{value!r}\n"
    return f"{head}{floatToGoString(value)}\n"


def _head(name: str, labels: Mapping[str, str]) -> str:
    if name.endswith(_SPECIAL_SUFFIXES) or not _METRIC_NAME.match(name):
        raise _NotSimpleError
    if not labels:
        return f"{name} "
    if not all(map(_LABEL_NAME.match, labels)):
        raise _NotSimpleError
    pairs = ",".join(f'{label}="{_escaped(labels[label])}"' for label in sorted(labels))
    return f"{name}{{{pairs}}} "


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _remember(key: tuple[Any, ...], head: str) -> str:
    if len(_heads) >= _MOST_HEADS:
        _heads.clear()
    _heads[key] = head
    return head
