"""What was measured, beside what is to be reached: for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

_WIDTHS = (62, 26, 16)


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
    lines = [_line("what", "goal", "ours", "holds", "beside it")]
    lines += [_line(row.what, row.goal, row.ours, _word(row.holds), row.beside) for row in rows]
    return "\n".join(lines)


def as_plain(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [asdict(row) | {"figures": {name: round(value, 3) for name, value in row.figures.items()}} for row in rows]


def _line(what: str, goal: str, ours: str, holds: str, beside: str) -> str:
    return f"{what:{_WIDTHS[0]}}  {goal:{_WIDTHS[1]}}  {ours:{_WIDTHS[2]}}  {holds:5}  {beside}".rstrip()


def _word(holds: bool | None) -> str:
    return {True: "yes", False: "NO", None: "-"}[holds]
