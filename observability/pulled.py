"""Metrics that are read when somebody asks, by a collector: declared like the others, without a number of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client.core import Metric as Family

from observability.catalogue import Budget, Closed, Kind, Label, Metric, declare
from observability.conf import conf
from observability.errors import CardinalityError, LabelCountError
from observability.live import OUTSIDE, count_drop, full_name


class Pulled:
    """A gauge, or a counter that somebody else keeps, of which a collector knows all series at once."""

    def __init__(
        self,
        name: str,
        help_text: str,
        *,
        group: str,
        labels: Sequence[Label] = (),
        kind: Kind = Kind.GAUGE,
        slo: str = "",
    ) -> None:
        self.metric = declare(
            Metric(name=name, kind=kind, help=help_text, group=group, labels=tuple(labels), pulled=True, slo=slo)
        )
        self.name = full_name(name)

    def family(self, values: Mapping[tuple[str, ...], float] | float) -> Family:
        """The samples of these label values, in the order of the declaration; a bare number where there is no label.

        What has no room in its label's domain is added up under ``other``. Raises LabelCountError, and in strict mode
        CardinalityError.
        """
        base = self.name.removesuffix("_total") if self.metric.kind is Kind.COUNTER else self.name
        family = Family(base, self.metric.help, str(self.metric.kind))
        series: Mapping[tuple[str, ...], float] = values if isinstance(values, Mapping) else {(): values}
        for labels, value in self._within(series).items():
            family.add_sample(self.name, dict(zip(self.metric.label_names, labels, strict=True)), value)
        return family

    def _within(self, series: Mapping[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
        kept: dict[tuple[str, ...], float] = {}
        seen: list[set[str]] = [set() for _ in self.metric.labels]
        for raw, value in series.items():
            if len(raw) != len(self.metric.labels):
                raise LabelCountError(self.metric.name, self.metric.label_names, len(raw))
            admitted = tuple(self._in_domain(*each) for each in zip(self.metric.labels, raw, seen, strict=True))
            kept[admitted] = kept.get(admitted, 0.0) + value
        return kept

    def _in_domain(self, label: Label, text: str, seen: set[str]) -> str:
        domain = label.domain
        if isinstance(domain, Closed):
            if text in domain.values:
                return text
            self._complain(label, text)
            return domain.other or OUTSIDE
        return self._in_budget(label, domain, text, seen)

    def _in_budget(self, label: Label, domain: Budget, text: str, seen: set[str]) -> str:
        if text in seen or text == domain.other:
            return text
        if len(seen) < domain.most:
            seen.add(text)
            return text
        self._complain(label, text)
        count_drop(self.metric)
        return domain.other

    def _complain(self, label: Label, text: str) -> None:
        if conf.strict and not (isinstance(label.domain, Budget) and label.domain.may_be_spent):
            raise CardinalityError(self.metric.name, label.name, text)
