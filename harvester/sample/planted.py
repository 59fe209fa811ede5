"""The truths planted in the sample world: what is the same work, what only looks like it.

A paper is named by its topic and its number there, oldest first (``agent-memory-05``); a post by its outlet and the
end of its address (``helix/a-day-in-the-cell-free-lab``). Days count back from the anchor: 1 is the day before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from harvester.sample import people
from harvester.sample.outlets import ANNALS, HELIX, JUNCTION, Outlet
from harvester.sample.people import Person

#: Title and first author of papers that are near misses of a post below; all others are made by rule.
STAGED_PAPERS: dict[str, tuple[str, Person]] = {
    "solid-state-batteries-07": ("Dendrites under Fast Charging", people.ZOFIA),
    "protein-design-06": ("Flexible Targets in Motion, Part I: Designs", people.ILSE),
}

#: Papers that arXiv also lists in a category of another field, so that two sources see them.
CROSS_LISTED = {
    "agent-memory-08": "cs.ET",
    "photonic-computing-03": "cs.AI",
    "photonic-neuromorphic-05": "cs.AI",
    "quantum-decoders-02": "cs.AI",
    "quantum-codes-04": "cs.PL",
    "quantum-error-correction-06": "cs.ET",
    "protein-design-05": "cs.AI",
}


class Proof(StrEnum):
    """What shows that two entries are the same work."""

    DOI = "doi"
    ARXIV = "arxiv"
    URL = "url"
    TITLE = "title"


@dataclass(frozen=True, slots=True)
class Reprint:
    """The same work in a second outlet: ``days`` before the anchor, or at the moment of the first where None.

    What only the title proves appears at the same moment, because the rule compares years and any day may be New
    Year's Eve. ``retitle`` is what the second outlet does to titles.
    """

    work: str
    outlet: Outlet
    proof: Proof
    days: int | None = None
    retitle: Callable[[str], str] = str


def _typographic(title: str) -> str:
    return title.replace("-", "\N{NON-BREAKING HYPHEN}").replace(": ", " \N{EM DASH} ")


def _with_full_stop(title: str) -> str:
    return f"{title}."


REPRINTS = (
    Reprint("photonic-computing-01", ANNALS, Proof.DOI, days=55),
    Reprint("neuromorphic-chips-02", ANNALS, Proof.DOI, days=47, retitle=str.capitalize),
    Reprint("quantum-error-correction-06", ANNALS, Proof.DOI, days=39),
    Reprint("solid-state-batteries-02", ANNALS, Proof.DOI, days=31, retitle=_typographic),
    Reprint("photonic-neuromorphic-02", ANNALS, Proof.DOI, days=7),
    Reprint("neuromorphic-chips-05", ANNALS, Proof.TITLE, retitle=str.upper),
    Reprint("solid-state-batteries-05", ANNALS, Proof.TITLE, retitle=_typographic),
    Reprint("protein-design-02", ANNALS, Proof.TITLE, retitle=str.capitalize),
    Reprint("protein-design-04", HELIX, Proof.TITLE, retitle=_with_full_stop),
    Reprint("protein-design-07", HELIX, Proof.TITLE, retitle=_typographic),
    Reprint("protein-design-08", ANNALS, Proof.TITLE, retitle=str.upper),
    Reprint("qubit-notes/lattice-surgery-by-hand", JUNCTION, Proof.URL, days=56),
    Reprint("lab-nord/a-field-guide-to-decoder-latency", JUNCTION, Proof.URL, days=36),
    Reprint("lab-nord/what-an-agent-should-forget", JUNCTION, Proof.URL, days=28),
    Reprint("helix/what-nine-thousand-proteins-taught-us", JUNCTION, Proof.URL, days=18),
    Reprint("lab-nord/?p=42", JUNCTION, Proof.URL, days=9),
)


@dataclass(frozen=True, slots=True)
class NearMiss:
    """Two works that look alike and are not the same."""

    works: tuple[str, str]
    why: str


NEAR_MISSES = (
    NearMiss(("solid-state-batteries-07", "annals/dendrites-under-fast-charging"), "same title, other author"),
    NearMiss(
        ("protein-design-06", "helix/flexible-targets-in-motion-part-ii-experiments"), "same author, similar title"
    ),
    NearMiss(("lab-nord/untitled", "qubit-notes/untitled"), "a title that says nothing, same author"),
    NearMiss(("annals/editorial", "junction/editorial"), "a title that says nothing, same author"),
    NearMiss(("lab-nord/?p=41", "lab-nord/?p=42"), "addresses that differ in a query that matters"),
    NearMiss(("lab-nord/engram-04-consolidation-while-nobody-looks", "engram/v0.4.0"), "a post about a release"),
)
