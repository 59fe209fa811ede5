"""What was measured, beside what is to be reached: for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One line: what, the goal, our figure, what it is compared with, and whether the goal is met."""

    what: str
    goal: str
    ours: str
    beside: str
    holds: bool | None
    """None where nothing was to be reached, or the peers were not there."""
    figures: dict[str, float]
    """The same as numbers; the names tell the units."""


def as_text(rows: Sequence[Row]) -> str:
    lines = [("what", "goal", "ours", "holds", "beside it")]
    lines += [(row.what, row.goal, row.ours, _word(row.holds), row.beside) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return "\n".join(_padded(line, widths) for line in lines)


def as_plain(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [asdict(row) | {"figures": {name: round(value, 3) for name, value in row.figures.items()}} for row in rows]


def _padded(line: Sequence[str], widths: Sequence[int]) -> str:
    cells = [f"{text:{width}}" for text, width in zip(line[:-1], widths, strict=True)]
    return "  ".join([*cells, line[-1]]).rstrip()


def _word(holds: bool | None) -> str:
    return {True: "yes", False: "NO", None: "-"}[holds]
