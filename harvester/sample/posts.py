"""What the outlets of the sample world publish themselves: posts, articles, letters and releases."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.text import slugify

from harvester.sample import people
from harvester.sample.outlets import ANNALS, ENGRAM, HELIX, JUNCTION, LAB_NORD, QUBIT_NOTES, Outlet
from harvester.sample.people import Person


@dataclass(frozen=True, slots=True)
class Post:
    """Something an outlet publishes itself, so many ``days`` before the anchor.

    It links to the newest ``mentions`` papers of its topic, and to a ``repository``. Where ``text`` is empty the topic
    gives the words.
    """

    outlet: Outlet
    title: str
    days: int
    author: Person
    topic: str = ""
    comments: int | None = None
    mentions: int = 1
    repository: str = ""
    path: str = ""
    text: str = ""

    @property
    def slug(self) -> str:
        return self.path or slugify(self.title)

    @property
    def key(self) -> str:
        return f"{self.outlet.key}/{self.slug}"


_REPOSITORY = "sample-invalid-nord/engram"
_ACCIDENT = "This page was published by accident and will be filled soon."
_QEC = "quantum-error-correction"

_LAB_NORD_POSTS = (
    Post(LAB_NORD, "Why our decoder waits for nobody", 82, people.JANA, _QEC, comments=6),
    Post(LAB_NORD, "Notes on a million syndrome rounds", 66, people.SINDRE, _QEC, comments=2),
    Post(LAB_NORD, "Open position: decoder hardware", 52, people.JANA, _QEC, mentions=0, path="?p=41"),
    Post(LAB_NORD, "Untitled", 45, people.JANA, text=_ACCIDENT),
    Post(LAB_NORD, "A field guide to decoder latency", 38, people.JANA, "quantum-decoders", comments=11),
    Post(LAB_NORD, "What an agent should forget", 30, people.SINDRE, "agent-memory", comments=4),
    Post(
        LAB_NORD,
        "Engram, a memory store for agents",
        26,
        people.SINDRE,
        "agent-memory",
        comments=37,
        repository=_REPOSITORY,
    ),
    Post(LAB_NORD, "How we measure recall across sessions", 19, people.SINDRE, "agent-memory", comments=3),
    Post(LAB_NORD, "Speculative windows in one afternoon", 16, people.JANA, "quantum-decoders", comments=1),
    Post(LAB_NORD, "Poisoned memories and what to do about them", 12, people.SINDRE, "agent-memory", comments=52),
    Post(LAB_NORD, "Open position: agent evaluation", 10, people.JANA, "agent-memory", mentions=0, path="?p=42"),
    Post(LAB_NORD, "Reading group: surprise as a gate", 8, people.JANA, "agent-memory", comments=0),
    Post(LAB_NORD, "Thirty days in a simulated office", 4, people.SINDRE, "agent-memory", comments=18),
    Post(
        LAB_NORD,
        "Engram 0.4: consolidation while nobody looks",
        2,
        people.SINDRE,
        "agent-memory",
        comments=9,
        repository=_REPOSITORY,
    ),
)
_QUBIT_NOTES_POSTS = (
    Post(QUBIT_NOTES, "The backlog problem in one picture", 80, people.JANA, _QEC, comments=14),
    Post(QUBIT_NOTES, "Cat qubits for people who like surface codes", 71, people.JANA, _QEC, comments=7),
    Post(QUBIT_NOTES, "Lattice surgery by hand", 57, people.JANA, _QEC, comments=5),
    Post(QUBIT_NOTES, "Untitled", 45, people.JANA, text=_ACCIDENT),
    Post(QUBIT_NOTES, "Two roads from error correction", 41, people.JANA, "quantum-decoders", comments=23),
    Post(QUBIT_NOTES, "Why hyperbolic codes keep coming back", 28, people.JANA, "quantum-codes", comments=2),
    Post(QUBIT_NOTES, "A small zoo of low-density parity-check codes", 15, people.JANA, "quantum-codes", comments=8),
    Post(QUBIT_NOTES, "What leakage looks like from the outside", 6, people.JANA, "quantum-decoders", comments=0),
)
_HELIX_POSTS = (
    Post(HELIX, "Six binders that should not have worked", 76, people.AMADOU, "protein-design"),
    Post(HELIX, "Diffusion models for people who pipette", 61, people.ILSE, "protein-design"),
    Post(HELIX, "A day in the cell-free lab", 49, people.AMADOU, "protein-design"),
    Post(HELIX, "Heat, time and designed enzymes", 34, people.ILSE, "protein-design"),
    Post(HELIX, "Flexible Targets in Motion, Part II: Experiments", 23, people.ILSE, "protein-design", mentions=2),
    Post(HELIX, "What nine thousand proteins taught us", 20, people.AMADOU, "protein-design"),
    Post(HELIX, "When the assay disagrees with the model", 9, people.ILSE, "protein-design"),
    Post(HELIX, "Design review: flexible targets", 3, people.ILSE, "protein-design"),
)
_ANNALS_ARTICLES = (
    Post(ANNALS, "Ferroelectric Synapses after a Billion Cycles", 63, people.MIREILLE, "neuromorphic-chips"),
    Post(ANNALS, "Loss Budgets of Deep Interferometer Meshes", 58, people.NAOKO, "photonic-computing"),
    Post(ANNALS, "Erratum", 33, people.NAOKO, text="The labels of two curves in the third figure were exchanged."),
    Post(ANNALS, "Dendrites under Fast Charging", 29, people.JONAS, "solid-state-batteries", mentions=2),
    Post(ANNALS, "Editorial", 14, people.ODILE, text="This issue collects devices that compute where they remember."),
)
_JUNCTION_LETTERS = (
    Post(JUNCTION, "Junction 30: light learns to multiply", 75, people.TAMSIN, "photonic-computing", mentions=3),
    Post(JUNCTION, "Junction 31: error correction grows up", 60, people.TAMSIN, _QEC, mentions=4),
    Post(JUNCTION, "Junction 32: photons that spike", 32, people.TAMSIN, "photonic-neuromorphic", mentions=3),
    Post(
        JUNCTION,
        "Junction 33: memory leaves the context window",
        21,
        people.TAMSIN,
        "agent-memory",
        mentions=3,
        repository=_REPOSITORY,
    ),
    Post(JUNCTION, "Editorial", 14, people.ODILE, text="Four letters in, we look back at what came true."),
    Post(JUNCTION, "Junction 34: the compiler that proves itself", 11, people.TAMSIN, "verified-compilers", mentions=3),
    Post(JUNCTION, "Junction 35: everybody builds a memory", 1, people.TAMSIN, "agent-memory", mentions=4),
)


def _release(version: str, days: int, notes: str) -> Post:
    return Post(ENGRAM, version, days, people.SINDRE, "agent-memory", mentions=0, path=version, text=notes)


_ENGRAM_RELEASES = (
    _release("v0.1.0", 33, "First public release: an episodic memory store for agents, with a hierarchical index."),
    _release("v0.1.1", 27, "Fixes recall when two agents write to the same memory at once."),
    _release("v0.2.0", 25, "Write policies can be learned from traces of an agent."),
    _release("v0.3.0", 18, "Memories carry a verifiable log; poisoned entries of an agent can be traced and removed."),
    _release("v0.3.1", 14, "Retrieval gated by surprise no longer skips the first session."),
    _release("v0.4.0", 3, "Consolidation during idle time; the memory store shrinks while the agent sleeps."),
    _release("v0.4.1", 2, "Fixes a crash when an empty memory is consolidated."),
    _release("v0.5.0-rc.1", 1, "Memories shared among cooperating agents, as a preview."),
)

POSTS = (
    *_LAB_NORD_POSTS,
    *_QUBIT_NOTES_POSTS,
    *_HELIX_POSTS,
    *_ANNALS_ARTICLES,
    *_JUNCTION_LETTERS,
    *_ENGRAM_RELEASES,
)
