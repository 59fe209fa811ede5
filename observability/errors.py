"""What can go wrong in observing, as types that carry the facts."""

from __future__ import annotations


class ObservabilityError(Exception):
    """Base of every error this app raises on purpose."""


class DeclarationError(ObservabilityError, ValueError):
    """A metric that cannot be declared so; ``name`` is the metric's, ``problem`` says what to write instead."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"The metric “{name}” {problem}.")
        self.name = name
        self.problem = problem


class CardinalityError(ObservabilityError, ValueError):
    """A label value outside its domain, told in strict mode only; elsewhere the series ``other`` takes it."""

    def __init__(self, metric: str, label: str, value: str) -> None:
        super().__init__(
            f"The metric “{metric}” has no room for {label}={value!r}: widen the label's domain, or pass fewer values."
        )
        self.metric = metric
        self.label = label
        self.value = value


class LabelCountError(ObservabilityError, TypeError):
    """As many values are wanted as the metric has labels."""

    def __init__(self, metric: str, labels: tuple[str, ...], given: int) -> None:
        super().__init__(f"“{metric}” has the labels ({', '.join(labels)}), but {given} values were given.")
        self.metric = metric
        self.labels = labels
        self.given = given


class UnusableAmountError(ObservabilityError, ValueError):
    """A counter goes up only, and by a number."""

    def __init__(self, metric: str, amount: float) -> None:
        super().__init__(f"The counter “{metric}” cannot go up by {amount!r}.")
        self.metric = metric
        self.amount = amount


class CollectorSettingError(ObservabilityError, ValueError):
    """An entry of OBSERVABILITY_COLLECTORS that makes no collector; the message says what to write."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"OBSERVABILITY_COLLECTORS, “{path}”: {problem}")
        self.path = path
        self.problem = problem


class UnfitFamilyError(ObservabilityError, ValueError):
    """What a collector has yielded cannot stand on the page; ``problem`` goes on from the collector's name."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"The collector {problem}.")
        self.problem = problem


class CorruptFileError(ObservabilityError):
    """A file of the metrics directory that no process has written to its end, or that something else wrote."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name
        self.problem = problem
