"""The catalogue told to people and to other programs: the page of Markdown, the lines of a terminal, the JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from itertools import groupby
from typing import Any

from observability.catalogue import Closed, Domain, Kind, Label, Metric, Mode
from observability.collectors.finding import find_collector
from observability.conf import conf
from observability.errors import CollectorSettingError
from observability.live import full_name

_DECLARING = ("metrics", "collectors")

COUNTED = "added up; those that ended still count"
PULLED = "read when the page is made, by whichever process makes it"
MODES = {
    Mode.SUM: "added up; those that ended still count",
    Mode.MIN: "the lowest, also of those that ended",
    Mode.MAX: "the highest, also of those that ended",
    Mode.MOST_RECENT: "the one set last, also by one that ended",
    Mode.LIVE_SUM: "added up over those that run",
    Mode.LIVE_MIN: "the lowest of those that run",
    Mode.LIVE_MAX: "the highest of those that run",
    Mode.LIVE_MOST_RECENT: "the one set last by one that runs",
}
"""How the values of several processes make one, for people."""


@dataclass(frozen=True, slots=True)
class External:
    """A metric on the page that another library declares; ``source`` is that library."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    source: str = ""


EXTERNAL = (
    External(
        "django_model_inserts_total", Kind.COUNTER, "Rows inserted one at a time.", ("model",), "django-prometheus"
    ),
    External(
        "django_model_updates_total", Kind.COUNTER, "Rows updated one at a time.", ("model",), "django-prometheus"
    ),
    External(
        "django_model_deletes_total", Kind.COUNTER, "Rows deleted one at a time.", ("model",), "django-prometheus"
    ),
)
"""Of the model mixin of django-prometheus, where a project's models have it. Bulk operations pass it by."""


def load_catalogue() -> None:
    """Import all that declares metrics and need not be imported yet: this app's rooms, and the project's collectors."""
    for room in _DECLARING:
        import_module(f"observability.{room}")
    for path in conf.collectors:
        with suppress(CollectorSettingError):  # of which `manage.py check` tells
            find_collector(path)


def page(metrics: Sequence[Metric], appendix: str = "") -> str:
    """The reference page, as Markdown that ends with a line's end; ``appendix`` is put below as it is."""
    parts = [_HEAD]
    for group, members in _by_group(metrics):
        parts.append(f"## {group}\n\n{_table(_columns(members))}")
    parts.append(_external())
    if appendix.strip():
        parts.append(appendix.strip())
    return "\n\n".join(part.strip() for part in parts) + "\n"


def lines(metrics: Sequence[Metric]) -> Iterator[str]:
    """For a terminal: a line for each metric and each of its labels, in columns, by group."""
    names = max((len(full_name(metric.name)) for metric in metrics), default=0)
    labels = max((len(label.name) for metric in metrics for label in metric.labels), default=0)
    units = max((len(metric.unit) for metric in metrics), default=0)
    for place, (group, members) in enumerate(_by_group(metrics)):
        if place:
            yield ""
        yield group
        for metric in members:
            yield f"  {full_name(metric.name):<{names}}  {metric.kind:<9}  {metric.unit:<{units}}  {metric.help}"
            for label in metric.labels:
                yield f"      {label.name:<{labels}}  {domain_in_words(label.domain)}"


def as_data(metrics: Sequence[Metric]) -> dict[str, Any]:
    """For other programs; docs/reference/observability.md describes it."""
    return {
        "metrics": [
            {
                "name": full_name(metric.name),
                "type": str(metric.kind),
                "unit": metric.unit,
                "help": metric.help,
                "group": metric.group,
                "labels": [_label_as_data(label) for label in metric.labels],
                "buckets": list(metric.buckets),
                "mode": None if metric.mode is None else str(metric.mode),
                "pulled": metric.pulled,
                "slo": metric.slo,
            }
            for metric in metrics
        ],
        "external": [
            {
                "name": one.name,
                "type": str(one.kind),
                "help": one.help,
                "labels": list(one.labels),
                "source": one.source,
            }
            for one in EXTERNAL
        ],
    }


def domain_in_words(domain: Domain) -> str:
    """The values a label may have, closed ones each by its name."""
    if isinstance(domain, Closed):
        return ", ".join(domain.values)
    return f"up to {domain.most:,}, then {domain.other}"


def processes_in_words(metric: Metric) -> str:
    """How the values of several processes make the one on the page."""
    if metric.pulled:
        return PULLED
    return MODES[metric.mode] if metric.mode is not None else COUNTED


_HEAD = """
# Metrics

Made by `python manage.py metrics --markdown` from the declarations in the code, and not to be edited: whoever changes a
metric changes its declaration, and makes this page anew.

A label has the values that are listed, and no other; or as many as come, up to a number in each process, and one more
for what comes after them. “Several processes” says how their values become the one on the page. “Objective” names the
service level objective that rests on the metric.
"""


def _by_group(metrics: Iterable[Metric]) -> Iterator[tuple[str, list[Metric]]]:
    for group, members in groupby(metrics, key=lambda metric: metric.group):
        yield group, list(members)


def _columns(metrics: Sequence[Metric]) -> dict[str, list[str]]:
    return {
        "metric": [f"`{full_name(metric.name)}`" for metric in metrics],
        "type": [str(metric.kind) for metric in metrics],
        "unit": [metric.unit for metric in metrics],
        "meaning": [metric.help for metric in metrics],
        "labels": ["<br>".join(map(_label_in_markdown, metric.labels)) for metric in metrics],
        "buckets": [" ".join(f"{Decimal(str(bound)):f}" for bound in one.buckets) for one in metrics],
        "several processes": [processes_in_words(metric) for metric in metrics],
        "objective": [metric.slo for metric in metrics],
    }


def _label_in_markdown(label: Label) -> str:
    if isinstance(label.domain, Closed):
        return f"`{label.name}`: {', '.join(f'`{value}`' for value in label.domain.values)}"
    return f"`{label.name}`: up to {label.domain.most:,}, then `{label.domain.other}`"


def _label_as_data(label: Label) -> dict[str, Any]:
    if isinstance(label.domain, Closed):
        return {"name": label.name, "values": list(label.domain.values), "most": None, "other": label.domain.other}
    return {"name": label.name, "values": None, "most": label.domain.most, "other": label.domain.other}


def _external() -> str:
    columns = {
        "metric": [f"`{one.name}`" for one in EXTERNAL],
        "type": [str(one.kind) for one in EXTERNAL],
        "meaning": [one.help for one in EXTERNAL],
        "labels": [", ".join(f"`{label}`" for label in one.labels) for one in EXTERNAL],
        "declared by": [one.source for one in EXTERNAL],
    }
    return (
        "## Of others\n\nServed too, where the project has what declares them. Operations on many rows at once, as by\n"
        "`bulk_create` and the `update` of a queryset, pass django-prometheus by and are not in its numbers.\n\n"
        f"{_table(columns)}"
    )


def _table(columns: dict[str, list[str]]) -> str:
    """Columns in which nothing stands are left out."""
    filled = {title: cells for title, cells in columns.items() if any(cells)}
    rows = [[cell.replace("|", "\\|") for cell in row] for row in zip(*filled.values(), strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in ([*filled], ["---"] * len(filled), *rows))
