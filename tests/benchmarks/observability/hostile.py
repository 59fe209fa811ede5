"""What strangers can add to the page: made-up methods, paths, hosts and query keys, each ten thousand times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.benchmarks.comparison.table import Row
from tests.benchmarks.observability.scrape import folder_of_numbers, process

_COUNT = 10_000
_PEERS_COUNT = 500
"""Of django-prometheus, whose page grows by 21 lines with each method."""
_WHATS = ("methods", "paths", "hosts", "query keys", "all of it")


def hostile(peers: Path | None) -> list[Row]:
    with (
        folder_of_numbers() as our_folder,
        folder_of_numbers() as their_folder,
        process("scraper", "ours", our_folder) as ours,
        process("scraper", "django-prometheus", their_folder) as theirs,
    ):
        return [
            _row(
                what,
                ours.ask("attack", what=what, count=_COUNT),
                theirs.ask("attack", what=what, count=_PEERS_COUNT),
            )
            for what in _WHATS
        ]


def _row(what: str, ours: Any, theirs: Any) -> Row:
    most, peers_most = _most(ours), _most(theirs)
    return Row(
        f"label sets added to any metric by {_COUNT:,} hostile {what}",
        "≤ 1",
        f"{most}",
        f"{ours['lines']} lines; django-prometheus by {_PEERS_COUNT}: {peers_most}, {theirs['lines']:,} lines",
        most <= 1,
        {"label_sets": most, "lines": ours["lines"], "django-prometheus, lines": theirs["lines"]},
    )


def _most(found: Any) -> int:
    return max(found["label_sets"].values(), default=0)
